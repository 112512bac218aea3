/**
 * The event source runner against a real stream of the emulator and functions that answer by script:
 * each rule that it promises to follow.
 */
import { type KinesisClient, PutRecordCommand } from '@aws-sdk/client-kinesis';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type AwsSettings, kinesisClient } from '#aws/clients.ts';
import { must } from '#base/assert.ts';
import { compareSequences } from '#ports/log.ts';
import {
  createStream,
  type KinesisEmulator,
  mergeShards,
  splitShard,
  startKinesis,
} from '../../support/emulators/kinesis.ts';
import type { EventRecord } from '../../support/lambda/batches.ts';
import {
  type EventSource,
  type MappingProperties,
  startEventSource,
} from '../../support/lambda/event-source.ts';
import type { Outcome } from '../../support/lambda/function.ts';

let emulator: KinesisEmulator;
let client: KinesisClient;
let streams = 0;

beforeAll(async () => {
  emulator = await startKinesis();
  const settings: AwsSettings = {
    region: 'us-east-1',
    credentials: { accessKeyId: 'emulated', secretAccessKey: 'emulated' },
    endpoints: { kinesis: emulator.endpoint },
  };
  client = kinesisClient(settings);
});
afterAll(async () => {
  client.destroy();
  await emulator.close();
});

type Seen = Readonly<{ records: readonly EventRecord[]; begunMs: number }>;
type Script = (seen: Seen, nth: number) => Outcome | Promise<Outcome>;

const timeout: Outcome = { kind: 'timeout', afterMs: 30_000 };
const killed: Outcome = {
  kind: 'killed',
  errorType: 'Runtime.ExitError',
  errorMessage: 'signal: SIGKILL',
};
const done: Outcome = { kind: 'result', payload: { batchItemFailures: [] } };
const naming = (...identifiers: unknown[]): Outcome => ({
  kind: 'result',
  payload: {
    batchItemFailures: identifiers.map((itemIdentifier) => ({ itemIdentifier })),
  },
});
const MAPPING: MappingProperties = {
  StartingPosition: 'TRIM_HORIZON',
  BatchSize: 10,
  FunctionResponseTypes: ['ReportBatchItemFailures'],
  MaximumRetryAttempts: -1,
  MaximumRecordAgeInSeconds: -1,
};

type World = Readonly<{
  stream: string;
  source: EventSource;
  /** Every delivery, in the order in which they began. */
  seen: readonly Seen[];
  put: (partition: string, ...texts: readonly string[]) => Promise<readonly string[]>;
}>;

/** A stream with what `before` puts into it, and a source whose function answers by `script`. */
async function open(
  script: Script,
  options: Readonly<{
    mapping?: MappingProperties;
    shards?: number;
    before?: (put: World['put'], stream: string) => Promise<unknown>;
  }> = {},
): Promise<World> {
  const stream = `events-${++streams}`;
  await createStream(client, stream, options.shards ?? 1);
  const put: World['put'] = async (partition, ...texts) => {
    const sequences: string[] = [];
    for (const text of texts) {
      const answer = await client.send(
        new PutRecordCommand({
          StreamName: stream,
          PartitionKey: partition,
          Data: Buffer.from(text),
        }),
      );
      sequences.push(must(answer.SequenceNumber, 'a sequence'));
    }
    return sequences;
  };
  await options.before?.(put, stream);
  const seen: Seen[] = [];
  const source = startEventSource({
    client,
    streamName: stream,
    names: { streamArn: `arn:aws:kinesis:us-east-1:000000000000:stream/${stream}`, ...WHO },
    mapping: { ...MAPPING, ...options.mapping },
    pollMs: 10,
    retryMsMax: 100,
    target: {
      invoke: async (payload) => {
        // What the source hands over is an event.
        const { Records } = JSON.parse(JSON.stringify(payload)) as { Records: EventRecord[] };
        const one = { records: Records, begunMs: performance.now() };
        seen.push(one);
        return script(one, seen.length);
      },
    },
  });
  onTestFinished(() => source.close());
  return { stream, source, seen, put };
}

