import type { KinesisClient } from '@aws-sdk/client-kinesis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type AwsSettings, kinesisClient } from '#aws/clients.ts';
import { openKinesisLog } from '#aws/log.ts';
import { must } from '#base/assert.ts';
import { openClock } from '#local/clock.ts';
import { systemEntropy } from '#local/entropy.ts';
import type { Log, LogEntry } from '#ports/log.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import {
  type FaultyProxy,
  type ProxyFault,
  startFaultyProxy,
} from '../../support/emulators/faulty-proxy.ts';
import {
  createStream,
  type KinesisEmulator,
  startKinesis,
} from '../../support/emulators/kinesis.ts';

const ANSWER_MS = 300;
const said = (status: number, type: string, message = 'as scripted'): ProxyFault => ({
  status,
  body: JSON.stringify({ __type: type, message }),
});
const answered = (body: object): ProxyFault => ({ status: 200, body: JSON.stringify(body) });
const THROTTLED = said(400, 'ProvisionedThroughputExceededException', 'Rate exceeded');

let emulator: KinesisEmulator;
let proxy: FaultyProxy;
let client: KinesisClient;
let direct: KinesisClient;
let streamName: string;
let log: Log;
let streams = 0;

const settings = (endpoint: string): AwsSettings => ({
  region: 'us-east-1',
  credentials: { accessKeyId: 'emulated', secretAccessKey: 'emulated' },
  endpoints: { kinesis: endpoint },
  waits: { kinesis: { answerMs: ANSWER_MS } },
});
/** No pauses between attempts: jitter draws from zero. */
const ports = () => ({
  checkpoints: new MemoryTable(),
  clock: openClock(),
  entropy: { ...systemEntropy, random: () => 0 },
});
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (entry: LogEntry): string => new TextDecoder().decode(entry.data);
/** What is in the stream, seen past the proxy. */
const stored = async (): Promise<readonly string[]> => {
  const log = openKinesisLog({ client: direct, streamName, ...ports() });
  const [shard] = await log.streamShards();
  const entries = await log.read(must(shard, 'one').name, { limit: 1_000 });
  return entries.map(text);
};
const puts = () => proxy.received().filter((body) => body.includes('"PartitionKey"'));
const newIterators = () => proxy.received().filter((body) => body.includes('"ShardIteratorType"'));
const pages = () => proxy.received().filter((body) => body.includes('"ShardIterator":'));

beforeAll(async () => {
  emulator = await startKinesis();
  direct = kinesisClient(settings(emulator.endpoint));
});
afterAll(async () => {
  direct.destroy();
  await emulator.close();
});
beforeEach(async () => {
  streamName = `faults-${streams++}`;
  await createStream(direct, streamName);
  proxy = await startFaultyProxy(emulator.endpoint);
  client = kinesisClient(settings(proxy.endpoint));
  log = openKinesisLog({ client, streamName, ...ports() });
});
afterEach(async () => {
  client.destroy();
  await proxy.close();
});

