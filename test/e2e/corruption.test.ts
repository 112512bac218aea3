/**
 * Damaged objects (I12): found by their checksums, named by the error, never returned as data.
 *
 * One data directory with many collections, each with one object that is damaged in its own way while
 * the server is down. Whatever is asked afterwards is answered rightly or refused with the object's
 * name; the server lives on, and collections without damage notice nothing. With the bytes put back
 * everything is there again: nothing was made worse meanwhile.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pLimit from 'p-limit';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { must } from '#base/assert.ts';
import {
  type Anatomy,
  DAMAGES,
  dissect,
  flipAt,
  KINDS,
  type Kind,
  objectOf,
  placeObject,
  readObject,
} from '../support/e2e-damage.ts';
import { killLeftovers, type ServerProcess, serve, until } from '../support/e2e-process.ts';
import { EF, harmless, QUESTIONS, type Question, type Row } from '../support/e2e-questions.ts';
import type { Envelope } from '../support/server.ts';

const SERVER = new URL('../support/e2e-server.ts', import.meta.url).pathname;
const ROWS = 200;
const DIM = 8;
/** Beyond the 1 MiB up to which an object is read whole. */
const LARGE_TEXT = 6000;
/** More level-0 segments than a manifest of 3,840 bytes can name. */
const MANIFEST_SEGMENTS = 24;
/** At least as many as an object has sections. */
const SECTIONS = 16;
type Victim = Readonly<{
  name: string;
  kind: Kind;
  rows: readonly Row[];
  /** Undefined: this one stays well. */
  damage: string | undefined;
  /** Undefined: the damage is one of the list's. */
  section: number | undefined;
}>;
type Verdict = 'right' | 'refused';

let dir = '';
/** Filled, and not restarted before the damage: a start applies what is in the tail. */
let server: ServerProcess | undefined;
let victims: readonly Victim[] = [];
let anatomy: ReadonlyMap<string, Anatomy> = new Map();
/** What was there before the damage. */
const originals = new Map<string, Buffer>();
const limit = pLimit(6);

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sterna-corruption-'));
  victims = chooseVictims();
  await fill();
}, 120_000);
afterEach(killLeftovers);
afterAll(() => rm(dir, { recursive: true, force: true }));

function chooseVictims(): readonly Victim[] {
  const victims: Victim[] = [];
  const add = (kind: Kind, damage: string | undefined, section?: number): void => {
    const seed = victims.length;
    const rows = rowsOf(seed, kind);
    victims.push({ name: `c${seed}`, kind, rows, damage, section });
  };
  for (const kind of KINDS) {
    add(kind, undefined);
    for (const { name } of DAMAGES) add(kind, name);
  }
  for (const kind of ['level 0', 'level 1'] as const) {
    for (let section = 0; section < SECTIONS; section++) add(kind, `section ${section}`, section);
  }
  return victims;
}

function rowsOf(seed: number, kind: Kind): readonly Row[] {
  const count = kind === 'manifest' ? MANIFEST_SEGMENTS : ROWS;
  const length = kind === 'large' ? LARGE_TEXT : 40;
  return Array.from({ length: count }, (_, id) => ({
    id,
    n: (id * 7 + seed) % 100,
    text: `row ${id} of collection ${seed} `.padEnd(length, `${id}/${seed} `),
    vector: Array.from({ length: DIM }, (_, axis) => quarter(seed, id, axis)),
  }));
}

/** Multiples of 1/4 from -16 to 16: exact as float32, and so are the distances between such vectors. */
const quarter = (seed: number, id: number, axis: number): number =>
  ((Math.imul(seed * 1_000_003 + id * 1009 + axis + 1, 2_654_435_761) >>> 25) - 64) / 4;

/** Each kind under the pace at which its objects come to be and stay. */
async function fill(): Promise<void> {
  const of = (...kinds: readonly Kind[]) => victims.filter(({ kind }) => kinds.includes(kind));
  const compacting = await serve([SERVER, dir, 'quick']);
  await each(of('level 1'), (victim) => insert(compacting, victim, 2));
  // One segment each, which is large enough.
  await each(of('large', 'graph'), (victim) => insert(compacting, victim, 1));
  await until('everything is compacted', async () => {
    const { data } = await compacting.must('clusters/inspect', {});
    return data.every(({ shards: [shard] }: Envelope) =>
      shard.segments.every(({ level }: Envelope) => level === 1),
    );
  });
  await until('graphs are built', async () => {
    const replies = await Promise.all(
      victims
        .filter(hasGraph)
        .map(({ name }) => compacting.must('clusters/inspect', { collectionName: name })),
    );
    return replies.every(({ data }) =>
      data[0].shards[0].segments.some(({ graph }: Envelope) => graph !== ''),
    );
  });
  await compacting.stop();
  const applying = await serve([SERVER, dir, 'no compaction']);
  await each(of('level 0'), (victim) => insert(applying, victim, 1));
  await each(of('manifest'), (victim) => insert(applying, victim, MANIFEST_SEGMENTS));
  await applying.stop();
  server = await serve([SERVER, dir, 'no apply']);
  const writing = server;
  await each(of('payload'), (victim) => insert(writing, victim, 0));
}