const WHO = { roleArn: 'arn:aws:iam::000000000000:role/apply', region: 'us-east-1' };
const textOf = ({ kinesis }: EventRecord): string => Buffer.from(kinesis.data, 'base64').toString();
const texts = (seen: readonly Seen[]): readonly (readonly string[])[] =>
  seen.map(({ records }) => records.map(textOf));
const numbered = (count: number, name = 'r'): readonly string[] =>
  Array.from({ length: count }, (_, index) => `${name}${index}`);
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('a batch', () => {
  test('has the shape of an event of Kinesis', async () => {
    const { seen, source, put, stream } = await open(() => done);
    const [sequence] = await put('7/0', 'hello');
    await source.idle();
    expect(seen).toHaveLength(1);
    expect(seen[0]?.records).toEqual([
      {
        kinesis: {
          kinesisSchemaVersion: '1.0',
          partitionKey: '7/0',
          sequenceNumber: sequence,
          data: Buffer.from('hello').toString('base64'),
          approximateArrivalTimestamp: expect.any(Number),
        },
        eventSource: 'aws:kinesis',
        eventVersion: '1.0',
        eventID: `shardId-000000000000:${sequence}`,
        eventName: 'aws:kinesis:record',
        invokeIdentityArn: WHO.roleArn,
        awsRegion: 'us-east-1',
        eventSourceARN: `arn:aws:kinesis:us-east-1:000000000000:stream/${stream}`,
      },
    ]);
    const arrival = must(seen[0]?.records[0], 'a record').kinesis.approximateArrivalTimestamp;
    expect(Math.abs(arrival - Date.now() / 1000)).toBeLessThan(60);
  });

  test('begins at the oldest record and has no more than BatchSize', async () => {
    const { seen, source } = await open(() => done, {
      before: (put) => put('a', ...numbered(25)),
    });
    await source.idle();
    expect(texts(seen).map(({ length }) => length)).toEqual([10, 10, 5]);
    expect(texts(seen).flat()).toEqual(numbered(25));
  });

  test('has no more than 6 MB with its base64', async () => {
    // 1,000,000 bytes are 1,333,336 in base64: four fit, and a fifth does not.
    const large = 'x'.repeat(1_000_000);
    const { seen, source } = await open(() => done, {
      before: (put) => put('a', large, large, large, large, large, 'small'),
    });
    await source.idle();
    expect(texts(seen).map(({ length }) => length)).toEqual([4, 2]);
    for (const { records } of seen) {
      expect(JSON.stringify({ Records: records }).length).toBeLessThanOrEqual(6 * 1024 * 1024);
    }
  });

  test('waits for its window, or until it is full', async () => {
    const { seen, source, put } = await open(() => done, {
      mapping: { MaximumBatchingWindowInSeconds: 1 },
    });
    await put('a', 'r0');
    const putMs = performance.now();
    await put('a', 'r1', 'r2');
    await source.idle();
    expect(texts(seen)).toEqual([['r0', 'r1', 'r2']]);
    expect(must(seen[0], 'a delivery').begunMs - putMs).toBeGreaterThan(500);
    // The window would last a minute; a full batch does not wait for it.
    const full = await open(() => done, {
      mapping: { MaximumBatchingWindowInSeconds: 60 },
      before: (write) => write('a', ...numbered(10)),
    });
    await full.source.idle();
    expect(texts(full.seen)).toEqual([numbered(10)]);
  });
});