describe('an append', () => {
  it.each<readonly [string, ProxyFault, readonly string[]]>([
    ['is reset before it arrives', 'reset', []],
    ['loses its answer', 'lose-answer', ['x']],
    ['has half an answer', 'cut-answer', ['x']],
    ['is never answered', 'stall', ['x']],
    ['meets a failure inside the service', said(500, 'InternalFailure'), []],
    [
      'meets a failure inside the service after its work',
      { status: 500, body: '{"__type":"InternalFailure"}', passOn: true },
      ['x'],
    ],
    ['meets a service that is away', { status: 503, body: 'Service Unavailable' }, []],
    ['is answered with nonsense', { status: 200, body: '<html>' }, []],
    ['is answered without a sequence', answered({ ShardId: 'shardId-000000000000' }), []],
  ])('that %s is UNCERTAIN and was sent once', async (_, fault, kept) => {
    proxy.suffer(fault);
    await expect(log.append('part', bytes('x'))).rejects.toMatchObject({
      name: 'StoreError',
      code: 'UNCERTAIN',
    });
    await proxy.settled();
    expect(puts()).toHaveLength(1);
    expect(await stored()).toEqual(kept);
    // Nothing lingers: the next one passes.
    await log.append('part', bytes('y'));
    expect(await stored()).toEqual([...kept, 'y']);
  });

  it.each<readonly [string, ProxyFault, string]>([
    ['too many a second', THROTTLED, 'OVERLOADED'],
    ['too many uses of the key', said(400, 'KMSThrottlingException'), 'OVERLOADED'],
    ['no permission', said(400, 'AccessDeniedException'), 'PLATFORM_REFUSED'],
    ['a disabled key', said(400, 'KMSDisabledException'), 'PLATFORM_REFUSED'],
  ])('that is refused for %s was not done', async (_, fault, code) => {
    proxy.suffer(fault);
    await expect(log.append('part', bytes('x'))).rejects.toMatchObject({ code });
    expect(puts()).toHaveLength(1);
    expect(await stored()).toEqual([]);
  });

  it('that a client sent twice is UNCERTAIN whatever the last answer says', async () => {
    const given = settings(proxy.endpoint);
    const insistent = kinesisClient({ ...given, waits: { kinesis: { attempts: 2 } } });
    log = openKinesisLog({ client: insistent, streamName, ...ports() });
    proxy.suffer('lose-answer', THROTTLED);
    await expect(log.append('part', bytes('x'))).rejects.toMatchObject({ code: 'UNCERTAIN' });
    insistent.destroy();
    expect(puts()).toHaveLength(2);
    expect(await stored()).toEqual(['x']);
  });

  it('to a stream that is not there is refused, and to a host that is not there UNCERTAIN', async () => {
    const nowhere = openKinesisLog({ client, streamName: 'nowhere', ...ports() });
    await expect(nowhere.append('part', bytes('x'))).rejects.toMatchObject({
      code: 'PLATFORM_REFUSED',
    });
    await proxy.close();
    await expect(log.append('part', bytes('x'))).rejects.toMatchObject({ code: 'UNCERTAIN' });
  });

  it('whose sequence is not above its floor is UNCERTAIN', async () => {
    for (const SequenceNumber of ['7', '6']) {
      proxy.suffer(answered({ ShardId: 'shardId-000000000000', SequenceNumber }));
      const appending = log.append('part', bytes('x'), { after: '7' });
      await expect(appending).rejects.toMatchObject({ code: 'UNCERTAIN' });
    }
    expect(puts().every((body) => body.includes('"SequenceNumberForOrdering":"7"'))).toBe(true);
  });

  it('behind a floor of the future is OVERLOADED and was not done', async () => {
    const { sequence } = await log.append('part', bytes('a'));
    // A sequence holds the second of its arrival, above 36 bits for stream shard and version.
    const after = `${BigInt(sequence) + (3_600n << 36n)}`;
    await expect(log.append('part', bytes('b'), { after })).rejects.toMatchObject({
      code: 'OVERLOADED',
    });
    expect(await stored()).toEqual(['a']);
  });

  it('larger than a record is refused before it is sent', async () => {
    const room = 1024 * 1024 - Buffer.byteLength('größe');
    await expect(log.append('größe', new Uint8Array(room + 1))).rejects.toMatchObject({
      code: 'TOO_LARGE',
    });
    const small = openKinesisLog({ client, streamName, ...ports(), recordBytesMax: 10 });
    await expect(small.append('part', new Uint8Array(7))).rejects.toMatchObject({
      code: 'TOO_LARGE',
    });
    expect(proxy.received()).toEqual([]);
    await small.append('part', new Uint8Array(6));
    await log.append('größe', new Uint8Array(room));
    expect(puts()).toHaveLength(2);
  });
});

