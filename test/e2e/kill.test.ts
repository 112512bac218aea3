/**
 * SIGKILL with writes in flight (I1, I2, I5, I7).
 *
 * Four writers upsert and delete keys of their own, each with a model of what was acknowledged, while
 * the server ends itself before and after each point of the write path, of apply and of compact, and
 * at random moments. After each restart every acknowledged row is there once with its newest content,
 * no deleted row is back, what was in flight is there wholly or not at all (per shard), and at the end
 * the sums in the manifests are those of the bytes.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { shardOf } from '#schema/hash.ts';
import { KILL_POINTS } from '../support/kill-points.ts';
import { type KilledServer, startKillable } from '../support/killed-server.ts';
import { verifySums } from '../support/verify-sums.ts';

const SHARDS = 2;
const WRITERS = 4;
const KEYS_PER_WRITER = 300;
const RANDOM_KILLS = 14;
/** A lease of a killed compactor lasts ten seconds, and the machine may be slow. */
const ROUND_MS_MAX = 60_000;
const COLLECTION = 'kills';
const MARKER_FIRST = 1_000_000;
/** Enough keys to meet every shard. */
const MARKERS = Array.from({ length: 32 }, (_, index) => MARKER_FIRST + index);

type Content = number | undefined;
/** `possible` has one member, unless a write was in flight when the server died. */
type Model = Map<
  number,
  { acked: Content; inFlight: { content: Content; batch: number } | undefined }
>;

const counts = {
  kills: new Map<string, number>(),
  inFlight: 0,
  acknowledged: 0,
  lost: 0,
  resurrected: 0,
  torn: 0,
};
const model: Model = new Map();
let stamp = 0;
let dir = '';

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sterna-kill-'));
  const server = await startKillable(dir);
  await server.call('collections/create', {
    collectionName: COLLECTION,
    schema: {
      fields: [
        { fieldName: 'id', dataType: 'Int64', isPrimary: true },
        { fieldName: 'stamp', dataType: 'Int64' },
        { fieldName: 'text', dataType: 'VarChar', elementTypeParams: { max_length: '40000' } },
        { fieldName: 'vector', dataType: 'FloatVector', elementTypeParams: { dim: '8' } },
      ],
    },
    indexParams: [{ fieldName: 'vector', indexName: 'vector', metricType: 'L2' }],
    params: { shardsNum: SHARDS },
  });
  await server.stop();
});

afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
});

test('nothing acknowledged is lost and nothing deleted comes back, wherever the process dies', async () => {
  const rounds = [
    ...KILL_POINTS.flatMap((point) =>
      (['before', 'after'] as const).flatMap((when) => [
        { name: `${when} ${point}`, args: [point, when, '1'] },
        { name: `${when} ${point}`, args: [point, when, String(2 + (stamp % 3))] },
      ]),
    ),
    ...Array.from({ length: RANDOM_KILLS }, () => ({ name: 'random moment', args: [] })),
  ];
  for (const { name, args } of rounds) {
    const server = await startKillable(dir, ...args);
    await verify(server);
    server.arm();
    if (args.length === 0) setTimeout(() => server.kill(), 100 + Math.random() * 900);
    await loadUntilDeath(server, name);
    counts.kills.set(name, (counts.kills.get(name) ?? 0) + 1);
  }
  const last = await startKillable(dir);
  await verify(last);
  await last.stop();
  const shards = await verifySums(dir);
  const total = [...counts.kills.values()].reduce((sum, count) => sum + count, 0);
  for (const [name, count] of counts.kills) console.log(`  ${count} kills ${name}`);
  console.log(
    `kill test: ${total} kills, ${counts.inFlight} writes in flight, ${counts.acknowledged} acknowledged, ` +
      `${counts.lost} lost, ${counts.resurrected} resurrected, ${counts.torn} torn; sums agree in ${shards} shards`,
  );
  expect(total).toBeGreaterThanOrEqual(50);
  expect(shards).toBe(SHARDS);
  expect(counts.inFlight).toBeGreaterThanOrEqual(50);
  expect(counts).toMatchObject({ lost: 0, resurrected: 0, torn: 0 });
}, 1_200_000);

async function loadUntilDeath(server: KilledServer, name: string): Promise<void> {
  const started = performance.now();
  await Promise.all(
    Array.from({ length: WRITERS }, async (_, writer) => {
      for (let step = 0; await writeOnce(server, writer, step); step++) {
        if (performance.now() - started > ROUND_MS_MAX) {
          throw new Error(`${name} was never reached; the server said: ${server.said()}`);
        }
      }
    }),
  );
  // Every writer waits for an answer that will not come; a server that lives on is ended here.
  const late = setTimeout(() => server.kill(), ROUND_MS_MAX);
  await server.exited;
  clearTimeout(late);
}

