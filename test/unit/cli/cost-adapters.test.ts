/** The counting ports bill what the adapters really send: the same calls, over HTTP to emulators. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { dynamoClient, s3Client } from '#aws/clients.ts';
import { openS3ObjectStore } from '#aws/object-store.ts';
import { openDynamoTable } from '#aws/table.ts';
import { openClock } from '#local/clock.ts';
import { systemEntropy } from '#local/entropy.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import {
  countingObjects,
  countingTable,
  emptyTally,
  MULTIPART_BYTES,
} from '../../support/counting-ports.ts';
import { createTable, type DynamoEmulator, startDynamo } from '../../support/emulators/dynamo.ts';
import { type FaultyProxy, startFaultyProxy } from '../../support/emulators/faulty-proxy.ts';
import { emulatorSettings, type S3Emulator, startS3 } from '../../support/emulators/s3.ts';
import { type S3Proxy, startS3Proxy } from '../../support/emulators/s3-proxy.ts';

let s3: S3Emulator;
let s3Proxy: S3Proxy;
let dynamo: DynamoEmulator;
let dynamoProxy: FaultyProxy;
let client: ReturnType<typeof dynamoClient>;
beforeAll(async () => {
  s3 = await startS3();
  s3Proxy = await startS3Proxy(s3.endpoint);
  dynamo = await startDynamo();
  dynamoProxy = await startFaultyProxy(dynamo.endpoint);
  client = dynamoClient({
    region: 'us-east-1',
    credentials: { accessKeyId: 'emulated', secretAccessKey: 'emulated' },
    endpoints: { dynamodb: dynamoProxy.endpoint },
  });
});
afterAll(async () => {
  client.destroy();
  await s3Proxy.close();
  await s3.close();
  await dynamoProxy.close();
  await dynamo.close();
});

/** Calls that take no time by a clock that runs as fast as it is asked. */
function meter() {
  const clock = new ManualClock(0);
  return { tally: emptyTally(), clock: Object.assign(clock, { sleep: async () => {} }) };
}

const objectActs: readonly (readonly [string, (store: ObjectStore) => Promise<unknown>])[] = [
  ['a small object', (store) => store.put('small', new Uint8Array(10))],
  ['an object at the bound', (store) => store.put('bound', new Uint8Array(MULTIPART_BYTES))],
  ['three parts', (store) => store.put('parts', new Uint8Array(2 * MULTIPART_BYTES + 1))],
  ['a read', (store) => store.get('small')],
  ['a range', (store) => store.get('bound', { offset: 5, length: 10 })],
  ['a look', (store) => store.head('small')],
  ['a listing', (store) => store.list('')],
];

it('asks S3 as often as it is billed', async () => {
  const store = openS3ObjectStore({
    client: s3Client(emulatorSettings(s3Proxy.endpoint)),
    bucket: await s3.newBucket(),
  });
  const counted = meter();
  const twin = countingObjects(new MemoryObjectStore(openClock()), counted);
  for (const [name, act] of objectActs) {
    const before = s3Proxy.asked.length;
    await act(store);
    const { s3Writes, s3Reads } = counted.tally;
    await act(twin);
    const billed = counted.tally.s3Writes - s3Writes + (counted.tally.s3Reads - s3Reads);
    expect(s3Proxy.asked.length - before, name).toBe(billed);
  }
});

const key = { partition: 'p', sort: 's' };
const tableActs: readonly (readonly [string, (table: Table) => Promise<unknown>])[] = [
  ['a read of nothing', (table) => table.get(key)],
  ['a new row', (table) => table.put(key, new Uint8Array(10), 'absent')],
  ['a lost race', (table) => table.put(key, new Uint8Array(10), 'absent')],
  ['a change', (table) => table.put(key, new Uint8Array(3000), 1)],
  ['a read', (table) => table.get(key)],
  ['a query', (table) => table.query('p')],
  ['a query of the newest', (table) => table.query('p', { reverse: true, limit: 1 })],
  ['a deletion', (table) => table.delete(key)],
];

it('asks DynamoDB once for each call that is billed', async () => {
  await createTable(client, 'billed');
  const table = openDynamoTable({
    client,
    tableName: 'billed',
    clock: openClock(),
    entropy: systemEntropy,
  });
  const counted = meter();
  const twin = countingTable(new MemoryTable(), counted);
  for (const [name, act] of tableActs) {
    const before = dynamoProxy.received().length;
    await act(table);
    const { readUnits, writeUnits } = counted.tally;
    await act(twin);
    const units = counted.tally.readUnits - readUnits + (counted.tally.writeUnits - writeUnits);
    expect(dynamoProxy.received().length - before, name).toBe(1);
    expect(units, name).toBe(name === 'a change' || name === 'a deletion' ? 3 : 1);
  }
});
