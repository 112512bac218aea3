import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { dynamoClient, type Waits } from '#aws/clients.ts';
import { openDynamoTable } from '#aws/table.ts';
import { openClock } from '#local/clock.ts';
import { systemEntropy } from '#local/entropy.ts';
import type { Table } from '#ports/table.ts';
import { patternBytes } from '../../contract/subject.ts';
import { createTable, type DynamoEmulator, startDynamo } from '../../support/emulators/dynamo.ts';
import {
  type FaultyProxy,
  type ProxyFault,
  startFaultyProxy,
} from '../../support/emulators/faulty-proxy.ts';

const key = { partition: 'p', sort: 's' };
const value = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

const refusal = (name: string, status = 400, message = 'no') => ({
  status,
  body: JSON.stringify({ __type: `com.amazonaws.dynamodb.v20120810#${name}`, message }),
});
const throttled = refusal('ProvisionedThroughputExceededException');
const broken: ProxyFault = { ...refusal('InternalServerError', 500), passOn: true };

let emulator: DynamoEmulator;
let proxy: FaultyProxy;
let direct: Table;
let table: Table;
let hasty: Table;
let requests: (act: () => Promise<unknown>) => Promise<number>;
let tables = 0;
const clients: ReturnType<typeof dynamoClient>[] = [];

/** An answer that takes this long is given up; only a stalled one does. */
const ANSWER_MS = 700;

const clientOf = (endpoint: string, waits: Partial<Waits> = {}) => {
  const client = dynamoClient({
    region: 'us-east-1',
    credentials: { accessKeyId: 'emulated', secretAccessKey: 'emulated' },
    endpoints: { dynamodb: endpoint },
    waits: { dynamodb: waits },
  });
  clients.push(client);
  return client;
};

beforeAll(async () => {
  emulator = await startDynamo();
  proxy = await startFaultyProxy(emulator.endpoint);
});
afterAll(async () => {
  for (const client of clients) client.destroy();
  await proxy.close();
  await emulator.close();
});
beforeEach(async () => {
  const tableName = `unit-${++tables}`;
  const ports = { tableName, clock: openClock(), entropy: systemEntropy };
  const client = clientOf(emulator.endpoint);
  await createTable(client, tableName);
  direct = openDynamoTable({ client, ...ports });
  table = openDynamoTable({ client: clientOf(proxy.endpoint), ...ports });
  const hastyClient = clientOf(proxy.endpoint, { answerMs: ANSWER_MS });
  hasty = openDynamoTable({ client: hastyClient, ...ports });
  requests = async (act) => {
    const before = proxy.received().length;
    await act();
    return proxy.received().length - before;
  };
});

describe('a write whose answer does not come', () => {
  const faults: readonly (readonly [string, ProxyFault])[] = [
    ['its connection is reset', 'lose-answer'],
    ['its answer is cut off', 'cut-answer'],
    ['its answer takes too long', 'stall'],
    ['the service fails after its work', broken],
  ];

  it.each(faults)('is uncertain, was sent once, and may be there: %s', async (_, fault) => {
    const victim = fault === 'stall' ? hasty : table;
    proxy.suffer(fault);
    const sent = await requests(async () => {
      await expect(victim.put(key, value('a'), 'absent')).rejects.toMatchObject({
        code: 'UNCERTAIN',
      });
    });
    expect(sent).toBe(1);
    await proxy.settled();
    expect(await direct.get(key)).toEqual({ ...key, version: 1, value: value('a') });

    proxy.suffer(fault);
    await expect(victim.put(key, value('b'), 1)).rejects.toMatchObject({ code: 'UNCERTAIN' });
    await proxy.settled();
    expect(await direct.get(key)).toEqual({ ...key, version: 2, value: value('b') });

    proxy.suffer(fault);
    await expect(victim.put(key, value('c'))).rejects.toMatchObject({ code: 'UNCERTAIN' });
    await proxy.settled();
    expect(await direct.get(key)).toEqual({ ...key, version: 3, value: value('c') });

    proxy.suffer(fault);
    await expect(victim.delete(key, 3)).rejects.toMatchObject({ code: 'UNCERTAIN' });
    await proxy.settled();
    expect(await direct.get(key)).toBeUndefined();
  });

  it('is uncertain, and was not done, where it never arrived', async () => {
    proxy.suffer('reset');
    await expect(table.put(key, value('a'))).rejects.toMatchObject({ code: 'UNCERTAIN' });
    expect(await direct.get(key)).toBeUndefined();
  });

  it('is uncertain where nobody listens', async () => {
    const gone = await startFaultyProxy(emulator.endpoint);
    await gone.close();
    const ports = { tableName: 'unit-1', clock: openClock(), entropy: systemEntropy };
    const unreachable = openDynamoTable({ client: clientOf(gone.endpoint), ...ports });
    await expect(unreachable.put(key, value('a'))).rejects.toMatchObject({ code: 'UNCERTAIN' });
    await expect(unreachable.get(key)).rejects.toMatchObject({ code: 'UNCERTAIN' });
  });
});

