/**
 * The stream is split and merged, again and again, while clients write and read through the packaged
 * functions: order and rows hold (I2, I4). The poller crashes at each change, since that is when AWS
 * moves stream shards between pollers.
 */
import { ListShardsCommand } from '@aws-sdk/client-kinesis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kinesisClient } from '#aws/clients.ts';
import { must } from '#base/assert.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import { mergeShards, splitShard } from '../support/emulators/kinesis.ts';
import { newCounts, readRows, reasonsOf, runClient } from '../support/lambda/clients.ts';
import { createRows, deploy, portsOf } from '../support/lambda/deployed.ts';
import { Oracle } from '../support/lambda/oracle.ts';
import type { Stack } from '../support/lambda/stack.ts';
import { verifySumsOf } from '../support/verify-sums.ts';

const SEED = Number(process.env['STERNA_FAULT_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
/** Of the collection: as many partition keys, which splits and merges move about. */
const SHARDS = 5;
const WRITERS = 4;
const KEYS_PER_WRITER = 100;
const CHANGES = 10;
const ACKED_BETWEEN_CHANGES = 20;
const COLLECTION = 'reshard';
const NOT_YET = 'Kinesis does not yet take an entry';

let stack: Stack;
beforeAll(async () => {
  stack = await deploy({ shards: 1, pollMs: 20, windowMs: 50 });
  await createRows(stack.url, COLLECTION, SHARDS);
});
afterAll(() => stack?.close());

type OpenShard = Readonly<{ name: string; first: bigint; last: bigint }>;

test('splits and merges lose nothing and keep the order', async () => {
  const entropy = new SeededEntropy(SEED);
  const next = (): number => entropy.random();
  const oracle = new Oracle(SHARDS);
  const counts = newCounts();
  const client = kinesisClient(stack.settings);
  const streamName = stack.nameOf('WalStream');
  let isOver = false;
  let stamps = 0;
  const clients = Array.from({ length: WRITERS }, (_, writer) =>
    runClient(
      {
        url: stack.url,
        collectionName: COLLECTION,
        oracle,
        firstKey: writer * KEYS_PER_WRITER,
        keys: KEYS_PER_WRITER,
        next,
        stamp: () => ++stamps,
        counts,
        withIds: 0.5,
      },
      () => isOver,
    ),
  );

  const openShards = async (): Promise<readonly OpenShard[]> => {
    const { Shards = [] } = await client.send(new ListShardsCommand({ StreamName: streamName }));
    return Shards.filter(
      ({ SequenceNumberRange: range }) => range?.EndingSequenceNumber === undefined,
    )
      .map(({ ShardId, HashKeyRange: range }) => ({
        name: must(ShardId, 'a stream shard has a name'),
        first: BigInt(must(range?.StartingHashKey, 'a stream shard has a first hash')),
        last: BigInt(must(range?.EndingHashKey, 'a stream shard has a last hash')),
      }))
      .sort((a, b) => (a.first < b.first ? -1 : 1));
  };
  const change = async (): Promise<'split' | 'merge'> => {
    const open = await openShards();
    const at = Math.floor(next() * open.length);
    const [one, neighbour] = [must(open[at], 'an open stream shard'), open[at + 1]];
    // One to five of them, now more, now fewer.
    if (neighbour === undefined || open.length < 2 || (open.length < 5 && next() < 0.6)) {
      await splitShard(client, streamName, one.name, (one.first + one.last) / 2n + 1n);
      return 'split';
    }
    await mergeShards(client, streamName, one.name, neighbour.name);
    return 'merge';
  };

  const changes = { split: 0, merge: 0 };
  for (let round = 0; round < CHANGES; round++) {
    const wanted = oracle.counts.acknowledged + ACKED_BETWEEN_CHANGES;
    await expect
      .poll(() => oracle.counts.acknowledged, { timeout: 60_000 })
      .toBeGreaterThan(wanted);
    changes[await change()] += 1;
    stack.eventSource.crash(Math.floor(next() * 4));
    if (round % 3 === 0) await stack.schedule('compact').run();
  }
  isOver = true;
  await Promise.all(clients);
  await stack.eventSource.idle();
  const rows = await readRows({ url: stack.url, collectionName: COLLECTION, counts }, 'id >= 0');
  oracle.settle(rows);
  const ports = portsOf(stack);
  const shards = await verifySumsOf(ports);
  ports.close();
  client.destroy();
  console.log(
    `resharding test: seed ${SEED}, ${changes.split} splits and ${changes.merge} merges under ${oracle.counts.acknowledged} acknowledged writes; ` +
      `${rows.length} rows verified, ${oracle.lost} lost, ${oracle.resurrected} resurrected, ${oracle.torn} torn; sums agree in ${shards} shards`,
  );
  expect(changes.split).toBeGreaterThanOrEqual(3);
  expect(changes.merge).toBeGreaterThanOrEqual(3);
  expect(oracle.findings).toEqual([]);
  // Nothing fails here but pollers, of which clients know nothing. Only the emulator's new stream shards
  // begin a second ahead of its clock: until that has come they take nothing behind their own last entry,
  // and the writer says that those parts were not written.
  const others = reasonsOf(counts).filter((reason) => !reason.includes(NOT_YET));
  expect(others).toEqual([]);
  expect(shards).toBe(SHARDS);
});