/** Building takes a thread each; those of which many are needed ask for exact answers instead. */
const hasGraph = ({ kind, section }: Victim): boolean =>
  kind === 'graph' || (kind === 'level 1' && section === undefined);

const each = async (
  some: readonly Victim[],
  work: (victim: Victim) => Promise<void>,
): Promise<void> => {
  await Promise.all(some.map((victim) => limit(() => work(victim))));
};

/** @param flushes in how many parts, each of which becomes a segment; 0: one part that stays in the tail */
async function insert(server: ServerProcess, victim: Victim, flushes: number) {
  const { name: collectionName, rows } = victim;
  await server.must('vectordb/collections/create', {
    collectionName,
    schema: {
      fields: [
        { fieldName: 'id', dataType: 'Int64', isPrimary: true },
        { fieldName: 'n', dataType: 'Int32' },
        { fieldName: 'text', dataType: 'VarChar', elementTypeParams: { max_length: '10000' } },
        { fieldName: 'vector', dataType: 'FloatVector', elementTypeParams: { dim: String(DIM) } },
      ],
    },
    indexParams: [
      {
        fieldName: 'vector',
        indexName: 'vector',
        metricType: 'L2',
        indexType: hasGraph(victim) ? 'HNSW' : 'FLAT',
      },
    ],
  });
  const size = Math.ceil(rows.length / Math.max(1, flushes));
  for (let from = 0; from < rows.length; from += size) {
    const data = rows.slice(from, from + size);
    await server.must('vectordb/entities/insert', { collectionName, data });
    if (flushes > 0) await server.must('vectordb/collections/flush', { collectionName });
  }
}

const keyOf = ({ name, kind }: Victim): string => objectOf(kind, anatomy.get(name));

async function damageAll(): Promise<void> {
  for (const victim of victims) originals.set(victim.name, await readObject(dir, keyOf(victim)));
  for (const victim of victims) {
    const { name, kind, damage, section } = victim;
    if (damage === undefined) continue;
    const bytes = must(originals.get(name), 'an original');
    const place = anatomy.get(name)?.segment?.sections[section ?? -1];
    const other = victims.find((one) => one.kind === kind && one !== victim);
    const known = DAMAGES.find(({ name: known }) => known === damage);
    const harmed =
      known === undefined
        ? place && place.length > 0
          ? flipAt(bytes, place.offset + (place.length >> 1))
          : bytes
        : known.harm(bytes, must(originals.get(must(other, 'another').name), 'its object'));
    await placeObject(dir, keyOf(victim), harmed);
  }
}

/** Right, or refused with the code of damage and the object's name. Anything else fails the test. */
async function ask(server: ServerProcess, victim: Victim, question: Question): Promise<Verdict> {
  const reply = await server.call(`vectordb/entities/${question.ask}`, {
    collectionName: victim.name,
    ...question.body(victim),
  });
  const about = `${victim.kind} with ${victim.damage ?? 'no damage'}: ${question.ask} ${JSON.stringify(question.body(victim)).slice(0, 200)}`;
  if (reply.code === 0) {
    expect(question.seen(reply.data), about).toEqual(question.truth(victim));
    return 'right';
  }
  expectRefusal(reply, victim, about);
  return 'refused';
}

/** The code of damage, or of an object that is gone; which one; and nothing else. */
function expectRefusal(reply: Envelope, victim: Victim, about: string): void {
  const text = `${about}: ${JSON.stringify(reply)}`;
  expect([1000, 1009], text).toContain(reply.code);
  expect(reply.message, text).toContain(keyOf(victim));
  expect(reply, text).toMatchObject({ effect: 'none', retry: 'never' });
  expect(reply, text).not.toHaveProperty('data');
}

/** How each victim answered, question by question. */
async function askAll(server: ServerProcess): Promise<ReadonlyMap<Victim, readonly Verdict[]>> {
  const verdicts = new Map<Victim, Verdict[]>();
  await each(victims, async (victim) => {
    const own: Verdict[] = [];
    for (const question of QUESTIONS) own.push(await ask(server, victim, question));
    verdicts.set(victim, own);
  });
  return verdicts;
}

const allRight = QUESTIONS.map(() => 'right');

function expectWell(verdicts: ReadonlyMap<Victim, readonly Verdict[]>): void {
  for (const [victim, own] of verdicts) {
    if (victim.damage === undefined) expect(own, victim.kind).toEqual(allRight);
  }
}

/** Sections that no answer can do without. */
const NEEDED = /^(column|vectors|key-index)\//;
/** A bit may lie in padding, or in a section that is not asked for. */
const PERHAPS_HARMLESS = [
  'a bit flipped early',
  'a bit flipped in the middle',
  'a bit flipped late',
];

function isFound(victim: Victim): boolean {
  if (victim.damage === undefined || victim.kind === 'graph') return false;
  if (victim.section === undefined) {
    const byChecksum = victim.kind === 'payload' || victim.kind === 'manifest';
    return byChecksum || !PERHAPS_HARMLESS.includes(victim.damage);
  }
  return NEEDED.test(anatomy.get(victim.name)?.segment?.sections[victim.section]?.name ?? '');
}

