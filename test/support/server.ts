/**
 * A real server on a free port with a data directory of its own, and an exact way to talk to it. The
 * same tests run against the packaged functions: whoever starts those says so by `startServersBy`.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type JsonOut, parseJson, stringifyJson } from '#base/json.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import { type StartOptions, startSterna } from '#runtime/start.ts';

/** An envelope: `code` and whatever else the verb answers. Values are looked at by assertions only. */
// biome-ignore lint/suspicious/noExplicitAny: assertions look into replies of many shapes
export type Envelope = { code: number; message?: string; data?: any; [field: string]: any };

export type Answer = Readonly<{
  status: number;
  headers: Headers;
  text: string;
  body: Envelope;
}>;

export type Call = (
  verb: string,
  body?: Readonly<Record<string, unknown>> | string | Uint8Array,
  headers?: Readonly<Record<string, string>>,
) => Promise<Answer>;

export type TestServer = Readonly<{
  url: string;
  dir: string;
  /** POST /v2/vectordb/`verb`, by default as root. 64-bit integers are exact both ways. */
  call: Call;
  /** Its data, past the server. */
  ports: Readonly<{
    objects: ObjectStore;
    table: Table;
    global: Table;
    clock: Clock;
    entropy: Entropy;
  }>;
  /** As `call`; throws where the code is not 0. */
  must: (verb: string, body?: Readonly<Record<string, unknown>>) => Promise<Envelope>;
  /** Stops and starts again on the same directory, on another port. */
  restart: (changed?: StartOptions) => Promise<TestServer>;
  close: () => Promise<void>;
}>;

/** `heldAcks`: while it has a promise, writes that reached the log wait for it before they go on. */
export type ServerOptions = StartOptions &
  Readonly<{ heldAcks?: { readonly until: Promise<void> | undefined } }>;
export type ServerStarter = (options: ServerOptions) => Promise<TestServer>;

export const ROOT = 'Bearer root:Milvus';

let starter: ServerStarter = startHere;

/** Lets something else than the embedded server stand behind the tests of this process. */
export function startServersBy(other: ServerStarter): void {
  starter = other;
}

export const startServer = (options: ServerOptions = {}): Promise<TestServer> => starter(options);

async function startHere({ heldAcks, ...options }: ServerOptions): Promise<TestServer> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'sterna-test-')));
  const sterna = await startSterna({
    logLevel: 'error',
    ...(heldAcks === undefined
      ? {}
      : { wrap: (ports) => ({ ...ports, table: slowTail(ports.table, heldAcks) }) }),
    ...options,
    // Nobody waits for a batch to fill in a test.
    pace: { applyLingerMs: 20, ...options.pace },
    dir,
    port: 0,
  });
  return {
    url: sterna.url,
    dir,
    ports: sterna.engine.ports,
    ...talkersOf(sterna.url),
    restart: async (changed = {}) => {
      await sterna.close();
      return startHere({ ...options, ...changed, dir });
    },
    close: async () => {
      await sterna.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** A table whose tail rows wait while acks are held: those writes are in the log already. */
const slowTail = (table: Table, acks: NonNullable<ServerOptions['heldAcks']>): Table => ({
  get: (key) => table.get(key),
  query: (partition, options) => table.query(partition, options),
  delete: (key, condition) => table.delete(key, condition),
  put: async (key, value, condition) => {
    if (key.sort.startsWith('tail/')) await acks.until;
    return table.put(key, value, condition);
  },
});

export function talkersOf(url: string): Pick<TestServer, 'call' | 'must'> {
  const call = callerOf(url);
  return {
    call,
    must: async (verb, body) => {
      const answer = await call(verb, body);
      if (answer.body.code !== 0) throw new Error(`${verb}: ${answer.text}`);
      return answer.body;
    },
  };
}

export function callerOf(url: string): Call {
  return async (verb, body = {}, headers = {}) => {
    const raw = typeof body === 'string' || body instanceof Uint8Array;
    const response = await fetch(`${url}/v2/vectordb/${verb}`, {
      method: 'POST',
      headers: { authorization: ROOT, ...headers },
      // What a test sends is JSON or meant to be none.
      body: raw ? (body as string | Uint8Array<ArrayBuffer>) : stringifyJson(body as JsonOut),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
    // A reply in JSON is an envelope; anything else is looked at as text.
    const parsed = (isJson ? parseJson(text) : { code: -1 }) as Envelope;
    return { status: response.status, headers: response.headers, text, body: parsed };
  };
}

/** The error envelope: code, words of the message, and the promise that nothing happened. */
export function expectError(answer: Answer, code: number, ...words: readonly string[]): void {
  expect(answer.body, answer.text).toMatchObject({ code });
  for (const word of words) expect(answer.body.message).toContain(word);
  expect(answer.body).not.toHaveProperty('data');
  expect(['never', 'later', 'elsewhere']).toContain(answer.body['retry']);
  expect(answer.body['effect']).toBe('none');
  expect(answer.text).not.toMatch(/\.[jt]s:\d+|\\n\s*at /);
}

/** A collection in the full form: Int64 key, vector of 4 by L2, and one field of each type. */
export const everyType = (collectionName: string) => ({
  collectionName,
  schema: {
    enableDynamicField: true,
    fields: [
      { fieldName: 'id', dataType: 'Int64', isPrimary: true },
      { fieldName: 'vector', dataType: 'FloatVector', elementTypeParams: { dim: '4' } },
      { fieldName: 'flag', dataType: 'Bool', nullable: true },
      { fieldName: 'tiny', dataType: 'Int8', nullable: true },
      { fieldName: 'small', dataType: 'Int16', nullable: true },
      { fieldName: 'medium', dataType: 'Int32', nullable: true },
      { fieldName: 'large', dataType: 'Int64', nullable: true },
      { fieldName: 'single', dataType: 'Float', nullable: true },
      { fieldName: 'double', dataType: 'Double', nullable: true },
      {
        fieldName: 'text',
        dataType: 'VarChar',
        nullable: true,
        elementTypeParams: { max_length: 16 },
      },
      { fieldName: 'json', dataType: 'JSON', nullable: true },
      { fieldName: 'preset', dataType: 'Int32', defaultValue: 7 },
    ],
  },
  indexParams: [{ fieldName: 'vector', indexName: 'vector_idx', metricType: 'L2' }],
});
