/**
 * Ports that count what AWS would bill for each call, and how many calls wait for one another.
 *
 * The rules are those of the adapters in `shared/aws` (one call of a port is one request, but for
 * objects in parts and queries of several pages) and of AWS's price lists:
 * - S3: PUT, COPY, POST and LIST are one class, GET and HEAD another; deleting is free. An object
 *   above 16 MiB is created, put in parts of 16 MiB, and completed.
 * - Kinesis: a record costs one payload unit per 25 KB begun, or on demand its size in whole KB. The
 *   partition's name counts as part of the record.
 * - DynamoDB: a write costs a unit per KB begun of the larger of the old and the new item, also where
 *   its condition fails; a consistent read a unit per 4 KB begun, one at least; a query the same of
 *   all that a page of 1 MB holds.
 */
import type { Requests } from '#cli/cost-counts.ts';
import type { Log } from '#ports/log.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Row, RowKey, Table } from '#ports/table.ts';
import type { ManualClock } from '#sim/manual-clock.ts';

/** The same as in `aws/object-store`; a test compares it with what the adapter sends. */
export const MULTIPART_BYTES = 16 * 1024 * 1024;
const COPY_PART_BYTES = 256 * 1024 * 1024;
const PAYLOAD_UNIT_BYTES = 25 * 1024;
const WRITE_UNIT_BYTES = 1024;
const READ_UNIT_BYTES = 4 * 1024;
const PAGE_BYTES = 1024 * 1024;

/** How long each port takes by the meter's own clock: the digits of a sum then say what was waited for. */
const WAIT_MS = { table: 1, objects: 1_000, log: 1_000_000 } as const;

export type Tally = { -readonly [name in keyof Requests]: number };

export const emptyTally = (): Tally => ({
  s3Writes: 0,
  s3Reads: 0,
  streamUnits: 0,
  streamKb: 0,
  readUnits: 0,
  writeUnits: 0,
  globalReadUnits: 0,
  globalWriteUnits: 0,
  tableSteps: 0,
  objectSteps: 0,
  logSteps: 0,
});

/** Counts into `tally`; each call takes its time by `clock`, which nobody else uses. */
export type Meter = Readonly<{ tally: Tally; clock: ManualClock }>;

export function countingObjects(store: ObjectStore, { tally, clock }: Meter): ObjectStore {
  const wait = () => clock.sleep(WAIT_MS.objects);
  return {
    async put(key, bytes) {
      tally.s3Writes += partsOf(bytes.length, MULTIPART_BYTES);
      await wait();
      await store.put(key, bytes);
    },
    async get(key, range) {
      tally.s3Reads += 1;
      await wait();
      return store.get(key, range);
    },
    async head(key) {
      tally.s3Reads += 1;
      await wait();
      return store.head(key);
    },
    async list(prefix, options) {
      tally.s3Writes += 1;
      await wait();
      return store.list(prefix, options);
    },
    async delete(keys) {
      await wait();
      await store.delete(keys);
    },
    async copy(from, to) {
      const sizeBytes = (await store.head(from))?.sizeBytes ?? 0;
      tally.s3Reads += 1;
      tally.s3Writes += partsOf(sizeBytes, COPY_PART_BYTES);
      await wait();
      await store.copy(from, to);
    },
  };
}

/** Requests for an object: one, or a creation, its parts and a completion. */
const partsOf = (sizeBytes: number, partBytes: number): number =>
  sizeBytes <= partBytes ? 1 : Math.ceil(sizeBytes / partBytes) + 2;

export function countingLog(log: Log, { tally, clock }: Meter): Log {
  return {
    async append(partition, data, options) {
      const sizeBytes = data.length + Buffer.byteLength(partition);
      tally.streamUnits += Math.ceil(sizeBytes / PAYLOAD_UNIT_BYTES);
      tally.streamKb += Math.ceil(sizeBytes / 1024);
      await clock.sleep(WAIT_MS.log);
      return log.append(partition, data, options);
    },
    // The event source reads the stream, not the engine: no act that is metered reaches these.
    streamShards: () => log.streamShards(),
    read: (streamShard, options) => log.read(streamShard, options),
    wait: (streamShard, after, timeoutMs) => log.wait(streamShard, after, timeoutMs),
    checkpoint: (consumer, streamShard) => log.checkpoint(consumer, streamShard),
    saveCheckpoint: (consumer, streamShard, sequence) =>
      log.saveCheckpoint(consumer, streamShard, sequence),
    trim: (streamShard, through) => log.trim(streamShard, through),
  };
}

/** `global`: its writes are replicated where there are several regions, and cost another price. */
export function countingTable(table: Table, { tally, clock }: Meter, global = false): Table {
  const wait = () => clock.sleep(WAIT_MS.table);
  const read = (sizeBytes: number) => {
    const units = Math.max(1, Math.ceil(sizeBytes / READ_UNIT_BYTES));
    tally[global ? 'globalReadUnits' : 'readUnits'] += units;
  };
  const write = (sizeBytes: number) => {
    const units = Math.max(1, Math.ceil(sizeBytes / WRITE_UNIT_BYTES));
    tally[global ? 'globalWriteUnits' : 'writeUnits'] += units;
  };
  const sizeAt = async (key: RowKey) => {
    const row = await table.get(key);
    return row === undefined ? 0 : itemBytes(row);
  };
  return {
    async get(key) {
      await wait();
      const row = await table.get(key);
      read(row === undefined ? 0 : itemBytes(row));
      return row;
    },
    async query(partition, options) {
      const rows = await table.query(partition, options);
      for (const page of pagesOf(rows.map(itemBytes))) {
        read(page);
        await wait();
      }
      return rows;
    },
    async put(key, value, condition) {
      await wait();
      const before = await sizeAt(key);
      const version = await table.put(key, value, condition);
      write(Math.max(before, itemBytes({ ...key, version: version ?? 1, value })));
      return version;
    },
    async delete(key, condition) {
      await wait();
      write(await sizeAt(key));
      return table.delete(key, condition);
    },
  };
}

/** Bytes by page; an empty answer is a page as well. */
function pagesOf(sizes: readonly number[]): number[] {
  const pages = [0];
  for (const size of sizes) {
    const last = pages.length - 1;
    if ((pages[last] ?? 0) + size > PAGE_BYTES) pages.push(size);
    else pages[last] = (pages[last] ?? 0) + size;
  }
  return pages;
}

/**
 * Names and values of the four attributes `p`, `s`, `v`, `b`. A number takes a byte per two digits
 * and one more.
 */
export const itemBytes = ({ partition, sort, version, value }: Row): number =>
  4 + partition.length + sort.length + Math.ceil(String(version).length / 2) + 1 + value.length;

/** What a stretch of the meter's clock says about who was waited for, one behind the other. */
export function stepsOf(elapsedMs: number): Pick<Tally, 'tableSteps' | 'objectSteps' | 'logSteps'> {
  return {
    tableSteps: elapsedMs % WAIT_MS.objects,
    objectSteps: Math.floor(elapsedMs / WAIT_MS.objects) % (WAIT_MS.log / WAIT_MS.objects),
    logSteps: Math.floor(elapsedMs / WAIT_MS.log),
  };
}