describe('a read whose answer does not come', () => {
  it('is sent again', async () => {
    await direct.put(key, value('a'));
    for (const fault of ['reset', 'lose-answer', 'cut-answer', 'stall', broken] as const) {
      const victim = fault === 'stall' ? hasty : table;
      proxy.suffer(fault);
      expect(await victim.get(key)).toMatchObject({ version: 1, value: value('a') });
      proxy.suffer(fault, throttled);
      expect(await victim.query('p')).toHaveLength(1);
    }
  });

  it('gives up after five attempts', async () => {
    proxy.suffer('reset', 'reset', 'reset', 'reset', 'reset');
    const sent = await requests(async () => {
      await expect(table.get(key)).rejects.toMatchObject({ code: 'UNCERTAIN' });
    });
    expect(sent).toBe(5);
  });
});

describe('what the service refuses', () => {
  it.each([
    'ProvisionedThroughputExceededException',
    'ThrottlingException',
    'RequestLimitExceeded',
    'ReplicatedWriteConflictException',
  ])('is tried again where nothing happened: %s', async (name) => {
    proxy.suffer(refusal(name), refusal(name));
    expect(await table.put(key, value('a'), 'absent')).toBe(1);
    proxy.suffer(refusal(name));
    expect(await table.put(key, value('b'), 1)).toBe(2);
    proxy.suffer(refusal(name));
    expect(await table.get(key)).toMatchObject({ version: 2 });
    proxy.suffer(refusal(name));
    expect(await table.delete(key, 2)).toBe(true);
  });

  it('is overload where it stays so, and nothing was done', async () => {
    proxy.suffer(throttled, throttled, throttled, throttled, throttled);
    const sent = await requests(async () => {
      await expect(table.put(key, value('a'))).rejects.toMatchObject({ code: 'OVERLOADED' });
    });
    expect(sent).toBe(5);
    expect(await direct.get(key)).toBeUndefined();
  });

  it('is a mistake of the deployment otherwise, and is not tried again', async () => {
    for (const name of [
      'AccessDeniedException',
      'ValidationException',
      'UnrecognizedClientException',
    ]) {
      proxy.suffer(refusal(name));
      const sent = await requests(async () => {
        const put = table.put(key, value('a'));
        await expect(put).rejects.toMatchObject({ code: 'PLATFORM_REFUSED' });
        await expect(put).rejects.toThrow(name);
      });
      expect(sent).toBe(1);
    }
    const ports = { tableName: 'no-such-table', clock: openClock(), entropy: systemEntropy };
    const missing = openDynamoTable({ client: clientOf(emulator.endpoint), ...ports });
    await expect(missing.get(key)).rejects.toMatchObject({ code: 'PLATFORM_REFUSED' });
  });

  it('says nothing of the value', async () => {
    proxy.suffer(refusal('ValidationException'));
    const put = table.put(key, value('a secret'));
    await expect(put).rejects.toThrow(/UpdateItem of table unit-/);
    await expect(put).rejects.not.toThrow(/secret/);
  });
});

describe('requests', () => {
  it('are none where the answer is known', async () => {
    await direct.put(key, value('a'));
    const sent = await requests(async () => {
      expect(await table.delete(key, 'absent')).toBe(false);
      for (const version of [0, -1, 0.5, Number.NaN, 2 ** 60]) {
        expect(await table.put(key, value('b'), version)).toBeUndefined();
        expect(await table.delete(key, version)).toBe(false);
      }
      expect(await table.query('p', { after: 'b', before: 'a' })).toEqual([]);
      expect(await table.query('p', { before: ' ' })).toEqual([]);
    });
    expect(sent).toBe(0);
  });

  it('follow the pages of 1 MB', async () => {
    for (let row = 10; row < 18; row++) {
      await direct.put({ partition: 'p', sort: `${row}` }, patternBytes(250_000, row));
    }
    const sent = await requests(async () => {
      const rows = await table.query('p');
      expect(rows.map((row) => row.sort)).toEqual(['10', '11', '12', '13', '14', '15', '16', '17']);
      for (const row of rows) {
        expect(Buffer.compare(row.value, patternBytes(250_000, Number(row.sort)))).toBe(0);
      }
    });
    expect(sent).toBeGreaterThanOrEqual(2);
    const backward = await table.query('p', { reverse: true, limit: 6 });
    expect(backward.map((row) => row.sort)).toEqual(['17', '16', '15', '14', '13', '12']);
  });

  it('are as many as the pages of a limit need', async () => {
    for (let row = 10; row < 15; row++)
      await direct.put({ partition: 'p', sort: `${row}` }, value('x'));
    expect(await requests(() => table.query('p', { limit: 2 }))).toBe(1);
    expect(await requests(() => table.query('p', { prefix: '1', before: '13' }))).toBe(1);
  });

  it('wait for their turn rather than for a socket, where the client would give them up', async () => {
    const calm = await startFaultyProxy(emulator.endpoint);
    const ports = { tableName: `unit-${tables}`, clock: openClock(), entropy: systemEntropy };
    const busy = openDynamoTable({ client: clientOf(calm.endpoint), ...ports });
    const puts = Array.from({ length: 300 }, (_, row) =>
      busy.put({ partition: 'burst', sort: `${row}` }, value('x')),
    );
    expect(new Set(await Promise.all(puts))).toEqual(new Set([1]));
    expect(calm.mostAtOnce()).toBeGreaterThan(1);
    expect(calm.mostAtOnce()).toBeLessThanOrEqual(64);
    await calm.close();
  });

  it('read consistently', async () => {
    const before = proxy.received().length;
    await table.get(key);
    await table.query('p');
    const bodies = proxy.received().slice(before);
    expect(bodies.map((body) => JSON.parse(body).ConsistentRead)).toEqual([true, true]);
  });
});
