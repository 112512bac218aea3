/** A server with something in it, and a text that says all that anybody can see of it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { recordPosition } from '#base/position.ts';
import { createUser } from '#catalog/access.ts';
import { readPins } from '#catalog/pins.ts';
import { type Sterna, startSterna } from '#runtime/start.ts';
import { putJob } from '#service/snapshot-jobs.ts';
import { asideKey, putAside } from '#wal/parked-aside.ts';
import { ASIDE } from './cluster-routes.ts';
import { KEPT, KNOWN_JOB } from './copy-routes.ts';
import { AUTO_ROWS, KEYS_ROWS, MAIN_ROWS, type Tree } from './fixture-rows.ts';
import { render } from './mutate.ts';
import type { Subject } from './subject.ts';
import { KNOWN_PASSWORD, KNOWN_USER } from './user-spec.ts';

export type Reply = Readonly<{ status: number; text: string; envelope: Envelope }>;
/** Members of a reply; of numbers nothing but their text is compared. */
export type Envelope = Readonly<Record<string, unknown>>;

type Body = string | Uint8Array<ArrayBuffer>;
type Headers = Readonly<Record<string, string>>;

/** What leaves a new collection behind. */
const MAKING = ['collections/create', 'collections/clone', 'snapshots/restore'];
const USER_KEY = { partition: 'users', sort: KNOWN_USER };

export class World {
  readonly #url: string;
  readonly #sterna: Sterna;

  private constructor(sterna: Sterna) {
    this.#url = sterna.url;
    this.#sterna = sterna;
  }

  static async open(): Promise<World> {
    const dir = await mkdtemp(join(tmpdir(), 'sterna-garbage-'));
    const sterna = await startSterna({
      dir,
      port: 0,
      logLevel: 'error',
      pace: { applyLingerMs: 5 },
    });
    const world = new World(sterna);
    await world.#setPassword();
    for (const form of FORMS) await world.must('collections/create', form);
    await world.must('collections/release', { collectionName: 'indexed' });
    await world.#fill();
    // One half of the rows is read from segments, the other from the tail.
    await world.must('collections/flush', { collectionName: 'main' });
    await world.#fill();
    await world.#takeKept();
    await world.#noteJob();
    await world.#setAside();
    return world;
  }

