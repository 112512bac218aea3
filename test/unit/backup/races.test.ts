/** Snapshots beside writers, appliers, compactors and drops, interleaved by fast-check's scheduler call by call. */
import fc, { type Scheduler } from 'fast-check';
import { expect, test } from 'vitest';
import { cloneCollection } from '#backup/clone.ts';
import { takeSnapshot } from '#backup/snapshot.ts';
import { isStoreError } from '#base/errors.ts';
import { openCatalog } from '#catalog/collections.ts';
import { namedPin, readPins } from '#catalog/pins.ts';
import { acceptDelete, acceptRows } from '#ingest/accept.ts';
import { consumeOnce } from '#ingest/consume.ts';
import { collectRound } from '#maintain/collect-round.ts';
import { mergeShard } from '#maintain/compact.ts';
import { COMPACT_POLICY } from '#maintain/pick.ts';
import type { Clock } from '#ports/clock.ts';
import { dropCollection } from '#service/drop.ts';
import { scheduled } from '../../support/faults-scheduled.ts';
import { type Disk, row, verifySums, type World } from '../ingest/world.ts';
import {
  contentOf,
  create,
  MINUTE,
  openStore,
  processOf,
  restore,
  type Store,
  worldOf,
} from './world.ts';

/** Time passes where somebody sleeps, as the scheduler lets it, and where the test says so. */
function schedulerClock(scheduler: Scheduler): Clock & { pass: (ms: number) => void } {
  let nowMs = 1_700_000_000_000;
  return {
    nowMs: () => nowMs,
    async sleep(ms) {
      // Longer sleeps let others do more: a write may begin and end between two looks at a head.
      for (let leftMs = ms; leftMs > 0; leftMs -= SLEEP_TURN_MS) {
        await scheduler.schedule(Promise.resolve(), `sleep ${ms}`);
        nowMs += 1;
      }
    },
    pass(ms) {
      nowMs += ms;
    },
  };
}

/** A process with its own view of the same disk, all calls through the scheduler. */
function process(scheduler: Scheduler, store: Store, name: string): ReturnType<typeof processOf> {
  const { disk } = store;
  const own: Disk = {
    ...disk,
    objects: scheduled(scheduler, `${name} objects`, disk.objects),
    log: scheduled(scheduler, `${name} log`, disk.log),
    table: scheduled(scheduler, `${name} table`, disk.table),
    global: scheduled(scheduler, `${name} global`, disk.global),
  };
  return processOf(store, own);
}

const SLEEP_TURN_MS = 5;
/** A write takes some twenty turns of its writer. */
const TURNS = 150;
/** Each has its own clock of arrivals, and its own applier. */
const STREAMS = 3;

async function applyStream(ports: ReturnType<typeof processOf>, stream: string): Promise<void> {
  while ((await consumeOnce(ports, stream, 'apply')).entries > 0);
}

type Step = Readonly<{ kind: 'put' | 'delete'; key: number }>;
/** What a writer did, one step behind the answer of the other. */
type Diary = { readonly steps: readonly Step[]; begun: number; acked: number };

const steps = (writer: number) =>
  fc.array(
    fc.record({
      kind: fc.constantFrom('put' as const, 'put' as const, 'delete' as const),
      key: fc.nat(3).map((key) => 100 * writer + key),
    }),
    { minLength: 6, maxLength: 10 },
  );

async function writeAll(ports: ReturnType<typeof processOf>, { collection }: World, diary: Diary) {
  for (const [index, { kind, key }] of diary.steps.entries()) {
    diary.begun = index + 1;
    try {
      if (kind === 'delete')
        await acceptDelete(ports, collection, { victims: [{ key: BigInt(key) }] });
      else {
        // The value says which step wrote it.
        const rows = [row(key, index)];
        await acceptRows(ports, collection, { kind: 'insert', rows, partitionId: 1 });
      }
      diary.acked = index + 1;
    } catch (error) {
      if (!isStoreError(error)) throw error;
      return;
    }
  }
}

/** What a writer's keys hold behind so many of its steps. */
function stateOf({ steps: done }: Diary, count: number): string {
  const live = new Map<string, number>();
  done.slice(0, count).forEach(({ kind, key }, index) => {
    live.delete(String(key));
    if (kind === 'put') live.set(String(key), index);
  });
  return JSON.stringify([...live].sort(([a], [b]) => (a < b ? -1 : 1)));
}

type Seen = Readonly<{ acked: readonly number[]; begun: readonly number[] }>;

/**
 * A copy holds what one moment had: of each writer a prefix of its steps, all that was acknowledged
 * before the copy was begun, and nothing that was begun behind its end.
 */
function expectPrefixes(
  content: readonly [string, number][],
  diaries: readonly Diary[],
  { acked, begun }: Seen,
): void {
  diaries.forEach((diary, writer) => {
    const own = content.filter(([key]) => Math.floor(Number(key) / 100) === writer);
    const least = acked[writer] ?? 0;
    const states = Array.from({ length: (begun[writer] ?? 0) - least + 1 }, (_, more) =>
      stateOf(diary, least + more),
    );
    expect(states).toContain(JSON.stringify(own));
  });
}