describe('a failure', () => {
  test.each<{ outcome: Outcome }>([
    { outcome: { kind: 'error', errorType: 'Error', errorMessage: 'no' } },
    { outcome: timeout },
    { outcome: killed },
    { outcome: { kind: 'throttled' } },
    { outcome: { kind: 'too-large', sizeBytes: 7_000_000, of: 'reply' } },
    { outcome: naming('') },
    { outcome: naming(null) },
    { outcome: naming('12345') },
    { outcome: { kind: 'result', payload: { batchItemFailures: [{ sequenceNumber: '1' }] } } },
  ])('delivers the whole batch again, before anything else: $outcome', async ({ outcome }) => {
    const { seen, source } = await open((_, nth) => (nth <= 3 ? outcome : done), {
      before: (put) => put('a', ...numbered(15)),
    });
    await source.idle();
    const first = numbered(10);
    expect(texts(seen)).toEqual([first, first, first, first, numbered(15).slice(10)]);
    expect(source.counts).toMatchObject({ deliveries: 5, failures: 3, partial: 0 });
  });

  test.each<{ payload: unknown }>([
    { payload: null },
    { payload: {} },
    { payload: { batchItemFailures: null } },
    { payload: { batchItemFailures: [] } },
  ])('is none: $payload', async ({ payload }) => {
    const { seen, source } = await open(() => ({ kind: 'result', payload }), {
      before: (put) => put('a', 'r0'),
    });
    await source.idle();
    expect(texts(seen)).toEqual([['r0']]);
  });

  test('of a part delivers again from the lowest record that is named', async () => {
    const { seen, source } = await open(
      ({ records }, nth) => {
        const sequence = (index: number) => records[index]?.kinesis.sequenceNumber;
        return nth === 1 ? naming(sequence(7), sequence(3), sequence(5)) : done;
      },
      { before: (put) => put('a', ...numbered(12)) },
    );
    await source.idle();
    expect(texts(seen)).toEqual([numbered(10), numbered(10).slice(3), numbered(12).slice(10)]);
    expect(source.counts).toMatchObject({ failures: 1, partial: 1 });
  });

  test('of a part is a success where the mapping does not ask for it', async () => {
    const { seen, source } = await open(
      ({ records }) => naming(records[1]?.kinesis.sequenceNumber),
      { before: (put) => put('a', 'r0', 'r1'), mapping: { FunctionResponseTypes: [] } },
    );
    await source.idle();
    expect(texts(seen)).toEqual([['r0', 'r1']]);
  });

  test('holds its stream shard, and no other', async () => {
    let isHeld = true;
    const { seen, source, put } = await open(
      ({ records }) =>
        isHeld && records.some((record) => textOf(record) === 'bad0')
          ? { kind: 'error', errorType: 'Error', errorMessage: 'no' }
          : done,
      { shards: 2 },
    );
    // MD5 puts these two into different halves.
    await put('a', 'bad0');
    await put('b', 'good0');
    await expect.poll(() => texts(seen).flat()).toContain('good0');
    await put('a', 'bad1');
    await expect.poll(() => source.counts.failures).toBeGreaterThan(5);
    expect(texts(seen).flat()).not.toContain('bad1');
    isHeld = false;
    await source.idle();
    expect(texts(seen).flat()).toContain('bad1');
  });

  test.each([
    { MaximumRetryAttempts: 3 },
    { MaximumRecordAgeInSeconds: 60 },
    { BisectBatchOnFunctionError: true },
    { StartingPosition: 'LATEST' },
    { TumblingWindowInSeconds: 5 },
    { ParallelizationFactor: 11 },
    { BatchSize: 10_001 },
  ])('is never given up: the mapping %j is refused', async (mapping) => {
    expect(() =>
      startEventSource({
        client,
        streamName: 'none',
        names: { streamArn: 'none', ...WHO },
        target: { invoke: async () => done },
        mapping: { ...MAPPING, ...mapping },
      }),
    ).toThrow(Object.keys(mapping)[0]);
  });
});

