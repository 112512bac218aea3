/** Reads of every kind, and what their answers say by key. */
import type { Reply } from '#api/envelope.ts';
import { CONSISTENCY_LEVELS } from '#catalog/collection.ts';
import type { Client } from '../client.ts';
import { noteRead, type Session, type Stage } from './actor.ts';
import { type CollectionPlan, PAIR_TOTAL, PAIRS, vectorOf } from './collections.ts';

type Row = Readonly<Record<string, unknown>>;

const OUTPUT = ['id', 'value', 'balance'];
/** More than a collection ever holds. */
const EVERYTHING = 1_000;

export type ReadKind = 'get' | 'query' | 'search';

export async function read(
  stage: Stage,
  client: Client,
  plan: CollectionPlan,
  session: Session | undefined,
  kind: ReadKind,
): Promise<readonly Row[] | undefined> {
  const keys = kind === 'get' ? someKeys(client, plan) : plan.keys;
  const level = CONSISTENCY_LEVELS[client.below(CONSISTENCY_LEVELS.length)];
  const token = session?.token;
  const startMs = stage.schedule.nowMs();
  const answer = await client.ask(`entities/${kind}`, {
    collectionName: plan.name,
    outputFields: OUTPUT,
    consistencyLevel: level,
    asOf: true,
    ...(token === undefined ? {} : { token }),
    ...bodyOf(kind, keys),
  });
  const reached = { ...session?.reached };
  const what = `${kind} ${level} ${plan.name}`;
  const operation = { client: client.name, collection: plan.name, what, startMs, reached };
  if (answer.is === 'refused' && answer.code === 'COLLECTION_NOT_FOUND') {
    // A name that means nothing holds nothing.
    const seen = new Map(keys.map((key) => [key, undefined] as const));
    noteRead(stage, { ...operation, seen, positions: undefined });
    return [];
  }
  if (answer.is !== 'reply') return undefined;
  const rows = rowsOf(answer.reply);
  const positions = positionsOf(answer.reply);
  if (session !== undefined) Object.assign(session.reached, positions);
  noteRead(stage, { ...operation, seen: seenOf(stage, keys, rows, what), positions });
  if (kind === 'search') checkDistances(stage, rows, what);
  if (plan.isBank === true) checkTotals(stage, rows, kind === 'get' ? keys : plan.keys, what);
  return rows;
}

function bodyOf(kind: ReadKind, keys: readonly bigint[]): Row {
  if (kind === 'get') return { id: keys.map(Number) };
  if (kind === 'query') return { filter: '', limit: EVERYTHING };
  return { data: [vectorOf(0n)], limit: EVERYTHING };
}

/** In a bank always both of a pair. */
function someKeys(client: Client, { isBank, keys }: CollectionPlan): readonly bigint[] {
  if (isBank === true) return PAIRS[client.below(PAIRS.length)] ?? [];
  const first = client.below(keys.length);
  return keys.slice(first, first + 1 + client.below(4));
}

// Rows are what the read routes answer with: objects by field.
const rowsOf = ({ data }: Reply): readonly Row[] => data as unknown as readonly Row[];

function positionsOf(reply: Reply): Readonly<Record<string, string>> {
  // Asked for with `asOf`, so it is there.
  const asOf = (reply as unknown as Row)['asOf'] as Row;
  return asOf['positions'] as Readonly<Record<string, string>>;
}

function seenOf(
  stage: Stage,
  keys: readonly bigint[],
  rows: readonly Row[],
  what: string,
): ReadonlyMap<bigint, bigint | undefined> {
  const seen = new Map<bigint, bigint | undefined>(keys.map((key) => [key, undefined]));
  const met = new Set<bigint>();
  for (const row of rows) {
    const key = BigInt(String(row['id']));
    if (met.has(key)) stage.world.violate('I2', `${what}: key ${key} is there twice`);
    met.add(key);
    if (keys.length > 0 && !seen.has(key)) {
      stage.world.violate('I4', `${what}: key ${key} was never written`);
    }
    seen.set(key, BigInt(String(row['value'])));
  }
  return seen;
}

/** A hit's distance is its vector's, and the nearest come first. */
function checkDistances(stage: Stage, rows: readonly Row[], what: string): void {
  let last = Number.NEGATIVE_INFINITY;
  for (const row of rows) {
    const distance = Number(row['distance']);
    const vector = vectorOf(BigInt(String(row['value'])));
    const origin = vectorOf(0n);
    const wanted = vector.reduce((sum, x, at) => sum + (x - (origin[at] ?? 0)) ** 2, 0);
    if (Math.abs(distance - wanted) > 1e-3 * (1 + wanted)) {
      stage.world.violate('I4', `${what}: distance ${distance}, the row's is ${wanted}`);
    }
    if (distance < last) stage.world.violate('I4', `${what}: not in order of distance`);
    last = distance;
  }
}

/** I2: a transfer writes both accounts of a pair or none, and a shard is read in one moment. */
function checkTotals(
  stage: Stage,
  rows: readonly Row[],
  keys: readonly bigint[],
  what: string,
): void {
  const asked = new Set(keys);
  const balances = new Map(
    rows.map((row) => [BigInt(String(row['id'])), BigInt(String(row['balance'] ?? 0))]),
  );
  for (const [a, b] of PAIRS) {
    if (!asked.has(a) || !asked.has(b)) continue;
    const from = balances.get(a);
    const to = balances.get(b);
    if (from === undefined && to === undefined) continue;
    if (from !== undefined && to !== undefined && from + to === PAIR_TOTAL) continue;
    stage.world.violate('I2', `${what}: accounts ${a} and ${b} hold ${from} and ${to}`);
  }
}
