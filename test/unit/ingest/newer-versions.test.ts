/**
 * Old functions beside new ones, in the minutes of an upgrade: whatever a newer Sterna wrote is refused
 * as such and left as it is. A record is held and delivered again, never skipped, and it is applied once
 * when whoever reads it is there (I1, I2). docs/operations/upgrade.md promises this.
 */
import { describe, expect, test } from 'vitest';
import { crc32 } from '#base/bytes.ts';
import { acceptRows } from '#ingest/accept.ts';
import { consumeOnce } from '#ingest/consume.ts';
import { replayShard } from '#ingest/parked-replay.ts';
import { mergeShard } from '#maintain/compact.ts';
import { COMPACT_POLICY } from '#maintain/pick.ts';
import { headKey } from '#manifest/head.ts';
import type { Log } from '#ports/log.ts';
import type { RowKey } from '#ports/table.ts';
import type { AwsEngine } from '#runtime/aws.ts';
import { applyStream } from '#runtime/stream.ts';
import { readParked } from '#wal/parked.ts';
import { encodeParkedEntry, readParkedEntries, sortableSequence } from '#wal/parked-entries.ts';
import {
  liveValues,
  manifestOf,
  openWorld,
  type Process,
  row,
  STREAM,
  start,
  verifySums,
  type World,
} from './world.ts';

const SHARD = { collectionId: 7, shard: 0 };
const VERSION_AT = 4;
const CRC_BYTES = 4;

/** The frame with the version behind its own, as a newer Sterna would write it. */
function asNewer(frame: Uint8Array): Uint8Array {
  const newer = Uint8Array.from(frame);
  newer[VERSION_AT] = (newer[VERSION_AT] ?? 0) + 1;
  const end = newer.length - CRC_BYTES;
  new DataView(newer.buffer).setUint32(end, crc32(newer.subarray(0, end)), true);
  return newer;
}

const insert = (ports: Process, world: World, ...keys: readonly number[]) =>
  acceptRows(ports, world.collection, {
    kind: 'insert',
    rows: keys.map((key) => row(key, key)),
    partitionId: 1,
  });

/** The log as an old reader sees it: what is in `newer` is of a version that it does not know. */
const logWithNewer = (log: Log, newer: ReadonlySet<string>): Log => ({
  append: (partition, data, options) => log.append(partition, data, options),
  streamShards: () => log.streamShards(),
  wait: (streamShard, after, timeoutMs) => log.wait(streamShard, after, timeoutMs),
  checkpoint: (consumer, streamShard) => log.checkpoint(consumer, streamShard),
  saveCheckpoint: (consumer, streamShard, sequence) =>
    log.saveCheckpoint(consumer, streamShard, sequence),
  trim: (streamShard, through) => log.trim(streamShard, through),
  read: async (streamShard, options) =>
    (await log.read(streamShard, options)).map((entry) =>
      newer.has(entry.sequence) ? { ...entry, data: asNewer(entry.data) } : entry,
    ),
});

/** Rows in both of two shards; the second record of one of them is newer for whoever reads `old`. */
async function withNewerRecord() {
  const world = await openWorld({ shards: 2 });
  const ports = start(world);
  for (let round = 0; round < 4; round++) {
    await insert(ports, world, ...Array.from({ length: 8 }, (_, key) => 10 * round + key));
  }
  const entries = await world.disk.log.read(STREAM, { limit: 100 });
  const held = entries.filter(({ partition }) => partition === 'c7-0');
  const second = held[1];
  if (second === undefined) throw new Error('too few records');
  const old = start(world, {
    ...world.disk,
    log: logWithNewer(world.disk.log, new Set([second.sequence])),
  });
  return { world, old, held, second };
}