describe('reading', () => {
  let shard: string;
  const read = async (after?: string, limit = 100) =>
    (await log.read(shard, after === undefined ? { limit } : { after, limit })).map(text);
  beforeEach(async () => {
    shard = (await log.append('part', bytes('a'))).streamShard;
    await log.append('part', bytes('b'));
  });

  it('is tried again after resets, failures and throttling', async () => {
    proxy.suffer('reset', THROTTLED, 'pass', 'lose-answer', 'pass', said(500, 'InternalFailure'));
    expect(await read()).toEqual(['a', 'b']);
  });

  it('gives up after four attempts, and says why', async () => {
    await log.streamShards();
    const before = proxy.received().length;
    proxy.suffer(...Array<ProxyFault>(4).fill(THROTTLED));
    await expect(read()).rejects.toMatchObject({ code: 'OVERLOADED' });
    proxy.suffer(...Array<ProxyFault>(4).fill('reset'));
    await expect(read()).rejects.toMatchObject({ code: 'UNCERTAIN' });
    expect(proxy.received().length - before).toBe(8);
    proxy.suffer(said(400, 'AccessDeniedException'));
    await expect(read()).rejects.toMatchObject({ code: 'PLATFORM_REFUSED' });
    expect(proxy.received().length - before).toBe(9);
  });

  it('goes on with the iterator it was given', async () => {
    const [first] = await log.read(shard, { limit: 1 });
    const [second] = await log.read(shard, { limit: 1, after: must(first, 'a').sequence });
    const end = must(second, 'b').sequence;
    expect(await read(end)).toEqual([]);
    expect(await read(end)).toEqual([]);
    await log.append('part', bytes('c'));
    expect(await read(end)).toEqual(['c']);
    expect(newIterators()).toHaveLength(1);
  });

  it('takes a new iterator when the service has forgotten the old one', async () => {
    const [first] = await log.read(shard, { limit: 1 });
    proxy.suffer(said(400, 'ExpiredIteratorException', 'Iterator expired.'));
    expect(await read(must(first, 'a').sequence)).toEqual(['b']);
    expect(newIterators()).toHaveLength(2);
  });

  it('takes a new iterator once the old one is nearly too old to be used', async () => {
    const clock = openClock();
    let lateMs = 0;
    const later = { ...clock, nowMs: () => clock.nowMs() + lateMs };
    log = openKinesisLog({ client, streamName, ...ports(), clock: later });
    const [first] = await log.read(shard, { limit: 1 });
    const after = must(first, 'a').sequence;
    lateMs = 200_000;
    expect(await read(after, 1)).toEqual(['b']);
    expect(newIterators()).toHaveLength(1);
    lateMs = 300_000;
    expect(await read(after, 1)).toEqual(['b']);
    expect(newIterators()).toHaveLength(2);
  });

  it('asks on where an answer is empty and behind, five times a read, and keeps its progress', async () => {
    // An iterator as the service gives them, to be handed out with answers that hold nothing.
    await read();
    const { ShardIterator: NextShardIterator } = JSON.parse(must(pages()[0], 'a page'));
    const empty = answered({ Records: [], NextShardIterator, MillisBehindLatest: 9_000 });
    log = openKinesisLog({ client, streamName, ...ports() });
    await log.streamShards();
    proxy.suffer('pass', empty, empty);
    expect(await read()).toEqual(['a', 'b']);

    log = openKinesisLog({ client, streamName, ...ports() });
    await log.streamShards();
    const before = { pages: pages().length, iterators: newIterators().length };
    proxy.suffer('pass', empty, empty, empty, empty, empty);
    expect(await read()).toEqual([]);
    expect(pages().length - before.pages).toBe(5);
    expect(await read()).toEqual(['a', 'b']);
    expect(newIterators().length - before.iterators).toBe(1);
  });

  it('hands over what it has where the rest is refused', async () => {
    await read();
    const { ShardIterator: NextShardIterator } = JSON.parse(must(pages()[0], 'a page'));
    const record = {
      SequenceNumber: '1',
      PartitionKey: 'part',
      Data: Buffer.from('z').toString('base64'),
      ApproximateArrivalTimestamp: 1_700_000_000.123,
    };
    const some = answered({ Records: [record], NextShardIterator, MillisBehindLatest: 9_000 });
    log = openKinesisLog({ client, streamName, ...ports() });
    await log.streamShards();
    proxy.suffer('pass', some, ...Array<ProxyFault>(4).fill(THROTTLED));
    const [entry] = await log.read(shard, { limit: 100 });
    expect(entry).toEqual({
      sequence: '1',
      partition: 'part',
      data: bytes('z'),
      arrivalMs: 1_700_000_000_123,
    });
  });

  it('refuses a sequence that Kinesis did not give out', async () => {
    await expect(read('9'.repeat(56))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

it('lists stream shards page by page, behind the last name', async () => {
  streamName = `faults-${streams++}`;
  await createStream(direct, streamName, 5);
  log = openKinesisLog({ client, streamName, ...ports() });
  const shards = await log.streamShards();
  const SequenceNumberRange = { StartingSequenceNumber: '1' };
  const firstPage = shards
    .slice(0, 2)
    .map(({ name: ShardId }) => ({ ShardId, SequenceNumberRange }));
  proxy.suffer(answered({ Shards: firstPage, NextToken: 'more' }));
  expect(await log.streamShards()).toEqual(shards);
  expect(JSON.parse(must(proxy.received().at(-1), 'a request'))).toEqual({
    StreamName: streamName,
    ExclusiveStartShardId: shards[1]?.name,
  });
});

it('names a stream by its ARN in every request, and refuses what is none', async () => {
  const streamArn = 'arn:aws:kinesis:us-east-1:000000000000:stream/orders';
  log = openKinesisLog({ client, streamArn, ...ports() });
  const shard = { ShardId: 's', SequenceNumberRange: { StartingSequenceNumber: '1' } };
  proxy.suffer(
    answered({ ShardId: 's', SequenceNumber: '5' }),
    answered({ Shards: [shard] }),
    answered({ ShardIterator: 'i' }),
    answered({ Records: [], NextShardIterator: 'j', MillisBehindLatest: 0 }),
  );
  await log.append('part', bytes('x'));
  expect(await log.read('s', { limit: 1 })).toEqual([]);
  const requests = proxy.received().map((body) => JSON.parse(body));
  expect(requests).toHaveLength(4);
  for (const request of requests) {
    expect(request).toMatchObject({ StreamARN: streamArn });
    expect(request).not.toHaveProperty('StreamName');
  }
  expect(() => openKinesisLog({ client, streamArn: 'orders', ...ports() })).toThrow(/not the ARN/);
});
