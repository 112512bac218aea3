/**
 * Reads after the end, by a process with nothing in memory: what was acknowledged is there, in every
 * way in which one can ask. They are part of the evidence as any other read.
 */

import { BASE_PATH } from '#api/routes.ts';
import type { Collection } from '#catalog/collection.ts';
import type { Key } from '#schema/column.ts';
import { newSession, type Stage } from '../actors/actor.ts';
import { invoke } from '../actors/background.ts';
import { BRIEF, COLLECTIONS } from '../actors/collections.ts';
import { type ReadKind, read } from '../actors/reading.ts';
import type { Client } from '../client.ts';
import { type ModelShard, replay } from '../model.ts';

const KINDS: readonly ReadKind[] = ['query', 'get', 'search'];

export async function finalReads(stage: Stage, client: Client, when: string): Promise<void> {
  // Whoever has something in memory is gone.
  for (const process of [...stage.fleet.running]) stage.fleet.kill(process);
  for (const plan of [...COLLECTIONS, ...stage.evidence.copies]) {
    const collection = stage.world.records.named(plan.name);
    const expected = collection === undefined ? new Map() : expectedRows(stage, collection);
    for (const kind of KINDS) {
      if (kind === 'get' && plan.keys.length === 0) continue;
      const rows = await read(stage, client, plan, newSession(), kind);
      if (rows === undefined) {
        stage.world.violate('I12', `${when}: ${plan.name} cannot be read by ${kind} in calm`);
        continue;
      }
      if (kind === 'get') continue;
      // Of what expires no more can be said here than that nothing else is there.
      const must = plan === BRIEF ? new Map() : expected;
      compare(stage, rows, must, expected, `${when}: ${kind} of ${plan.name}`);
    }
    if (plan !== BRIEF) await checkCount(stage, plan.name, expected.size, when);
  }
}

/** I1, I2, I5: exactly what the log says. */
function compare(
  { world }: Stage,
  rows: readonly Readonly<Record<string, unknown>>[],
  must: ReadonlyMap<Key, bigint | undefined>,
  may: ReadonlyMap<Key, bigint | undefined>,
  what: string,
): void {
  const found = new Map(
    rows.map((row) => [BigInt(String(row['id'])), BigInt(String(row['value']))]),
  );
  for (const [key, value] of must) {
    if (!found.has(BigInt(key))) world.violate('I1', `${what}: key ${key} with ${value} is lost`);
  }
  for (const [key, value] of found) {
    if (!may.has(key))
      world.violate('I5', `${what}: key ${key} with ${value} is there, the log says it is gone`);
    else if (may.get(key) !== value)
      world.violate('I5', `${what}: key ${key} holds ${value}, the log says ${may.get(key)}`);
  }
}

function expectedRows(stage: Stage, collection: Collection): ReadonlyMap<Key, bigint | undefined> {
  const expected = new Map<Key, bigint | undefined>();
  for (let shard = 0; shard < collection.shards; shard++) {
    const model: ModelShard = replay(stage.world, collection, shard);
    for (const [key, { value }] of model.rows) expected.set(key, value);
  }
  return expected;
}

async function checkCount(stage: Stage, name: string, count: number, when: string): Promise<void> {
  const process = stage.fleet.pick('front');
  const route = process.routes[`POST ${BASE_PATH}/entities/query`];
  if (route === undefined) throw new Error('there is no route for queries');
  const body = JSON.stringify({ collectionName: name, filter: '', outputFields: ['count(*)'] });
  const deadlineMs = process.environment.ports.clock.nowMs() + 28_000;
  const context = { user: 'root', route: '', int64AsText: false, deadlineMs };
  const outcome = await invoke(stage, process, () => route.answer(body, context));
  if (outcome.is !== 'ended') return;
  const [row] = outcome.value.data as unknown as readonly Readonly<Record<string, unknown>>[];
  const found = Number(row?.['count(*)']);
  if (found !== count)
    stage.world.violate('I4', `${when}: ${name} counts ${found} rows, the log says ${count}`);
}
