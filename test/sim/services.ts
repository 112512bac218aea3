/**
 * The services that all environments of a history share, and what an oracle sees when it looks over
 * their shoulder: every entry of the log, every object ever put, every head row, in the moment in
 * which it takes effect.
 */
import { crc32 } from '#base/bytes.ts';
import { parsePosition } from '#base/position.ts';
import { decodeManifest } from '#manifest/codec.ts';
import type { Manifest } from '#manifest/format.ts';
import { decodeHead, headKey } from '#manifest/head.ts';
import { reachableKeys } from '#manifest/history.ts';
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

/** An entry of the log as it arrived. */
export type LoggedRecord = Readonly<{ entry: LogEntry; record: WalRecord }>;

export type Violation = Readonly<{ invariant: string; what: string }>;

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
  readonly violations: Violation[] = [];
  /** Objects deleted, by kind. */
  readonly deleted = new Map<string, number>();
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
    this.#trace = trace;
    this.objects = new MemoryObjectStore(clock);
    const entropy = new SeededEntropy(`${seed} log`);
    this.log = new MemoryLog({ clock, streamShards, entropy });
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
  manifestOf(shard: ShardId): Readonly<{ manifest: Manifest; objectKey?: string }> | undefined {
    const row = this.table.peek(headKey(shard));
    return row && this.#decode(row.value, shardName(shard));
  }

  #decode(value: Uint8Array, name: string): Readonly<{ manifest: Manifest; objectKey?: string }> {
    const head = decodeHead(value, `head of ${name}`);
    if (head.at === 'inline') return { manifest: decodeManifest(head.bytes, name) };
    const bytes = this.everPut.get(head.key) ?? new Uint8Array(0);
    return { manifest: decodeManifest(bytes, head.key), objectKey: head.key };
  }

  #watchedObjects(): ObjectStore {
    const { objects } = this;
    return {
      put: (key, bytes) => {
        this.#trace(`put ${key} ${bytes.length} ${crc32(bytes)}`);
        this.everPut.set(key, new Uint8Array(bytes));
        return objects.put(key, bytes);
      },
      get: (key, range) => objects.get(key, range),
      head: (key) => objects.head(key),
      list: (prefix, options) => objects.list(prefix, options),
      delete: (keys) => {
        for (const key of keys) if (objects.has(key)) this.#checkDelete(key);
        return objects.delete(keys);
      },
      copy: (from, to) => objects.copy(from, to),
    };
  }

  /** I6: what a head names, and what a record that is yet to be applied names, is not deleted. */
  #checkDelete(key: string): void {
    const [, collectionId, shard, kind = ''] = key.split('/');
    this.deleted.set(kind, (this.deleted.get(kind) ?? 0) + 1);
    const id = { collectionId: Number(collectionId), shard: Number(shard) };
    const head = this.manifestOf(id);
    if (head === undefined) return;
    const { manifest, objectKey } = head;
    if (reachableKeys(manifest).has(key) || objectKey === key) {
      this.violate('I6', `${key} is deleted while the head of ${shardName(id)} names it`);
    }
    if (kind === 'payload') this.#checkPayload(id, manifest, key);
  }

  #checkPayload(id: ShardId, { applied }: Manifest, key: string): void {
    const done = applied === '' ? '0' : parsePosition(applied).sequence;
    for (const { entry, record } of this.logged.get(shardName(id)) ?? []) {
      const { body } = record;
      if (body.kind !== 'write' || body.payload.at !== 'object' || body.payload.key !== key)
        continue;
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
        const page = await log.read(appended.streamShard, {
          limit: 1,
          after: (BigInt(appended.sequence) - 1n).toString(),
        });
        const [entry] = page;
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
    this.#trace(`append ${partition} ${entry.sequence} ${crc32(entry.data)}`);
    const own = this.logged.get(partition) ?? [];
    this.logged.set(partition, own);
    own.push({ entry, record: decodeRecord(entry.data, `record ${entry.sequence}`) });
  }

  #watchedTable(table: MemoryTable, port: 'table' | 'global'): Table {
    return {
      get: (key) => table.get(key),
      query: (partition, options) => table.query(partition, options),
      put: async (key, value, condition) => {
        const before = port === 'table' && key.sort === 'head' ? this.#applied(key) : undefined;
        const version = await table.put(key, value, condition);
        this.#trace(`put ${port} ${key.partition} ${key.sort} ${crc32(value)} ${version ?? 'no'}`);
        if (before !== undefined && version !== undefined) this.#checkHead(key, value, before);
        return version;
      },
      delete: async (key, condition) => {
        if (port === 'table' && key.sort.startsWith('tail/')) this.#checkSweep(key);
        const done = await table.delete(key, condition);
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
    const { manifest, objectKey } = this.#decode(value, key.partition);
    if (manifest.applied < before) {
      this.violate('I2', `${key.partition}: applied falls from ${before} to ${manifest.applied}`);
    }
    for (const reached of [...reachableKeys(manifest), ...(objectKey ? [objectKey] : [])]) {
      if (this.objects.has(reached)) continue;
      this.violate(
        'I6',
        `${key.partition}: version ${manifest.version} names ${reached}, which is not there`,
      );
    }
  }

  /** I4: a tail row goes only when the manifest covers its record. */
  #checkSweep(key: RowKey): void {
    const position = key.sort.slice('tail/'.length);
    if (position <= this.#applied(key)) return;
    this.violate('I4', `${key.partition}: the tail row of ${position} goes before it is applied`);
  }
}
