/**
 * The log's contract over Kinesis's protocol, against an emulator that this file starts and stops.
 * Against AWS, in streams that are created and deleted, about a minute for each of the tests:
 *
 *   STERNA_CONTRACT_AWS=us-east-1 npx vitest run test/contract/aws-log.test.ts --testTimeout 600000 --hookTimeout 600000
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type AwsSettings, kinesisClient } from '#aws/clients.ts';
import { openKinesisLog } from '#aws/log.ts';
import { must } from '#base/assert.ts';
import { openClock } from '#local/clock.ts';
import { systemEntropy } from '#local/entropy.ts';
import { compareSequences, type Log, type LogEntry, type Sequence } from '#ports/log.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import {
  createStream,
  deleteStream,
  type KinesisEmulator,
  mergeShards,
  splitShard,
  startKinesis,
} from '../support/emulators/kinesis.ts';
import { logContract } from './log.ts';
import type { OpenSubject } from './subject.ts';

const realRegion = process.env['STERNA_CONTRACT_AWS'];
let emulator: KinesisEmulator | undefined;
let settings: AwsSettings;

beforeAll(async () => {
  if (realRegion !== undefined) {
    settings = { region: realRegion };
    return;
  }
  emulator = await startKinesis();
  settings = {
    region: 'us-east-1',
    credentials: { accessKeyId: 'emulated', secretAccessKey: 'emulated' },
    endpoints: { kinesis: emulator.endpoint },
  };
});
afterAll(() => emulator?.close());

/** A log in a stream of its own. The table of its checkpoints outlives it in memory. */
const withShards =
  (shards: number): OpenSubject<Log> =>
  async () => {
    const streamName = `sterna-contract-${randomUUID()}`;
    const checkpoints = new MemoryTable();
    const first = kinesisClient(settings);
    const clients = [first];
    const openWith = (client: (typeof clients)[number]) => {
      const ports = { checkpoints, clock: openClock(), entropy: systemEntropy };
      return openKinesisLog({ client, streamName, ...ports });
    };
    await createStream(first, streamName, shards);
    return {
      port: openWith(first),
      close: async () => {
        await deleteStream(first, streamName);
        for (const client of clients) client.destroy();
      },
      reopen: async () => {
        const client = kinesisClient(settings);
        clients.push(client);
        return openWith(client);
      },
    };
  };

logContract('Kinesis, one stream shard', withShards(1), { durable: true, trims: false });
logContract('Kinesis, four stream shards', withShards(4), { durable: true, trims: false });

describe('log: Kinesis, resharded', () => {
  const HASHES = 2n ** 128n;
  const partitions = Array.from({ length: 12 }, (_, index) => `partition-${index}`);

  /** A consumer as `ports/log.ts` asks for one: stream shard by stream shard, parents first. */
  async function consumeAll(log: Log): Promise<readonly LogEntry[]> {
    const entries: LogEntry[] = [];
    for (const { name } of await log.streamShards()) {
      let after: Sequence | undefined;
      for (;;) {
        const from = after === undefined ? {} : { after };
        const page = await log.read(name, { ...from, limit: 7 });
        entries.push(...page);
        if (page.length < 7) break;
        after = page.at(-1)?.sequence;
      }
    }
    return entries;
  }

  it('lists parents before children, keeps the order of each partition, and grows across', async () => {
    const streamName = `sterna-contract-${randomUUID()}`;
    const client = kinesisClient(settings);
    await createStream(client, streamName, 2);
    onTestFinished(async () => {
      await deleteStream(client, streamName);
      client.destroy();
    });
    const ports = { checkpoints: new MemoryTable(), clock: openClock(), entropy: systemEntropy };
    const log = openKinesisLog({ client, streamName, ...ports });
    const appendRound = (round: string) =>
      Promise.all(partitions.map((partition) => log.append(partition, Buffer.from(round))));
    /** Kinesis refuses a floor from a second that has not come, and the emulator's children begin in it. */
    const settle = () => delay(2_500);

    await appendRound('0');
    const [low, high] = await log.streamShards();
    await splitShard(client, streamName, must(low, 'the low half').name, HASHES / 4n);
    await settle();
    await appendRound('1');
    const split = await log.streamShards();
    const [, , second] = split
      .filter((shard) => !shard.closed)
      .map((shard) => shard.name)
      .sort();
    const highName = must(high, 'the high half').name;
    await mergeShards(client, streamName, must(second, 'the second quarter'), highName);
    await settle();
    const last = await appendRound('2');

    const shards = await log.streamShards();
    expect(shards).toHaveLength(5);
    expect(shards.filter((shard) => shard.closed)).toHaveLength(3);
    const names = shards.map((shard) => shard.name);
    for (const [index, { parents }] of shards.entries()) {
      for (const parent of parents) expect(names.indexOf(parent)).toBeLessThan(index);
    }
    expect(shards.map((shard) => shard.parents.length)).toEqual([0, 0, 1, 1, 2]);
    expect(await log.streamShards()).toEqual(shards);

    const entries = await consumeAll(log);
    expect(entries).toHaveLength(3 * partitions.length);
    for (const [index, partition] of partitions.entries()) {
      const own = entries.filter((entry) => entry.partition === partition);
      expect(own.map((entry) => Buffer.from(entry.data).toString())).toEqual(['0', '1', '2']);
      const sequences = own.map((entry) => entry.sequence);
      expect([...sequences].sort(compareSequences)).toEqual(sequences);
      expect(sequences[2]).toBe(last[index]?.sequence);
    }

    // A cursor from before a child began asks for all of it, as a partition's reader has one.
    const child = must(names[4], 'the merged');
    const cursor = must(entries[0], 'the first entry').sequence;
    expect(await log.read(child, { after: cursor, limit: 100 })).toEqual(
      await log.read(child, { limit: 100 }),
    );
    // Nothing more can come in a closed one, at once and later.
    const parent = must(names[0], 'the first parent');
    const end = must((await log.read(parent, { limit: 100 })).at(-1), 'an entry').sequence;
    expect(await log.read(parent, { after: end, limit: 1 })).toEqual([]);
    expect(await log.read(parent, { after: end, limit: 1 })).toEqual([]);
    await log.wait(parent, end, 20);
  });
});
