/** The clients: who writes, moves money, reads, drops, and sends what must be refused. */
import type { Key } from '#schema/column.ts';
import type { Client, Written } from '../client.ts';
import type { Change } from '../evidence.ts';
import { type Actor, newSession, noteWrite, type Session, type Stage } from './actor.ts';
import {
  BANK,
  type CollectionPlan,
  creation,
  FLEETING,
  GENERATED,
  PAIR_TOTAL,
  PAIRS,
  ROWS,
  rowOf,
} from './collections.ts';
import { type ReadKind, read } from './reading.ts';

/** Sends a write and notes what is known of it. */
async function send(
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

function remember(session: Session, { reply }: Written): void {
  // A write's reply has a token, as text.
  const token = (reply as Readonly<{ token?: string }> | undefined)?.token;
  if (token !== undefined) session.token = token;
}

const pick = <T>(client: Client, among: readonly T[], count: number): T[] => {
  const rest = [...among];
  return Array.from({ length: Math.min(count, rest.length) }, () => {
    const [picked] = rest.splice(client.below(rest.length), 1);
    return picked as T; // The count is at most the length.
  });
};

async function writeRows(stage: Stage, client: Client, plan: CollectionPlan, repeat: boolean) {
  const rows = new Map<Key, bigint>();
  const keys = pick(client, plan.keys, 1 + client.below(3));
  for (const key of keys) rows.set(key, stage.nextValue());
  const pad = client.chance(0.15);
  const data = [...rows].map(([key, value]) => rowOf(BigInt(key), value, { pad }));
  const verb = client.chance(0.5) ? 'upsert' : 'insert';
  return send(stage, client, plan, verb, { data }, { kind: 'rows', rows }, repeat);
}

function deleteKeys(stage: Stage, client: Client, plan: CollectionPlan, repeat: boolean) {
  const keys = pick(client, plan.keys, 1 + client.below(3));
  const filter = `id in [${keys.join(', ')}]`;
  return send(stage, client, plan, 'delete', { filter }, { kind: 'delete-keys', keys }, repeat);
}

/** A filter on a column, which the server has to resolve by a read. */
function deleteSome(stage: Stage, client: Client, plan: CollectionPlan, repeat: boolean) {
  const modulus = BigInt(3 + client.below(5));
  const rest = BigInt(client.below(Number(modulus)));
  const matches = (value: bigint): boolean => value % modulus === rest;
  const filter = `value % ${modulus} == ${rest}`;
  return send(stage, client, plan, 'delete', { filter }, { kind: 'delete-some', matches }, repeat);
}

const READS: readonly ReadKind[] = ['get', 'get', 'query', 'search'];
const readKind = (client: Client): ReadKind => READS[client.below(READS.length)] ?? 'get';

/** Writes what comes to its mind, and reads its own writes. */
const writer: Actor = {
  kind: 'writer',
  isClient: true,
  async act(stage, client) {
    const session = newSession();
    while (await stage.turn(client)) {
      const draw = client.random.random();
      const repeat = client.chance(0.5);
      if (draw < 0.45) remember(session, await writeRows(stage, client, ROWS, repeat));
      else if (draw < 0.57) remember(session, await deleteKeys(stage, client, ROWS, repeat));
      else if (draw < 0.68) remember(session, await deleteSome(stage, client, ROWS, repeat));
      else await read(stage, client, ROWS, session, readKind(client));
    }
  },
};

/** Moves money between two accounts of a pair, both written by one request. */
const teller: Actor = {
  kind: 'teller',
  isClient: true,
  async act(stage, client) {
    const session = newSession();
    while (await stage.turn(client)) {
      if (client.chance(0.35)) {
        await read(stage, client, BANK, session, readKind(client));
        continue;
      }
      const pair = PAIRS[client.below(PAIRS.length)];
      if (pair === undefined) continue;
      const from = BigInt(client.below(Number(PAIR_TOTAL)));
      const [a, b] = pair;
      const values = new Map<Key, bigint>([
        [a, stage.nextValue()],
        [b, stage.nextValue()],
      ]);
      const data = [
        rowOf(a, values.get(a) ?? 0n, { balance: from }),
        rowOf(b, values.get(b) ?? 0n, { balance: PAIR_TOTAL - from }),
      ];
      const change: Change = { kind: 'rows', rows: values };
      const written = await send(
        stage,
        client,
        BANK,
        'upsert',
        { data },
        change,
        client.chance(0.6),
      );
      remember(session, written);
    }
  },
};

const reader: Actor = {
  kind: 'reader',
  isClient: true,
  async act(stage, client) {
    const session = newSession();
    while (await stage.turn(client)) {
      const draw = client.random.random();
      const plan = draw < 0.6 ? ROWS : draw < 0.85 ? BANK : FLEETING;
      await read(stage, client, plan, plan === ROWS ? session : undefined, readKind(client));
    }
  },
};

/** Lets the server make the keys, and sends everything again until it is known to be done. */
const inserter: Actor = {
  kind: 'inserter',
  isClient: true,
  async act(stage, client) {
    let known: Key[] = [];
    while (await stage.turn(client)) {
      if (known.length > 2 && client.chance(0.25)) {
        const keys = pick(client, known, 2);
        const filter = `id in [${keys.join(', ')}]`;
        const gone: Change = { kind: 'delete-keys', keys };
        await send(stage, client, GENERATED, 'delete', { filter }, gone, client.chance(0.5));
        known = known.filter((key) => !keys.includes(key));
        continue;
      }
      const values = Array.from({ length: 1 + client.below(3) }, () => stage.nextValue());
      const data = values.map((value) => rowOf(undefined, value));
      const idsOf = ({ reply }: Written): readonly bigint[] => {
        // What an insert answers with.
        const answer = reply?.data as Readonly<{ insertIds?: readonly bigint[] }> | undefined;
        return (answer?.insertIds ?? []).map(BigInt);
      };
      const written = await send(
        stage,
        client,
        GENERATED,
        'insert',
        { data },
        (outcome) => ({ kind: 'generated', values, ids: idsOf(outcome) }),
        true,
      );
      known.push(...idsOf(written));
    }
  },
};

/** Drops a collection, makes it again, and writes to whatever is there. */
const dropper: Actor = {
  kind: 'dropper',
  isClient: true,
  async act(stage, client) {
    while (await stage.turn(client)) {
      const draw = client.random.random();
      const none: Change = { kind: 'none' };
      if (draw < 0.15) {
        await send(stage, client, FLEETING, 'collections/drop', {}, { kind: 'drop' }, false);
      } else if (draw < 0.4) {
        const body = creation(FLEETING) as Readonly<Record<string, unknown>>; // An object.
        await send(stage, client, FLEETING, 'collections/create', body, none, false);
      } else if (draw < 0.75) await writeRows(stage, client, FLEETING, false);
      else if (draw < 0.85) await deleteKeys(stage, client, FLEETING, false);
      else await read(stage, client, FLEETING, undefined, readKind(client));
    }
  },
};

const BAD: readonly Readonly<{ verb: string; body: (value: bigint) => Record<string, unknown> }>[] =
  [
    {
      verb: 'insert',
      body: (value) => ({ data: [{ id: 1, value: Number(value), vector: [1, 2] }] }),
    },
    { verb: 'upsert', body: (value) => ({ data: [rowOf(1n, value), { id: 2, value: 'no' }] }) },
    { verb: 'insert', body: (value) => ({ data: [{ ...(rowOf(1n, value) as object), id: 1.5 }] }) },
    { verb: 'delete', body: () => ({ filter: 'value ==' }) },
    { verb: 'delete', body: () => ({ filter: '' }) },
    { verb: 'upsert', body: (value) => ({ data: [rowOf(1n, value)], partitionName: 'nowhere' }) },
  ];

/** I11: sends what must be refused, and what is refused changes nothing. */
const vandal: Actor = {
  kind: 'vandal',
  isClient: true,
  async act(stage, client) {
    while (await stage.turn(client)) {
      const bad = BAD[client.below(BAD.length)];
      if (bad === undefined) continue;
      const value = stage.nextValue();
      const startMs = stage.schedule.nowMs();
      const body = { collectionName: ROWS.name, ...bad.body(value) };
      const { outcome, code, attempts } = await client.write(`entities/${bad.verb}`, body, false);
      if (outcome === 'done') stage.world.violate('I11', `a bad ${bad.verb} is acknowledged`);
      noteWrite(stage, {
        client: client.name,
        collection: ROWS.name,
        what: `bad ${bad.verb}`,
        startMs,
        // Whatever the client was told: nothing of it may ever be seen.
        outcome: 'none',
        code,
        attempts,
        change: { kind: 'rows', rows: new Map([[1n, value]]) },
      });
    }
  },
};

/** Flushes now and then. */
const operator: Actor = {
  kind: 'operator',
  isClient: true,
  async act(stage, client) {
    while (await stage.turn(client)) {
      const plan = client.chance(0.6) ? ROWS : BANK;
      const verb = client.chance(0.7) ? 'collections/flush' : 'collections/get_stats';
      await client.ask(verb, { collectionName: plan.name });
    }
  },
};

/** With how many of each. */
export const CLIENTS: readonly (readonly [Actor, number])[] = [
  [writer, 3],
  [teller, 2],
  [reader, 2],
  [inserter, 2],
  [dropper, 2],
  [vandal, 1],
  [operator, 1],
];
