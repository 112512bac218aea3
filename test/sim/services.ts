/**
 * The services that all environments of a history share, and what an oracle sees when it looks over
 * their shoulder: every entry of the log, every object ever put, every head row, in the moment in
 * which it takes effect.
 */
import { crc32 } from '#base/bytes.ts';
import { StoreError } from '#base/errors.ts';
import { parsePosition } from '#base/position.ts';
import type { Manifest } from '#manifest/format.ts';
import { compareSequences, type Log, type LogEntry } from '#ports/log.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { RowKey, Table } from '#ports/table.ts';
import type { Services } from '#sim/environment.ts';
import { MemoryLog } from '#sim/memory-log.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import type { Schedule } from '#sim/schedule.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import type { WalRecord } from '#wal/record.ts';
import { decodeRecord } from '#wal/record-codec.ts';
import { parseShardName, payloadMintMs, type ShardId, shardName } from '#wal/shard.ts';
import { type HeadSeen, Records } from './records.ts';

/** An entry of the log as it arrived; without a record where its bytes are none. */
export type LoggedRecord = Readonly<{ entry: LogEntry; record: WalRecord | undefined }>;

export type Violation = Readonly<{ invariant: string; what: string }>;

/** Of all entries, where nobody has read the one before which they go. */
const REORDER = 0.3;

export class World {
  readonly objects: MemoryObjectStore;
  readonly log: MemoryLog;
  readonly table = new MemoryTable();
  readonly global = new MemoryTable();
  /** What environments get: the same, looked over. */
  readonly services: Services;
  /** Every record of the log by shard, in log order, trimmed ones too. */
  readonly logged = new Map<string, LoggedRecord[]>();
  /** Every object that was ever put, deleted ones too. */
  readonly everPut = new Map<string, Uint8Array>();
  readonly records = new Records(this.everPut);
  readonly violations: Violation[] = [];
  /** Objects deleted, by kind. */
  readonly deleted = new Map<string, number>();
  /** Entries that were kept as rows of a parked shard. */
  parkedEntries = 0;
  /** Shards that were ever parked. */
  readonly parkedShards = new Set<string>();
  /** Payloads that nobody finds, and until when; for ever where an operator has to decide. */
  readonly hidden = new Map<string, number>();
  /** Asked for each new payload: for how long nobody finds it, if so. */
  hidesPayload: () => number | undefined = () => undefined;
  readonly #nowMs: () => number;
  readonly #trace: (what: string) => void;

  constructor(
    seed: string,
    schedule: Schedule,
    streamShards: number,
    trace: (what: string) => void,
  ) {
    const clock = {
      nowMs: () => Math.floor(schedule.nowMs()),
      sleep: (ms: number) => schedule.sleep(ms),
    };
    this.#nowMs = clock.nowMs;
    this.#trace = trace;
    this.objects = new MemoryObjectStore(clock);
    const entropy = new SeededEntropy(`${seed} log`);
    this.log = new MemoryLog({ clock, streamShards, entropy, reorder: REORDER });
    this.services = {
      objects: this.#watchedObjects(),
      log: this.#watchedLog(),
      table: this.#watchedTable(this.table, 'table'),
      global: this.#watchedTable(this.global, 'global'),
    };
  }

  violate(invariant: string, what: string): void {
    this.violations.push({ invariant, what });
  }

  /** What the shard's head row says now; undefined where there is none. */
  manifestOf(shard: ShardId): HeadSeen | undefined {
    return this.records.headOf(shard);
  }

  /** Whether a failure is about a payload that the history hides. */
  isAboutHidden(message: string): boolean {
    return [...this.hidden.keys()].some((key) => message.includes(key));
  }

