/**
 * One shard as this process reads it: the newest view, and who is waiting for a newer one.
 *
 * A read may use any observation that began after the read did. So at most one observation runs at a
 * time, and all reads that arrive meanwhile share the next one: eight clients cost little more than
 * one, and observations of a shard never overtake each other.
 */
import { StoreError } from '#base/errors.ts';
import { ORIGIN, type RecordPosition } from '#base/position.ts';
import type { Manifest } from '#manifest/format.ts';
import type { ManifestCache } from '#manifest/head.ts';
import type { Clock } from '#ports/clock.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import type { CollectionSchema } from '#schema/field.ts';
import type { SectionCache } from '#segment/cache.ts';
import { openSegment } from '#segment/reader.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import type { TailEntry } from '#wal/tail.ts';
import { judge, missingPosition, observeShard, tooStale } from './freshness.ts';
import { loadRuns } from './tail-runs.ts';
import { nextView, positionOf, type ShardView, type Step } from './view.ts';

export type ShardPorts = Readonly<{
  objects: ObjectStore;
  table: Table;
  clock: Clock;
  manifests: ManifestCache;
  cache: SectionCache;
}>;

export type Need = Readonly<{
  /** Positions that the view has to cover. */
  positions: readonly RecordPosition[];
  /** Milliseconds since 1970 after which the read gives up. */
  deadlineMs: number;
}>;

/** A fence or a token is waited for so long at most, whatever the request's own deadline. */
export const WAIT_MAX_MS = 5_000;
const WAIT_FIRST_MS = 2;
const WAIT_STEP_MAX_MS = 100;
/** 2 + 4 + ... + 64 ms and then 100 ms each: 60 steps are 5.5 s, past the longest wait. */
const WAIT_STEPS_MAX = 60;

type Seen =
  | Readonly<{ is: 'view'; view: ShardView }>
  | Readonly<{ is: 'fence-under-way'; fenceNumber: number }>
  | Readonly<{ is: 'gate-moved' }>;

export class ShardReads {
  readonly #ports: ShardPorts;
  readonly #shard: ShardId;
  #view: ShardView | undefined;
  #runs = 0;
  #running: Promise<Seen> | undefined;
  #next: Promise<Seen> | undefined;

  constructor(ports: ShardPorts, shard: ShardId) {
    this.#ports = ports;
    this.#shard = shard;
  }

  /** The newest view, if there is one: for what need not be fresh. */
  get view(): ShardView | undefined {
    return this.#view;
  }

  /**
   * A view that holds everything acknowledged before this call, and every position needed.
   *
   * @throws StoreError `TOO_STALE` where a position is not reached in time, `NOT_READY` where a fence
   *   is not applied in time, `TIMEOUT` past the deadline, `COLLECTION_NOT_FOUND` for a dropped shard
   */
  async fresh(schema: CollectionSchema, need: Need): Promise<ShardView> {
    const { clock } = this.#ports;
    const until = Math.min(need.deadlineMs, clock.nowMs() + WAIT_MAX_MS);
    for (let step = 1; ; step++) {
      const seen = await this.#refresh(schema);
      const refusal = this.#refusal(seen, need);
      if (refusal === undefined && seen.is === 'view') return seen.view;
      const left = until - clock.nowMs();
      if (left <= 0 || step >= WAIT_STEPS_MAX) {
        throw clock.nowMs() >= need.deadlineMs ? this.#late(refusal) : refusal;
      }
      await clock.sleep(Math.min(WAIT_FIRST_MS * 2 ** (step - 1), WAIT_STEP_MAX_MS, left));
    }
  }