  async #fill(): Promise<void> {
    await this.must('entities/upsert', { collectionName: 'main', data: MAIN_ROWS });
    await this.must('entities/upsert', { collectionName: 'keys', data: KEYS_ROWS });
    await this.must('entities/insert', { collectionName: 'auto', data: AUTO_ROWS });
  }

  async close(): Promise<void> {
    await this.#sterna.close();
    await rm(this.#sterna.dir, { recursive: true, force: true });
  }

  /** The user of the subject `users/update_password` is new, with the password that it gives. */
  async #setPassword(): Promise<void> {
    const { ports } = this.#sterna.engine;
    await ports.global.delete(USER_KEY);
    await createUser(ports, { user: KNOWN_USER, password: KNOWN_PASSWORD });
  }

  async #takeKept(): Promise<void> {
    await this.must('snapshots/create', { collectionName: 'main', snapshotName: KEPT });
  }

  async #noteJob(): Promise<void> {
    await putJob(this.#sterna.engine.ports.table, {
      ...{ jobId: KNOWN_JOB, snapshotName: KEPT, dbName: 'default', collectionName: 'main' },
      ...{ startMs: 1, timeCost: 1 },
    });
  }

  /** A record that an operator once set aside: setting it aside again says so again. */
  async #setAside(): Promise<void> {
    const { ports, catalog } = this.#sterna.engine;
    const { collectionId } = await catalog.findCollection('default', ASIDE.collectionName);
    const id = { collectionId, shard: ASIDE.shard };
    const bytes = new Uint8Array(ASIDE.bytes);
    for (const part of ['record', 'payload'] as const) {
      await ports.objects.put(asideKey(id, ASIDE.sequence, part), bytes);
    }
    await putAside(ports.table, id, {
      ...{ state: 'void', sequence: ASIDE.sequence, position: recordPosition(1, 1, '7') },
      ...{ arrivalMs: 1, setAsideMs: 2, code: 'DATA_CORRUPT', reason: 'no record' },
      ...{ recordId: undefined, rows: 0, tombstones: 0, schemaVersion: 0, wasVisible: false },
      ...{ recordBytes: ASIDE.bytes, payloadBytes: ASIDE.bytes },
    });
  }

  async call(verb: string, body: Body, headers: Headers = {}): Promise<Reply> {
    const path = verb.startsWith('/') ? verb : `/v2/vectordb/${verb}`;
    const response = await fetch(`${this.#url}${path}`, {
      method: 'POST',
      headers: { authorization: 'Bearer root:Milvus', ...headers },
      body,
    });
    const text = await response.text();
    return { status: response.status, text, envelope: envelopeOf(text) };
  }

  async must(verb: string, body: Tree): Promise<Envelope> {
    const { text, envelope } = await this.call(verb, render(body));
    if (envelope['code'] !== 0) throw new Error(`${verb}: ${text}`);
    return envelope;
  }

  /** Puts back what a valid request of the subject took away or added. */
  async mend({ verb }: Subject): Promise<void> {
    if (MAKING.includes(verb)) await this.#dropMade();
    if (verb === 'snapshots/create') await this.#dropFresh();
    if (verb === 'snapshots/drop') await this.#takeKept();
    if (verb === 'snapshots/pin') await this.#unpin();
    if (verb === 'snapshots/restore') await this.#forgetJobs();
    if (verb === 'collections/drop') await this.must('collections/create', VICTIM);
    if (verb === 'collections/release') {
      await this.must('collections/load', { collectionName: 'toggled' });
    }
    if (verb === 'collections/load') {
      await this.must('collections/release', { collectionName: 'toggled' });
      await this.must('collections/release', { collectionName: 'indexed' });
    }
    if (verb === 'entities/delete') {
      await this.must('entities/upsert', { collectionName: 'main', data: MAIN_ROWS });
    }
    if (verb === 'indexes/create') {
      const { data } = await this.must('indexes/list', { collectionName: 'unindexed' });
      for (const indexName of data as string[]) {
        await this.must('indexes/drop', { collectionName: 'unindexed', indexName });
      }
    }
    if (verb === 'users/update_password') await this.#setPassword();
    if (verb === 'indexes/drop') await this.must('indexes/create', INDEXED_INDEX);
  }

  async #dropFresh(): Promise<void> {
    for (const { pin } of await readPins(this.#sterna.engine.ports.table)) {
      if (pin.name === undefined || pin.name === KEPT) continue;
      const { collectionName } = pin.source;
      await this.must('snapshots/drop', { collectionName, snapshotName: pin.name });
    }
  }

  async #unpin(): Promise<void> {
    for (const { pin } of await readPins(this.#sterna.engine.ports.table)) {
      for (const { guardId } of pin.guards) await this.must('snapshots/unpin', { pinId: guardId });
    }
  }

  async #forgetJobs(): Promise<void> {
    const { table } = this.#sterna.engine.ports;
    for (const { partition, sort } of await table.query('jobs/snapshot')) {
      await table.delete({ partition, sort });
    }
    await this.#noteJob();
  }

  async #dropMade(): Promise<void> {
    const kept = new Set(FORMS.map(({ collectionName }) => collectionName));
    for (const collectionName of await this.#collections()) {
      if (!kept.has(collectionName)) await this.must('collections/drop', { collectionName });
    }
  }

  async #collections(): Promise<readonly string[]> {
    const { data } = await this.must('collections/list', {});
    // list answers with names.
    return (data as string[]).sort();
  }

  /**
   * Definitions, states, indexes, rows, snapshots, jobs, the number of rows ever written and the newest position of every
   * shard: a write that was refused has moved none of them, not even by a record without effect (I11).
   */
  async content(): Promise<string> {
    const names = await this.#collections();
    const seen = await Promise.all(names.map((name) => this.#contentOf(name)));
    const { global, table } = this.#sterna.engine.ports;
    const user = await global.get(USER_KEY);
    const jobs = await table.query('jobs/snapshot');
    return [
      ...names.map((name, index) => `${name}: ${seen[index]}`),
      ...(await readPins(table)).map(({ pin }) => JSON.stringify(pin)),
      ...jobs.map(({ value }) => Buffer.from(value).toString()),
      Buffer.from(user?.value ?? []).toString(),
    ].join('\n');
  }

  async #contentOf(collectionName: string): Promise<string> {
    const ask = async (verb: string, more: Tree = {}): Promise<string> =>
      (await this.call(verb, render({ collectionName, ...(more as object) }))).text;
    const [shape, stats, indexes, state, rows] = await Promise.all([
      ask('collections/describe'),
      ask('collections/get_stats'),
      ask('indexes/list'),
      ask('collections/get_load_state'),
      ask('entities/query', { outputFields: ['*'], limit: 16_384, asOf: true }),
    ]);
    // A collection that was dropped and made again has another id.
    return [shape.replace(/"collectionID":[0-9]+/, ''), stats, indexes, state, rows].join(' ');
  }
}

function envelopeOf(text: string): Envelope {
  try {
    const value: unknown = JSON.parse(text);
    // An object's members are unknown values.
    return typeof value === 'object' && value !== null ? (value as Envelope) : {};
  } catch {
    return {};
  }
}

const full = (collectionName: string, indexed: boolean) => ({
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
  ...(indexed
    ? { indexParams: [{ fieldName: 'vector', indexName: 'vector_idx', metricType: 'L2' }] }
    : {}),
});

const VICTIM = { collectionName: 'victim', dimension: 2 };
const INDEXED_INDEX = {
  collectionName: 'indexed',
  indexParams: [{ fieldName: 'vector', indexName: 'vector_idx', metricType: 'L2' }],
};

/** The collections of routes.ts: `keys` has two shards, `bare` and `unindexed` no index. */
const FORMS = [
  full('main', true),
  {
    collectionName: 'keys',
    schema: {
      fields: [
        {
          fieldName: 'key',
          dataType: 'VarChar',
          isPrimary: true,
          elementTypeParams: { max_length: 8 },
        },
        { fieldName: 'vector', dataType: 'FloatVector', elementTypeParams: { dim: 3 } },
        { fieldName: 'note', dataType: 'VarChar', elementTypeParams: { max_length: 8 } },
        { fieldName: 'small', dataType: 'Int16' },
      ],
    },
    indexParams: [{ fieldName: 'vector' }],
    params: { shardsNum: 2 },
  },
  { collectionName: 'auto', dimension: 2, autoID: true },
  full('bare', false),
  full('indexed', true),
  full('unindexed', false),
  VICTIM,
  { collectionName: 'toggled', dimension: 2 },
];
