/** The door of a function behind an HTTP API: its time, its secret, and what fails while it opens. */
import { afterEach, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { StoreError } from '#base/errors.ts';
import { createUser } from '#catalog/access.ts';
import type { Table } from '#ports/table.ts';
import { type AwsEngine, awsHttp } from '#runtime/aws.ts';
import { readAwsConfig } from '#runtime/config.ts';
import { openCore } from '#runtime/engine.ts';
import type { HttpEvent } from '#runtime/http.ts';
import { type Routes, readRoute, writeRoute } from '#service/route.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryLog } from '#sim/memory-log.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import { RecordingTelemetry } from '#sim/silent-telemetry.ts';
import { EMULATOR_CREDENTIALS } from '../../support/emulators/s3.ts';
import { startSecrets } from '../../support/emulators/secrets.ts';

const LIST = '/v2/vectordb/collections/list';
const INSERT = '/v2/vectordb/entities/insert';
const PASSWORD = 'as "generated": 1/2+3';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

type Given = Readonly<{
  secret?: string;
  endpoint?: string;
  /** Goes between the door and the table of users. */
  wrap?: (table: Table) => Table;
  answer?: () => Promise<number>;
}>;

function open({ secret = '-', endpoint, wrap = (table) => table, answer }: Given) {
  const clock = new ManualClock();
  const global = new MemoryTable();
  const telemetry = new RecordingTelemetry();
  const config = readAwsConfig({
    AWS_REGION: 'us-east-1',
    STERNA_BUCKET: 'b',
    STERNA_STREAM: 's',
    STERNA_REGIONAL_TABLE: 'r',
    STERNA_GLOBAL_TABLE: 'g',
    STERNA_ROOT_SECRET: secret,
  });
  const core = openCore(
    {
      objects: new MemoryObjectStore(clock),
      log: new MemoryLog({ clock }),
      table: new MemoryTable(),
      global: wrap(global),
      clock,
      entropy: new SeededEntropy(1),
      telemetry,
    },
    { scratchDir: '/nowhere', graphBytes: 0 },
  );
  const settings = {
    region: 'us-east-1',
    credentials: EMULATOR_CREDENTIALS,
    ...(endpoint === undefined ? {} : { endpoints: { secretsmanager: endpoint } }),
  };
  const engine: AwsEngine = { ...core, config, settings, scratchDir: '/nowhere', flush: () => {} };
  let answered = 0;
  const handle = async () => {
    answered += 1;
    return { data: (await answer?.()) ?? 1 };
  };
  const routes: Routes = {
    [`POST ${LIST}`]: readRoute(z.object({}), handle),
    [`POST ${INSERT}`]: writeRoute(z.object({}), handle),
  };
  const handler = awsHttp(
    () => routes,
    async () => engine,
  );
  type Change = Readonly<{
    path?: string;
    headers?: HttpEvent['headers'];
    timeEpoch?: number;
    leftMs?: number;
  }>;
  const call = async ({ path = LIST, headers, timeEpoch, leftMs }: Change = {}) => {
    const taken = timeEpoch === undefined ? {} : { timeEpoch };
    const { statusCode, body } = await handler(
      {
        rawPath: path,
        headers: { authorization: `Bearer root:${PASSWORD}`, ...headers },
        requestContext: { requestId: 'r-1', http: { method: 'POST' }, ...taken },
        body: '{}',
        isBase64Encoded: false,
      },
      leftMs === undefined ? {} : { getRemainingTimeInMillis: () => leftMs },
    );
    return { statusCode, body: JSON.parse(body) };
  };
  const createRoot = () =>
    createUser({ ...core.ports, global }, { user: 'root', password: PASSWORD });
  return { call, clock, telemetry, createRoot, answered: () => answered };
}

async function secretsWith(value: string) {
  const secrets = await startSecrets({ root: value });
  closing.push(secrets.close);
  return secrets;
}

describe('the password of root', () => {
  test('comes from the secret where there is no root, once', async () => {
    const secrets = await secretsWith(PASSWORD);
    const door = open({ secret: secrets.arns['root'] ?? '', endpoint: secrets.endpoint });
    const replies = await Promise.all([door.call(), door.call()]);
    expect(replies.map(({ body }) => body.code)).toEqual([0, 0]);
    expect((await door.call()).body.code).toBe(0);
    const wrong = await door.call({ headers: { authorization: 'Bearer root:Milvus' } });
    expect(wrong).toMatchObject({ statusCode: 401, body: { code: 1800 } });
    expect(secrets.calls()).toBe(1);
    expect(JSON.stringify(door.telemetry.events)).not.toContain(PASSWORD.slice(0, 6));
  });

  test('is not asked for where there is a root', async () => {
    const secrets = await secretsWith('another');
    const door = open({ secret: secrets.arns['root'] ?? '', endpoint: secrets.endpoint });
    await door.createRoot();
    expect((await door.call()).body.code).toBe(0);
    expect(secrets.calls()).toBe(0);
  });

  test.each([
    { secret: '-', says: 'STERNA_ROOT_SECRET' },
    { secret: 'missing', says: 'GetSecretValue of secret missing' },
  ])('that cannot be had is an answer that says so ($secret)', async ({ secret, says }) => {
    const secrets = await secretsWith(PASSWORD);
    const door = open({ secret, endpoint: secrets.endpoint });
    const { statusCode, body } = await door.call();
    expect(statusCode).toBe(200);
    expect(body).toMatchObject({ code: 65_535, retry: 'never', effect: 'none' });
    expect(body.message).toContain(says);
    expect(door.answered()).toBe(0);
    // Nothing is remembered of it: an operator may have made the root meanwhile.
    await door.createRoot();
    expect((await door.call()).body.code).toBe(0);
  });
});

describe('the time of a request', () => {
  const endless = () => new Promise<number>(() => {});
  const opened = async (given: Given) => {
    const door = open(given);
    await door.createRoot();
    // Remembered credentials: what follows waits for the route alone.
    await door.call({ path: '/v2/vectordb/collections/has' });
    return door;
  };

  test.each([
    { what: "the gateway's 28 s", change: {}, endsMs: 28_000 },
    {
      what: 'less what a cold start took',
      change: (nowMs: number) => ({ timeEpoch: nowMs - 9_000 }),
      endsMs: 19_000,
    },
    {
      what: "the gateway's, though its clock is ahead",
      change: (nowMs: number) => ({ timeEpoch: nowMs + 400 }),
      endsMs: 28_000,
    },
    { what: "Lambda's own end, less a second", change: { leftMs: 5_000 }, endsMs: 4_000 },
    {
      what: 'not more, though the client would wait',
      change: { headers: { 'request-timeout': '600' } },
      endsMs: 28_000,
    },
    {
      what: 'less where the client says so',
      change: { headers: { 'request-timeout': '2' } },
      endsMs: 2_000,
    },
  ])('is $what', async ({ change, endsMs }) => {
    const door = await opened({ answer: endless });
    const nowMs = door.clock.nowMs();
    let reply: Awaited<ReturnType<typeof door.call>> | undefined;
    const given = typeof change === 'function' ? change(nowMs) : change;
    const waiting = door.call({ path: INSERT, ...given }).then((got) => {
      reply = got;
    });
    await door.clock.advance(endsMs - 1);
    expect(reply).toBeUndefined();
    await door.clock.advance(1);
    await waiting;
    expect(reply).toMatchObject({ statusCode: 408, body: { code: 10_001, effect: 'unknown' } });
  });

  test('that is over on arrival begins nothing', async () => {
    const door = await opened({});
    const timeEpoch = door.clock.nowMs() - 29_000;
    const { body } = await door.call({ path: INSERT, timeEpoch });
    expect(body).toMatchObject({ code: 10_001, effect: 'none' });
    expect(door.answered()).toBe(0);
  });

  test('that ends before the write began leaves nothing behind, also afterwards', async () => {
    let blocked: Promise<void> | undefined;
    const door = await opened({
      wrap: (table) => ({
        get: async (key) => {
          await blocked;
          return table.get(key);
        },
        query: (...query) => table.query(...query),
        put: (...put) => table.put(...put),
        delete: (...gone) => table.delete(...gone),
      }),
    });
    let unblock: () => void = () => {};
    blocked = new Promise((resolve) => {
      unblock = resolve;
    });
    // So late that the user's row is looked at again.
    await door.clock.advance(60_000);
    const waiting = door.call({ path: INSERT, leftMs: 3_000 });
    await door.clock.advance(2_000);
    expect((await waiting).body).toMatchObject({ code: 10_001, effect: 'none' });
    unblock();
    await door.clock.advance(1_000);
    expect(door.answered()).toBe(0);
    // It is the wait that held it up.
    expect((await door.call({ path: INSERT })).body.code).toBe(0);
  });

  test('an answer that arrives in the moment of its end still wins', async () => {
    const door = await opened({
      answer: () => new Promise((resolve) => setImmediate(() => resolve(7))),
    });
    const waiting = door.call({ path: INSERT, headers: { 'request-timeout': '1' } });
    // Everything at once, as in an environment that thaws: the timer is long over.
    await door.clock.advance(60_000);
    expect((await waiting).body).toEqual({ code: 0, data: 7 });
  });

  test('ends what fails with a code, as everywhere', async () => {
    const door = await opened({
      answer: async () => {
        throw new StoreError('OVERLOADED', 'too much');
      },
    });
    expect((await door.call()).body).toMatchObject({ code: 8, retry: 'later' });
  });
});