  #find(key: string): void {
    if ((this.hidden.get(key) ?? 0) > this.#nowMs()) {
      throw new StoreError('OBJECT_NOT_FOUND', `there is no object ${key}`);
    }
  }

  #watchedObjects(): ObjectStore {
    const { objects } = this;
    return {
      put: (key, bytes) => {
        this.#trace(`put ${key} ${bytes.length} ${nameOf(bytes)}`);
        if (!this.everPut.has(key) && key.includes('/payload/')) {
          const hiddenMs = this.hidesPayload();
          if (hiddenMs !== undefined) this.hidden.set(key, this.#nowMs() + hiddenMs);
        }
        this.everPut.set(key, new Uint8Array(bytes));
        return objects.put(key, bytes);
      },
      get: async (key, range) => {
        this.#find(key);
        return objects.get(key, range);
      },
      head: (key) => objects.head(key),
      list: (prefix, options) => objects.list(prefix, options),
      delete: (keys) => {
        for (const key of keys) if (objects.has(key)) this.#checkDelete(key);
        return objects.delete(keys);
      },
      copy: (from, to) => objects.copy(from, to),
    };
  }

  /**
   * I6, I9: what any head names, what a pin holds, and what a record that is yet to be applied names, is
   * not deleted.
   */
  #checkDelete(key: string): void {
    const [, collectionId, shard, kind = ''] = key.split('/');
    this.deleted.set(kind, (this.deleted.get(kind) ?? 0) + 1);
    for (const [name, { keys }] of this.records.heads) {
      // What a dropped collection names is garbage, unless somebody else names it.
      if (this.records.isDropped(name)) continue;
      if (keys.has(key)) this.violate('I6', `${key} is deleted while the head of ${name} names it`);
    }
    for (const [name, pin] of this.records.pins) {
      if (!this.records.holds(pin) || !this.records.cuts.get(pin.pinId)?.keys.has(key)) continue;
      const invariant = pin.name === undefined ? 'I6' : 'I9';
      this.violate(invariant, `${key} is deleted while the pin ${name} holds it`);
    }
    const id = { collectionId: Number(collectionId), shard: Number(shard) };
    const head = this.manifestOf(id);
    if (kind === 'payload' && head !== undefined) this.#checkPayload(id, head.manifest, key);
  }

  #checkPayload(id: ShardId, { applied }: Manifest, key: string): void {
    const done = applied === '' ? '0' : parsePosition(applied).sequence;
    for (const { entry, record } of this.logged.get(shardName(id)) ?? []) {
      const body = record?.body;
      if (record === undefined || body?.kind !== 'write') continue;
      if (body.payload.at !== 'object' || body.payload.key !== key) continue;
      if (compareSequences(entry.sequence, done) <= 0 || entry.arrivalMs > record.deadlineMs)
        continue;
      const mintMs = payloadMintMs(key) ?? 0;
      this.violate(
        'I6',
        `${key}, minted ${entry.arrivalMs - mintMs} ms before its record arrived, is deleted before record ${entry.sequence} is applied`,
      );
    }
  }

  #watchedLog(): Log {
    const { log } = this;
    return {
      append: async (partition, data, options) => {
        const appended = await log.append(partition, data, options);
        const entry = log.peek(appended.streamShard, appended.sequence);
        if (entry !== undefined) this.#logged(partition, entry);
        return appended;
      },
      streamShards: () => log.streamShards(),
      read: (streamShard, options) => log.read(streamShard, options),
      wait: (streamShard, after, timeoutMs) => log.wait(streamShard, after, timeoutMs),
      checkpoint: (consumer, streamShard) => log.checkpoint(consumer, streamShard),
      saveCheckpoint: (consumer, streamShard, sequence) =>
        log.saveCheckpoint(consumer, streamShard, sequence),
      trim: (streamShard, through) => log.trim(streamShard, through),
    };
  }

  #logged(partition: string, entry: LogEntry): void {
    this.#trace(`append ${partition} ${entry.sequence} ${nameOf(entry.data)}`);
    const own = this.logged.get(partition) ?? [];
    this.logged.set(partition, own);
    own.push({ entry, record: recordOf(entry) });
  }

  #watchedTable(table: MemoryTable, port: 'table' | 'global'): Table {
    return {
      get: (key) => table.get(key),
      query: (partition, options) => table.query(partition, options),
      put: async (key, value, condition) => {
        const before = port === 'table' && key.sort === 'head' ? this.#applied(key) : undefined;
        const version = await table.put(key, value, condition);
        this.#trace(`put ${port} ${key.partition} ${key.sort} ${nameOf(value)} ${version ?? 'no'}`);
        if (version === undefined) return version;
        if (before !== undefined) this.#checkHead(key, value, before);
        else this.#checkRow(key, value);
        return version;
      },
      delete: async (key, condition) => {
        if (port === 'table' && key.sort.startsWith('tail/')) this.#checkSweep(key);
        const done = await table.delete(key, condition);
        if (done) this.records.delete(key);
        this.#trace(`delete ${port} ${key.partition} ${key.sort} ${done}`);
        return done;
      },
    };
  }

  #applied(key: RowKey): string {
    const shard = parseShardName(key.partition);
    return (shard && this.manifestOf(shard)?.manifest.applied) ?? '';
  }

  /** I2: the applied position never falls. I6: a head names nothing that is not there. */
  #checkHead(key: RowKey, value: Uint8Array, before: string): void {
    const head = this.records.decode(value, key.partition);
    const { manifest } = head;
    this.records.putHead(key.partition, head);
    if (manifest.applied < before) {
      this.violate('I2', `${key.partition}: applied falls from ${before} to ${manifest.applied}`);
    }
    this.#checkThere(`${key.partition}: version ${manifest.version}`, head.keys);
  }

  #checkThere(who: string, keys: Iterable<string>): void {
    for (const key of keys) {
      if (!this.objects.has(key)) this.violate('I6', `${who} names ${key}, which is not there`);
    }
  }

  #checkRow(key: RowKey, value: Uint8Array): void {
    if (key.sort.startsWith('park/')) {
      this.parkedEntries += 1;
      this.parkedShards.add(key.partition);
    }
    const cut = this.records.put(key, value, this.#nowMs());
    if (cut !== undefined) this.#checkThere(`the cut of pin ${key.sort}`, cut.keys);
  }

  /** I4: a tail row goes only when the manifest covers its record. */
  #checkSweep(key: RowKey): void {
    const position = key.sort.slice('tail/'.length);
    if (this.records.isDropped(key.partition) || position <= this.#applied(key)) return;
    this.violate('I4', `${key.partition}: the tail row of ${position} goes before it is applied`);
  }
}

/** Without the last four bytes: with its own checksum at its end every frame has the same one. */
const nameOf = (bytes: Uint8Array): number => crc32(bytes.subarray(0, -4));

function recordOf({ data, sequence }: LogEntry): WalRecord | undefined {
  try {
    return decodeRecord(data, `record ${sequence}`);
  } catch {
    return undefined;
  }
}