/**
 * One upsert or delete of some keys of this writer. False where its effect is not known: then the
 * writer stops, so that at most one write of a key is in flight when the server dies.
 */
async function writeOnce(server: KilledServer, writer: number, step: number): Promise<boolean> {
  const batch = ++stamp;
  const count = 1 + Math.floor(Math.random() * 12);
  const keys = new Set<number>();
  while (keys.size < count)
    keys.add(writer * KEYS_PER_WRITER + Math.floor(Math.random() * KEYS_PER_WRITER));
  const kind = Math.random();
  const ids = [...keys];
  if (kind < 0.7) {
    // Every other batch is too large to ride inline.
    const data = ids.map((id) => ({
      id,
      stamp: batch,
      text: `${batch}/${id} `.repeat(step % 2 === 0 ? 1 : 250),
      vector: vectorOf(id),
    }));
    return await attempt(server, 'entities/upsert', { data }, ids, batch, batch);
  }
  const filter = `id in [${ids.join(',')}]${kind < 0.85 ? '' : ' and stamp > 0'}`;
  return await attempt(server, 'entities/delete', { filter }, ids, undefined, batch);
}

async function attempt(
  server: KilledServer,
  verb: string,
  body: object,
  ids: readonly number[],
  content: Content,
  batch: number,
): Promise<boolean> {
  for (const id of ids) {
    const known = model.get(id);
    model.set(id, { acked: known?.acked, inFlight: { content, batch } });
  }
  const reply = await server.tryCall(verb, { collectionName: COLLECTION, ...body });
  // No answer: it stays in flight until the next server shows what became of it.
  if (reply === undefined || reply['effect'] === 'unknown') {
    counts.inFlight++;
    return false;
  }
  if (reply['code'] === 0) counts.acknowledged++;
  else expect(reply).toMatchObject({ effect: 'none', retry: 'later' });
  for (const id of ids) {
    const known = model.get(id);
    model.set(id, { acked: reply['code'] === 0 ? content : known?.acked, inFlight: undefined });
  }
  return true;
}

/**
 * A record without an answer may stand in the log and take effect when it is applied, after our look.
 * So a marker is written behind it in every shard, and awaited until it is applied.
 */
async function settle(server: KilledServer): Promise<void> {
  const data = MARKERS.map((id) => ({ id, stamp: ++stamp, text: '', vector: vectorOf(id) }));
  await server.call('entities/upsert', { collectionName: COLLECTION, data });
  await server.call('collections/flush', { collectionName: COLLECTION });
}

async function verify(server: KilledServer): Promise<void> {
  await settle(server);
  const found = new Map<number, number>();
  const reply = await server.call('entities/query', {
    collectionName: COLLECTION,
    filter: `id < ${MARKER_FIRST}`,
    outputFields: ['id', 'stamp'],
    limit: 16_384,
  });
  for (const { id, stamp: content } of reply['data'] as { id: number; stamp: number }[]) {
    expect(found.has(id), `key ${id} is there twice`).toBe(false);
    found.set(id, content);
  }
  const seen = new Map<string, boolean>();
  for (const [id, { acked, inFlight }] of model) {
    const content = found.get(id);
    if (inFlight !== undefined && inFlight.content !== acked) {
      // Part of one batch took effect: then all of it did, within a shard.
      const part = `${inFlight.batch}/${shardOf(BigInt(id), SHARDS)}`;
      const happened = content === inFlight.content;
      if (seen.has(part) && seen.get(part) !== happened) counts.torn++;
      seen.set(part, happened);
    }
    const expected = inFlight === undefined ? [acked] : [acked, inFlight.content];
    if (!expected.includes(content)) {
      if (acked === undefined || (content !== undefined && content < acked)) counts.resurrected++;
      else counts.lost++;
      console.error(`key ${id}: found ${content}, expected one of ${expected.join(', ')}`);
    }
    model.set(id, { acked: content, inFlight: undefined });
  }
  for (const id of found.keys()) expect(model.has(id), `key ${id} was never written`).toBe(true);
}

const vectorOf = (id: number): readonly number[] =>
  Array.from({ length: 8 }, (_, axis) => Math.fround(Math.sin(id * 8 + axis)));