const outcomeOf = (error: unknown): string => {
  if (isStoreError(error)) return error.code;
  throw error;
};

test('a snapshot and a clone beside writers hold a prefix of each of them, hours later too (I5, I6, I7, I9)', async () => {
  const outcomes = new Set<string>();
  let sizes = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.constantFrom(1, 2, 3, 3),
      fc.tuple(steps(0), steps(1), steps(2)),
      fc.constantFrom('stays', 'stays', 'is dropped'),
      fc.tuple(fc.nat(TURNS), fc.nat(TURNS)),
      async (scheduler, shards, plans, fate, delays) => {
        const clock = schedulerClock(scheduler);
        const store = openStore(1, clock, STREAMS);
        const source = await create(store, 'source', { shards });
        const diaries = plans.map((plan): Diary => ({ steps: plan, begun: 0, acked: 0 }));
        const count = (what: 'acked' | 'begun') => diaries.map((diary) => diary[what]);
        const writers = diaries.map((diary, index) =>
          writeAll(process(scheduler, store, `writer ${index}`), source, diary),
        );
        const copy = async (name: string, waits: number, take: () => Promise<unknown>) => {
          // Somewhere in the middle of what the writers do.
          for (let turn = 0; turn < waits; turn++) {
            await scheduler.schedule(Promise.resolve(), `${name} waits`);
          }
          const acked = count('acked');
          const outcome = await take().then(() => 'taken', outcomeOf);
          outcomes.add(outcome);
          return { name, outcome, seen: { acked, begun: count('begun') } };
        };
        const taker = process(scheduler, store, 'snapshotter');
        const cloner = process(scheduler, store, 'cloner');
        const clones = openCatalog(cloner);
        const copies = [
          copy('snapshot', delays[0], () =>
            takeSnapshot(taker, source.collection, { name: 'monday', description: '' }),
          ),
          copy('clone', delays[1], () =>
            cloneCollection(cloner, clones, source.collection, {
              dbName: 'default',
              collectionName: 'clone',
            }),
          ),
        ];
        let done = false;
        const working = Promise.all([...writers, ...copies]).finally(() => {
          done = true;
        });
        const dropping =
          fate === 'is dropped'
            ? scheduler
                .schedule(Promise.resolve(), 'drop begins')
                .then(() => {
                  const ports = process(scheduler, store, 'dropper');
                  return dropCollection({ catalog: openCatalog(ports), ports }, source.collection);
                })
                .catch(outcomeOf)
            : undefined;
        const applying = [0, 1, 2].map(async (each) => {
          const applier = process(scheduler, store, `applier ${each}`);
          while (!done) {
            await applyStream(applier, `shard-${each % STREAMS}`);
            // Seldom, as on AWS: several writes of a writer are applied together.
            await applier.clock.sleep(400);
          }
        });
        const merging = (async () => {
          const merger = process(scheduler, store, 'merger');
          const eager = { ...COMPACT_POLICY, levelZeroSegments: 1, idleMs: 0 };
          while (!done) {
            for (const shard of source.shards) {
              await mergeShard(merger, source.collection, shard, eager).catch(outcomeOf);
            }
            await merger.clock.sleep(20);
          }
        })();
        await scheduler.waitFor(Promise.all([working, dropping, ...applying, merging]));
        for (let each = 0; each < STREAMS; each++) {
          await applyStream(processOf(store), `shard-${each}`);
        }

        // Nobody holds anything up, and collect comes round twice.
        const states = (await readPins(store.disk.table)).map(({ pin }) => pin.state);
        expect(states).not.toContain('open');
        for (let round = 0; round < 2; round++) {
          clock.pass(60 * MINUTE);
          expect((await collectRound(store.disk, store.catalog)).failures).toBe(0);
        }
        for (const made of copies) {
          const { name, outcome, seen } = await made;
          if (outcome !== 'taken') continue;
          const world =
            name === 'snapshot'
              ? await restore(store, source, 'monday', 'restored')
              : worldOf(store, await store.catalog.findCollection('default', 'clone'));
          const content = await contentOf(world);
          sizes += content.length;
          expectPrefixes(content, diaries, seen);
          await verifySums(world);
        }
        const pin = await namedPin(store.disk.table, source.collection.collectionId, 'monday');
        expect(pin !== undefined).toBe((await copies[0])?.outcome === 'taken');
      },
    ),
    { numRuns: 80 },
  );
  expect(outcomes).toContain('taken');
  expect(sizes).toBeGreaterThan(0);
  for (const outcome of outcomes) {
    expect(['taken', 'NOT_READY', 'COLLECTION_NOT_FOUND']).toContain(outcome);
  }
}, 120_000);