  #refusal(seen: Seen, need: Need): StoreError | undefined {
    const name = shardName(this.#shard);
    if (seen.is === 'gate-moved') {
      return new StoreError('NOT_READY', `shard ${name}: fences are being raised`);
    }
    if (seen.is === 'fence-under-way') {
      return new StoreError('NOT_READY', `shard ${name}: fence ${seen.fenceNumber} is under way`);
    }
    const { manifest, tailByPosition } = seen.view;
    const asked = missingPosition(manifest.applied, tailByPosition, need.positions);
    if (asked === undefined) return undefined;
    return tooStale(this.#shard, asked, positionOf(seen.view));
  }

  #late(refusal: StoreError | undefined): StoreError {
    const why = refusal === undefined ? '' : `: ${refusal.message}`;
    return refusal?.code === 'TOO_STALE'
      ? refusal
      : new StoreError('TIMEOUT', `the read did not finish in time${why}`);
  }

  /**
   * An observation that begins after this call. One that waits to begin is joined even in the moment
   * when none is running: otherwise two could run, and the one that is joined be the older.
   */
  #refresh(schema: CollectionSchema): Promise<Seen> {
    if (this.#next !== undefined) return this.#next;
    if (this.#running === undefined) return this.#start(schema);
    const begin = (): Promise<Seen> => {
      this.#next = undefined;
      return this.#start(schema);
    };
    this.#next = this.#running.then(begin, begin);
    return this.#next;
  }

  #start(schema: CollectionSchema): Promise<Seen> {
    const running = this.#observe(schema).finally(() => {
      this.#running = undefined;
    });
    this.#running = running;
    return running;
  }

  async #observe(schema: CollectionSchema): Promise<Seen> {
    const before = this.#view;
    const after = before?.manifest.applied ?? ORIGIN;
    const known = before?.tailByPosition;
    const observation = await observeShard(this.#ports, this.#shard, after, known);
    const { manifest } = observation.head;
    if (manifest.state === 'dropped') {
      throw new StoreError('COLLECTION_NOT_FOUND', `shard ${shardName(this.#shard)} is dropped`);
    }
    const judgement = judge(observation);
    if (judgement.is !== 'known') return judgement;
    if (before !== undefined && isSame(before, manifest, judgement.tail)) {
      return { is: 'view', view: before };
    }
    const view = await nextView(before, await this.#step(schema, manifest, judgement.tail));
    this.#view = view;
    if (before !== undefined) this.#forget(before, view);
    return { is: 'view', view };
  }

  /**
   * Frees what was cached of segments that are gone, their graphs above all. A read that still works
   * on the older view reads them again: their objects stay for longer than any read.
   */
  #forget(before: ShardView, after: ShardView): void {
    const kept = new Set(after.manifest.segments.map(({ key }) => key));
    for (const { key, auxiliary } of before.manifest.segments) {
      if (kept.has(key)) continue;
      for (const object of [key, ...auxiliary.map((entry) => entry.key)]) {
        this.#ports.cache.forget(object);
      }
    }
  }

  async #step(
    schema: CollectionSchema,
    manifest: Manifest,
    tail: readonly TailEntry[],
  ): Promise<Step> {
    const before = this.#view;
    const { objects, cache } = this.#ports;
    const names = { schema, nextId: () => `tail/${shardName(this.#shard)}/${++this.#runs}` };
    const known = new Map(before?.segments.map(({ segment }) => [segment?.entry.key, segment]));
    const segments = manifest.segments.map((entry) => ({
      entry,
      reader: known.get(entry.key)?.reader ?? openSegment({ objects }, entry, cache),
    }));
    const unseen = tail.filter(({ position }) => before?.tailByPosition.has(position) !== true);
    const fresh = await loadRuns(objects, names, unseen);
    return { shard: this.#shard, manifest, tail, segments, fresh, names };
  }
}

/** True where an observation found what the view holds already. */
function isSame(view: ShardView, manifest: Manifest, tail: readonly TailEntry[]): boolean {
  return (
    view.manifest.version === manifest.version &&
    view.manifest.collectionId === manifest.collectionId &&
    view.tail.length === tail.length &&
    tail.every(({ position }, index) => position === view.tail[index]?.position)
  );
}