function expectDamageFound(verdicts: ReadonlyMap<Victim, readonly Verdict[]>): void {
  const overlooked = [...verdicts]
    .filter(([victim, own]) => isFound(victim) && !own.includes('refused'))
    .map(([{ kind, damage }]) => `${kind}: ${damage}`);
  expect(overlooked).toEqual([]);
  const refusedGraphs = [...verdicts]
    .filter(([{ kind }, own]) => kind === 'graph' && own.includes('refused'))
    .map(([{ damage }]) => damage);
  expect(refusedGraphs).toEqual([]);
}

test('without damage every answer is right, from tail, segments and graphs', async () => {
  const undamaged = must(server, 'a filled server');
  const verdicts = await askAll(undamaged);
  expect([...verdicts.values()].every((own) => own.every((one) => one === 'right'))).toBe(true);
  await until('graphs are searched', async () => {
    const victim = must(
      victims.find(({ kind }) => kind === 'graph'),
      'one with a graph',
    );
    const { explain } = await undamaged.must('vectordb/entities/search', {
      collectionName: victim.name,
      data: [victim.rows[0]?.vector],
      limit: 1,
      searchParams: { params: { ef: EF } },
      explain: true,
    });
    return explain.segments.some(({ method }: Envelope) => method === 'graph');
  });
  await undamaged.kill();
});

test('damage is refused with the name of the object, or has no effect on the answer', async () => {
  anatomy = await dissect(dir);
  await damageAll();
  const server = await serve([SERVER, dir, 'no compaction']);
  const first = await askAll(server);
  // Now with what the first answers brought into memory: graphs among it, where they are well.
  const second = await askAll(server);
  for (const verdicts of [first, second]) {
    expectWell(verdicts);
    expectDamageFound(verdicts);
  }
  for (const victim of victims) {
    if (victim.kind === 'graph' && victim.damage !== undefined) {
      expect(server.said.stderr, victim.damage).toContain(keyOf(victim));
    }
  }
  expect(await server.health()).toMatchObject({ ready: true });
  expect(await server.stop()).toMatchObject({ code: 0, signal: null });
  report(first);
  // What the kinds and the rule of `isFound` rest on.
  for (const { name, kind } of victims) {
    if (kind !== 'large') continue;
    expect(must(originals.get(name), 'an original').length).toBeGreaterThan(1024 * 1024);
  }
  for (const { segment } of anatomy.values()) {
    expect(segment?.sections.length ?? 0).toBeLessThanOrEqual(SECTIONS);
  }
  expect(victims.filter(isFound).length).toBeGreaterThanOrEqual(40);
});

test('compaction and writes meet the damage, and harm neither it nor others', async () => {
  const server = await serve([SERVER, dir, 'quick']);
  await until('undamaged level 0 is compacted all the same', async () => {
    const well = victims.filter(({ kind, damage }) => kind === 'level 0' && damage === undefined);
    const replies = await Promise.all(
      well.map(({ name }) => server.must('clusters/inspect', { collectionName: name })),
    );
    return replies.every(({ data }) =>
      data[0].shards[0].segments.every(({ level }: Envelope) => level === 1),
    );
  });
  await each(victims, async (victim) => {
    const { kind, damage } = victim;
    for (const [path, body] of harmless(victim)) {
      const about = `${path} on ${kind} with ${damage}`;
      const reply = await server.call(path, { collectionName: victim.name, ...body });
      if (reply.code !== 0) expectRefusal(reply, victim, about);
      if (damage === undefined) expect(reply.code, about).toBe(0);
    }
    if (damage !== undefined) return;
    // Others that cannot be applied must not keep this one from being applied.
    await server.must('vectordb/collections/flush', { collectionName: victim.name });
  });
  expectWell(await askAll(server));
  expect(await server.health()).toMatchObject({ ready: true });
  expect(await server.stop()).toMatchObject({ code: 0, signal: null });
});

test('with the bytes put back everything is there again', async () => {
  for (const victim of victims) {
    await placeObject(dir, keyOf(victim), originals.get(victim.name));
  }
  const server = await serve([SERVER, dir, 'quick']);
  const verdicts = await askAll(server);
  const wrong = [...verdicts].filter(([, own]) => own.includes('refused'));
  expect(wrong.map(([{ kind, damage }]) => `${kind}: ${damage}`)).toEqual([]);
  expect(await server.stop()).toMatchObject({ code: 0, signal: null });
});

function report(verdicts: ReadonlyMap<Victim, readonly Verdict[]>): void {
  const damaged = [...verdicts].filter(([{ damage }]) => damage !== undefined);
  const answers = damaged.flatMap(([, own]) => own);
  const refused = answers.filter((one) => one === 'refused').length;
  console.log(
    `corruption: ${damaged.length} objects damaged, ${answers.length} answers: ${refused} refused with the object's name, ` +
      `${answers.length - refused} right, 0 wrong`,
  );
}
