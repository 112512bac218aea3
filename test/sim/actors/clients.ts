/** The clients: who writes, moves money, reads, drops, and sends what must be refused. */
import type { Key } from '#schema/column.ts';
import type { Written } from '../client.ts';
import type { Change } from '../evidence.ts';
import { type Actor, newSession, noteWrite } from './actor.ts';
import { BANK, BRIEF, creation, FLEETING, GENERATED, ROWS, rowOf } from './collections.ts';
import { cloner, snapshotter } from './copies.ts';
import { read } from './reading.ts';
import {
  deleteKeys,
  deleteSome,
  pick,
  readKind,
  remember,
  send,
  transfer,
  truncate,
  writeRows,
} from './writing.ts';

/** Writes what comes to its mind, and reads its own writes. */
const writer: Actor = {
  kind: 'writer',
  isClient: true,
  async act(stage, client) {
    const session = newSession();
    while (await stage.turn(client)) {
      const draw = client.random.random();
      const repeat = client.chance(0.5);
      if (draw < 0.012) await truncate(stage, client, ROWS, repeat);
      else if (draw < 0.45) remember(session, await writeRows(stage, client, ROWS, repeat));
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
      if (client.chance(0.015)) {
        await truncate(stage, client, BANK, client.chance(0.5));
        continue;
      }
      const written = await transfer(stage, client, BANK, client.chance(0.6));
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
      const plan = draw < 0.5 ? ROWS : draw < 0.7 ? BANK : draw < 0.85 ? FLEETING : BRIEF;
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

/** Writes what lives for a while only. */
const passing: Actor = {
  kind: 'passing',
  isClient: true,
  async act(stage, client) {
    while (await stage.turn(client)) {
      const draw = client.random.random();
      if (draw < 0.5) await writeRows(stage, client, BRIEF, client.chance(0.3));
      else if (draw < 0.58) await deleteKeys(stage, client, BRIEF, false);
      else await read(stage, client, BRIEF, undefined, readKind(client));
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
        await send(stage, client, FLEETING, 'collections/drop', {}, { kind: 'empty' }, false);
      } else if (draw < 0.4) {
        const body = creation(FLEETING) as Readonly<Record<string, unknown>>; // An object.
        await send(stage, client, FLEETING, 'collections/create', body, none, false);
      } else if (draw < 0.45) await truncate(stage, client, FLEETING, client.chance(0.5));
      else if (draw < 0.75) await writeRows(stage, client, FLEETING, false);
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
      if (bad === undefined || !stage.weather.strike('bad-input')) continue;
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
  [passing, 1],
  [cloner, 2],
  [snapshotter, 1],
  [vandal, 1],
  [operator, 1],
];