describe('several batches in flight', () => {
  test('keep the order of each partition key, and the rest runs together', async () => {
    let running = 0;
    let most = 0;
    const open4 = { ParallelizationFactor: 4, BatchSize: 3 };
    const inFlight = new Set<string>();
    const { seen, source } = await open(
      async ({ records }, nth) => {
        const keys = new Set(records.map(({ kinesis }) => kinesis.partitionKey));
        for (const key of keys) expect(inFlight.has(key), `${key} is in two batches`).toBe(false);
        for (const key of keys) inFlight.add(key);
        running += 1;
        most = Math.max(most, running);
        await pause(20);
        running -= 1;
        for (const key of keys) inFlight.delete(key);
        return nth % 5 === 0 ? timeout : done;
      },
      {
        mapping: open4,
        before: async (put) => {
          for (let round = 0; round < 6; round++) {
            for (let key = 0; key < 8; key++) await put(`key ${key}`, `${key}/${round}`);
          }
        },
      },
    );
    await source.idle();
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(4);
    for (let key = 0; key < 8; key++) {
      expect(firstSeen(seen, `${key}/`)).toEqual(numbered(6, `${key}/`));
    }
  });

  test('leave the checkpoint before the oldest that is not done', async () => {
    const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
    let isHeld = true;
    const { seen, source } = await open(
      async ({ records }) => {
        if (isHeld && records.some((record) => textOf(record) === 'a')) return killed;
        return done;
      },
      {
        mapping: { ParallelizationFactor: 10, BatchSize: 1 },
        before: async (put) => {
          for (const key of keys) await put(key, key);
        },
      },
    );
    await expect.poll(() => new Set(texts(seen).flat()).size).toBeGreaterThan(3);
    // Others are done and `a` is not, so a new poller begins with `a` and delivers them again.
    const before = seen.length;
    source.crash();
    isHeld = false;
    await source.idle();
    expect(new Set(texts(seen.slice(before)).flat())).toEqual(new Set(keys));
  });
});

describe('at least once', () => {
  test('the same batch goes to two environments at once, and again later', async () => {
    let running = 0;
    let most = 0;
    const { seen, source, put } = await open(async () => {
      running += 1;
      most = Math.max(most, running);
      await pause(30);
      running -= 1;
      return done;
    });
    expect(source.redeliver()).toBe(false);
    source.duplicateNext();
    await put('a', 'r0');
    await source.idle();
    expect(texts(seen)).toEqual([['r0'], ['r0']]);
    expect(most).toBe(2);
    expect(source.redeliver()).toBe(true);
    await source.idle();
    expect(texts(seen)).toEqual([['r0'], ['r0'], ['r0']]);
    expect(source.counts).toMatchObject({ twice: 1, again: 1, deliveries: 1 });
  });

  test('a poller that crashes goes on from an older checkpoint, in order', async () => {
    const { seen, source } = await open(() => done, {
      mapping: { BatchSize: 2 },
      before: (put) => put('a', ...numbered(8)),
    });
    await source.idle();
    expect(texts(seen)).toHaveLength(4);
    source.crash(2);
    await source.idle();
    expect(texts(seen.slice(4)).flat()).toEqual(numbered(8).slice(4));
  });

  test('nothing is delivered in a pause, and all of it afterwards', async () => {
    const { seen, source, put } = await open(() => done);
    source.pause();
    await put('a', ...numbered(3));
    await expect(source.idle(200)).rejects.toThrow('not idle');
    expect(seen).toEqual([]);
    source.resume();
    await source.idle();
    expect(texts(seen).flat()).toEqual(numbered(3));
  });

  test('idle does not wait for what is written later', async () => {
    const { source, put } = await open(() => done);
    let isWriting = true;
    const writing = (async () => {
      for (let round = 0; isWriting; round++) await put('a', `r${round}`);
    })();
    await source.idle(5_000);
    isWriting = false;
    await writing;
  });
});

