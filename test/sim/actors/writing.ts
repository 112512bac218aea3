/** Writes of every kind, and what is noted of them. */
import type { Key } from '#schema/column.ts';
import type { Client, Written } from '../client.ts';
import type { Change } from '../evidence.ts';
import { noteWrite, type Session, type Stage } from './actor.ts';
import { type CollectionPlan, PAIR_TOTAL, PAIRS, rowOf } from './collections.ts';
import type { ReadKind } from './reading.ts';

/** Sends a write and notes what is known of it. */
export async function send(
  stage: Stage,
  client: Client,
  plan: CollectionPlan,
  verb: string,
  body: Readonly<Record<string, unknown>>,
  change: Change | ((written: Written) => Change),
  repeat: boolean,
): Promise<Written> {
  const startMs = stage.schedule.nowMs();
  const path = verb.includes('/') ? verb : `entities/${verb}`;
  const written = await client.write(path, { collectionName: plan.name, ...body }, repeat);
  noteWrite(stage, {
    client: client.name,
    collection: plan.name,
    what: `${verb} ${plan.name}${'filter' in body ? ` ${body['filter']}` : ''}`,
    startMs,
    outcome: written.outcome,
    code: written.code,
    attempts: written.attempts,
    change: typeof change === 'function' ? change(written) : change,
  });
  return written;
}

export function remember(session: Session, { reply }: Written): void {
  // A write's reply has a token, as text.
  const token = (reply as Readonly<{ token?: string }> | undefined)?.token;
  if (token !== undefined) session.token = token;
}

export const pick = <T>(client: Client, among: readonly T[], count: number): T[] => {
  const rest = [...among];
  return Array.from({ length: Math.min(count, rest.length) }, () => {
    const [picked] = rest.splice(client.below(rest.length), 1);
    return picked as T; // The count is at most the length.
  });
};

export async function writeRows(
  stage: Stage,
  client: Client,
  plan: CollectionPlan,
  repeat: boolean,
) {
  const rows = new Map<Key, bigint>();
  const keys = pick(client, plan.keys, 1 + client.below(3));
  for (const key of keys) rows.set(key, stage.nextValue());
  const pad = client.chance(0.15);
  const data = [...rows].map(([key, value]) => rowOf(BigInt(key), value, { pad }));
  const verb = client.chance(0.5) ? 'upsert' : 'insert';
  return send(stage, client, plan, verb, { data }, { kind: 'rows', rows }, repeat);
}

export function deleteKeys(stage: Stage, client: Client, plan: CollectionPlan, repeat: boolean) {
  const keys = pick(client, plan.keys, 1 + client.below(3));
  const filter = `id in [${keys.join(', ')}]`;
  return send(stage, client, plan, 'delete', { filter }, { kind: 'delete-keys', keys }, repeat);
}

/** A filter on a column, which the server has to resolve by a read. */
export function deleteSome(stage: Stage, client: Client, plan: CollectionPlan, repeat: boolean) {
  const modulus = BigInt(3 + client.below(5));
  const rest = BigInt(client.below(Number(modulus)));
  const matches = (value: bigint): boolean => value % modulus === rest;
  const filter = `value % ${modulus} == ${rest}`;
  return send(stage, client, plan, 'delete', { filter }, { kind: 'delete-some', matches }, repeat);
}

/** A transfer between the two accounts of a pair, both written by one request. */
export function transfer(stage: Stage, client: Client, plan: CollectionPlan, repeat: boolean) {
  const [a, b] = PAIRS[client.below(PAIRS.length)] ?? [0n, 0n];
  const from = BigInt(client.below(Number(PAIR_TOTAL)));
  const [one, other] = [stage.nextValue(), stage.nextValue()];
  const data = [rowOf(a, one, { balance: from }), rowOf(b, other, { balance: PAIR_TOTAL - from })];
  const rows = new Map<Key, bigint>([
    [a, one],
    [b, other],
  ]);
  return send(stage, client, plan, 'upsert', { data }, { kind: 'rows', rows }, repeat);
}

export async function truncate(stage: Stage, client: Client, plan: CollectionPlan, again: boolean) {
  const written = await send(
    stage,
    client,
    plan,
    'collections/truncate',
    {},
    { kind: 'empty' },
    again,
  );
  if (written.outcome === 'done') stage.evidence.truncations += 1;
  return written;
}

const READS: readonly ReadKind[] = ['get', 'get', 'query', 'search'];
export const readKind = (client: Client): ReadKind => READS[client.below(READS.length)] ?? 'get';
