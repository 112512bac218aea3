/** Records that cannot be applied, and what mends them. */
import { acceptRows } from '#ingest/accept.ts';
import type { Log, Sequence } from '#ports/log.ts';
import { frameChecksum } from '#wal/frame.ts';
import { decodeRecord, encodeRecord } from '#wal/record-codec.ts';
import { payloadKey, type ShardId } from '#wal/shard.ts';
import { type Process, row, start, type World } from './world.ts';

export const SHARD: ShardId = { collectionId: 7, shard: 0 };

export const insert = (ports: Process, world: World, ...keys: readonly number[]) =>
  acceptRows(ports, world.collection, {
    kind: 'insert',
    rows: keys.map((key) => row(key, key)),
    partitionId: 1,
  });

export type Poison = Readonly<{
  sequence: Sequence;
  /** Puts the object of the record, which was lost on its way. */
  mend(): Promise<void>;
}>;

/**
 * Makes of a record's bytes what the log then holds. `missing`: its payload is an object that is not
 * there; `garbage`: no record; `alien`: one of another shard.
 */
export type PoisonKind = 'missing' | 'garbage' | 'large-garbage' | 'alien';

/** An acknowledged insert of one row whose record cannot be applied. */
export async function insertPoison(
  world: World,
  key: number,
  kind: PoisonKind = 'missing',
): Promise<Poison> {
  const { disk } = world;
  let sequence = '';
  let mend = async (): Promise<void> => {};
  const log: Log = {
    streamShards: () => disk.log.streamShards(),
    read: (...rest) => disk.log.read(...rest),
    wait: (...rest) => disk.log.wait(...rest),
    checkpoint: (...rest) => disk.log.checkpoint(...rest),
    saveCheckpoint: (...rest) => disk.log.saveCheckpoint(...rest),
    trim: (...rest) => disk.log.trim(...rest),
    append: async (partition, data, options) => {
      const spoilt = spoil(world, data, kind, key);
      mend = spoilt.mend;
      const appended = await disk.log.append(partition, spoilt.data, options);
      sequence = appended.sequence;
      return appended;
    },
  };
  await insert(start(world, { ...disk, log }), world, key);
  return { sequence, mend };
}

function spoil(world: World, data: Uint8Array, kind: PoisonKind, key: number) {
  const mend = async (): Promise<void> => {};
  if (kind === 'garbage') return { data: new Uint8Array(40).fill(key), mend };
  if (kind === 'large-garbage') return { data: new Uint8Array(300_000).fill(key), mend };
  const record = decodeRecord(data);
  if (kind === 'alien') return { data: encodeRecord({ ...record, shard: 5 }), mend };
  const { body } = record;
  if (body.kind !== 'write' || body.payload.at !== 'inline') throw new Error('an inline write');
  const { bytes } = body.payload;
  const objectKey = payloadKey(SHARD, world.disk.clock.nowMs(), `lost-${key}`);
  const payload = {
    at: 'object',
    key: objectKey,
    sizeBytes: bytes.length,
    crc32: frameChecksum(bytes),
  } as const;
  return {
    data: encodeRecord({ ...record, body: { ...body, payload } }),
    mend: () => world.disk.objects.put(objectKey, bytes),
  };
}