describe('resharding', () => {
  const HALF = 2n ** 127n;

  test('the children of a split wait until their parent is done', async () => {
    let isHeld = true;
    const { seen, source } = await open(
      () => (isHeld ? { kind: 'error', errorType: 'Error', errorMessage: 'no' } : done),
      {
        before: async (put, stream) => {
          for (const key of ['a', 'b', 'c']) await put(key, ...numbered(3, key));
          await splitShard(client, stream, 'shardId-000000000000', HALF);
          for (const key of ['a', 'b', 'c']) await put(key, ...numbered(6, key).slice(3));
        },
      },
    );
    await expect.poll(() => source.counts.failures).toBeGreaterThan(3);
    for (const { records } of seen) {
      for (const { eventID } of records) expect(eventID).toMatch(/^shardId-000000000000:/);
    }
    isHeld = false;
    await source.idle();
    for (const key of ['a', 'b', 'c']) expect(firstSeen(seen, key)).toEqual(numbered(6, key));
    const shards = new Set(seen.flatMap(({ records }) => records.map(({ eventID }) => eventID)));
    expect(new Set([...shards].map((id) => id.split(':')[0])).size).toBe(3);
  });

  test('the child of a merge waits for both parents', async () => {
    const { seen, source } = await open(
      async () => {
        await pause(20);
        return done;
      },
      {
        shards: 2,
        mapping: { BatchSize: 2 },
        before: async (put, stream) => {
          for (const key of ['a', 'b', 'c']) await put(key, ...numbered(4, key));
          await mergeShards(client, stream, 'shardId-000000000000', 'shardId-000000000001');
          for (const key of ['a', 'b', 'c']) await put(key, ...numbered(8, key).slice(4));
        },
      },
    );
    await source.idle();
    for (const key of ['a', 'b', 'c']) expect(firstSeen(seen, key)).toEqual(numbered(8, key));
    const order = seen.flatMap(({ records }) =>
      records.map(({ eventID }) => eventID.split(':')[0]),
    );
    const child = order.indexOf('shardId-000000000002');
    expect(child).toBeGreaterThan(0);
    expect(order.slice(child)).toEqual(Array(order.length - child).fill('shardId-000000000002'));
  });

  test('while it runs, with crashes, keeps the order of every key', async () => {
    const { seen, source, put, stream } = await open((_, nth) => (nth % 4 === 0 ? killed : done), {
      mapping: { ParallelizationFactor: 2, BatchSize: 3 },
    });
    const keys = ['a', 'b', 'c', 'd'];
    const write = async (from: number) => {
      for (let round = from; round < from + 5; round++) {
        for (const key of keys) await put(key, `${key}${round}`);
      }
    };
    await write(0);
    await splitShard(client, stream, 'shardId-000000000000', HALF);
    await write(5);
    source.crash(1);
    await mergeShards(client, stream, 'shardId-000000000001', 'shardId-000000000002');
    await write(10);
    source.crash(3);
    await source.idle();
    for (const key of keys) {
      expect(firstSeen(seen, key)).toEqual(numbered(15, key));
      expectNoGap(seen, key);
    }
  });
});

/** The texts that begin with `prefix`, each where it was first delivered. */
const firstSeen = (seen: readonly Seen[], prefix: string): readonly string[] => [
  ...new Set(
    texts(seen)
      .flat()
      .filter((text) => text.startsWith(prefix)),
  ),
];

/** No delivery goes past a record of the key that none before it, nor itself, held. */
function expectNoGap(seen: readonly Seen[], key: string): void {
  let last: string | undefined;
  let next = 0;
  for (const { records } of seen) {
    for (const record of records.filter((one) => textOf(one).startsWith(key))) {
      const number = Number(textOf(record).slice(key.length));
      expect(number).toBeLessThanOrEqual(next);
      next = Math.max(next, number + 1);
      const { sequenceNumber } = record.kinesis;
      if (number === next - 1 && last !== undefined) {
        expect(compareSequences(sequenceNumber, last)).toBeGreaterThanOrEqual(0);
      }
      if (number === next - 1) last = sequenceNumber;
    }
  }
}