describe('an old apply that meets a newer record', () => {
  test('parks its shard and no other, however often it comes, and the new one applies it once', async () => {
    const { world, old, second } = await withNewerRecord();
    for (let delivery = 0; delivery < 3; delivery++) {
      const { failed, skipped, parked } = await consumeOnce(old, STREAM, `apply-${delivery}`);
      expect({ failed, skipped }).toEqual({ failed: [], skipped: 0 });
      expect(parked > 0).toBe(delivery === 0);
      expect((await replayShard(old, SHARD)).parked).toMatchObject({ code: 'FORMAT_TOO_NEW' });
    }
    const before = await manifestOf(world, 0);
    expect((await manifestOf(world, 1)).rowsApplied).toBeGreaterThan(0);
    // Acknowledged rows are read from the tail meanwhile.
    expect(await liveValues(world)).toHaveLength(32);

    // The new one can read what the log held.
    await world.disk.table.put(
      { partition: 'c7-0', sort: `park/${sortableSequence(second.sequence)}` },
      encodeParkedEntry({
        arrivalMs: second.arrivalMs,
        data: { at: 'inline', bytes: second.data },
      }),
    );
    expect((await replayShard(start(world), SHARD)).parked).toBeUndefined();
    const rows =
      (await manifestOf(world, 0)).rowsApplied + (await manifestOf(world, 1)).rowsApplied;
    expect(rows).toBe(32);
    expect((await manifestOf(world, 0)).rowsApplied).toBeGreaterThan(before.rowsApplied);
    expect(await liveValues(world)).toHaveLength(32);
    await verifySums(world);
  });

  test('keeps it, so that the event source goes on', async () => {
    const { world, old, held } = await withNewerRecord();
    const delivered = await old.log.read(STREAM, { limit: 100 });
    // The parts of an engine that this door asks for.
    const engine = {
      ports: old,
      catalog: old.collections,
      flush: () => {},
    } as unknown as AwsEngine;
    const { batchItemFailures } = await applyStream(async () => engine)({
      Records: delivered.map(({ sequence, partition, data, arrivalMs }) => ({
        kinesis: {
          sequenceNumber: sequence,
          partitionKey: partition,
          data: Buffer.from(data).toString('base64'),
          approximateArrivalTimestamp: arrivalMs / 1000,
        },
      })),
    });
    expect(batchItemFailures).toEqual([]);
    const kept = await readParkedEntries(world.disk, SHARD, '9'.repeat(20), 1000);
    expect(kept.map(({ sequence }) => sequence)).toEqual(
      held.slice(1).map(({ sequence }) => sequence),
    );
  });
});

describe('a row that a newer Sterna wrote is refused and stays as it is', () => {
  async function replaced(world: World, key: RowKey): Promise<Uint8Array> {
    const found = await world.disk.table.get(key);
    if (found === undefined) throw new Error(`no row ${key.partition} ${key.sort}`);
    const newer = asNewer(found.value);
    await world.disk.table.put(key, newer);
    return newer;
  }
  const HEAD = headKey(SHARD);

  test('a head: by apply, by merging, by reads', async () => {
    const world = await openWorld();
    const ports = start(world);
    await insert(ports, world, 1);
    const newer = await replaced(world, HEAD);
    expect(await consumeOnce(start(world), STREAM, 'apply')).toMatchObject({ parked: 1 });
    const { parked } = await readParked(world.disk.table, SHARD);
    expect(parked).toMatchObject({ isParked: true, code: 'FORMAT_TOO_NEW', sequence: undefined });
    const merging = mergeShard(ports, world.collection, SHARD, COMPACT_POLICY);
    await expect(merging).rejects.toMatchObject({ code: 'FORMAT_TOO_NEW' });
    await expect(liveValues(world)).rejects.toMatchObject({ code: 'FORMAT_TOO_NEW' });
    expect((await world.disk.table.get(HEAD))?.value).toEqual(newer);
  });

  test('a tail row: by reads, which would else leave out what was acknowledged (I4)', async () => {
    const world = await openWorld();
    await insert(start(world), world, 1);
    const [tail] = await world.disk.table.query('c7-0', { prefix: 't' });
    if (tail === undefined) throw new Error('no tail row');
    await replaced(world, tail);
    await expect(liveValues(world)).rejects.toMatchObject({ code: 'FORMAT_TOO_NEW' });
  });

  test('a gate: by writers, before anything is logged (I11)', async () => {
    const world = await openWorld();
    await replaced(world, { partition: 'c7-0', sort: 'gate' });
    const writing = insert(start(world), world, 1);
    await expect(writing).rejects.toMatchObject({ code: 'FORMAT_TOO_NEW' });
    expect(await world.disk.log.read(STREAM, { limit: 10 })).toEqual([]);
  });
});
