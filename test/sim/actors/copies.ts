/** Who makes copies: clones that go their own way, snapshots that are restored late or never. */
import type { Client } from '../client.ts';
import { type Actor, newSession, type Session, type Stage } from './actor.ts';
import { BANK, type CollectionPlan, FLEETING, ROWS } from './collections.ts';
import { read } from './reading.ts';
import {
  deleteKeys,
  deleteSome,
  pick,
  readKind,
  send,
  transfer,
  truncate,
  writeRows,
} from './writing.ts';

const SOURCES = [ROWS, BANK, FLEETING] as const;
/** Copies that one of them keeps: more only make every round of merging and collecting longer. */
const COPIES_MAX = 2;
const SNAPSHOTS_MAX = 3;
const TRUNCATED_BESIDE = 0.12;

type Copy = Readonly<{ plan: CollectionPlan; session: Session }>;

/**
 * A new name for the copy. Names are never used again, so that what is there under one began as the
 * copy did, or is not there.
 */
function planned({ evidence }: Stage, source: CollectionPlan): CollectionPlan {
  const plan = { ...source, name: `${source.name.split('_')[0]}_${evidence.copies.length + 1}` };
  evidence.copies.push(plan);
  return plan;
}

/** Makes a copy; undefined where it is not known to be there. */
async function copy(
  stage: Stage,
  client: Client,
  plan: CollectionPlan,
  verb: string,
  body: Readonly<Record<string, unknown>>,
): Promise<Copy | undefined> {
  const written = await send(stage, client, plan, verb, body, { kind: 'copy' }, false);
  return written.outcome === 'done' ? { plan, session: newSession() } : undefined;
}

function clone(stage: Stage, client: Client, source: CollectionPlan): Promise<Copy | undefined> {
  const plan = planned(stage, source);
  const names = { collectionName: source.name, targetCollectionName: plan.name };
  return copy(stage, client, plan, 'collections/clone', names);
}

/** What anybody may do to a collection of his own. */
async function use(stage: Stage, client: Client, { plan, session }: Copy): Promise<void> {
  const draw = client.random.random();
  const repeat = client.chance(0.3);
  if (draw < 0.4) await read(stage, client, plan, session, readKind(client));
  else if (plan.isBank === true) await transfer(stage, client, plan, repeat);
  else if (draw < 0.75) await writeRows(stage, client, plan, repeat);
  else if (draw < 0.92) await deleteKeys(stage, client, plan, repeat);
  else await deleteSome(stage, client, plan, repeat);
}

const drop = (stage: Stage, client: Client, { plan }: Copy) =>
  send(stage, client, plan, 'collections/drop', {}, { kind: 'empty' }, false);

/** Clones collections and clones of them, writes to them, and drops them in any order. */
export const cloner: Actor = {
  kind: 'cloner',
  isClient: true,
  async act(stage, client) {
    const own: Copy[] = [];
    while (await stage.turn(client)) {
      const [one] = pick(client, own, 1);
      const draw = client.random.random();
      if (one === undefined || (draw < 0.25 && own.length < COPIES_MAX)) {
        const sources = [...SOURCES, ...own.map(({ plan }) => plan)];
        const [source = ROWS] = pick(client, sources, 1);
        // A fence while a cut is taken: it may take effect between the bases of a cut and its log time.
        const beside = source.shards > 1 && client.chance(TRUNCATED_BESIDE);
        const emptied = beside ? truncate(stage, client, source, false) : undefined;
        const made = await clone(stage, client, source);
        await emptied;
        if (made !== undefined) own.push(made);
      } else if (draw < 0.35) {
        own.splice(own.indexOf(one), 1);
        await drop(stage, client, one);
      } else await use(stage, client, one);
    }
  },
};

type Snapshot = Readonly<{ source: CollectionPlan; name: string }>;

/** Takes snapshots, guards them, drops them, and restores one when much has happened since. */
export const snapshotter: Actor = {
  kind: 'snapshotter',
  isClient: true,
  async act(stage, client) {
    const taken: Snapshot[] = [];
    let restored: Copy | undefined;
    let last = 0;
    while (await stage.turn(client)) {
      const [one] = pick(client, taken, 1);
      const draw = client.random.random();
      if (one === undefined || (draw < 0.3 && taken.length < SNAPSHOTS_MAX)) {
        const [source = ROWS] = pick(client, SOURCES, 1);
        last += 1;
        const snapshot = { source, name: `snapshot_${last}` };
        if (await take(stage, client, snapshot)) taken.push(snapshot);
      } else if (draw < 0.45) {
        taken.splice(taken.indexOf(one), 1);
        await client.ask('snapshots/drop', bodyOf(one));
      } else if (draw < 0.6) {
        await client.ask('snapshots/describe', bodyOf(one));
      } else if (restored === undefined) {
        restored = await restore(stage, client, one);
      } else if (draw < 0.7) {
        await drop(stage, client, restored);
        restored = undefined;
      } else await use(stage, client, restored);
    }
  },
};

/** False where it is not known to be there. */
async function take(stage: Stage, client: Client, snapshot: Snapshot): Promise<boolean> {
  const { name, source } = snapshot;
  const change = { kind: 'snapshot', name } as const;
  const verb = 'snapshots/create';
  const written = await send(stage, client, source, verb, bodyOf(snapshot), change, false);
  return written.outcome === 'done';
}

const bodyOf = ({ source, name }: Snapshot): Readonly<Record<string, unknown>> => ({
  collectionName: source.name,
  snapshotName: name,
});

function restore(
  stage: Stage,
  client: Client,
  { source, name }: Snapshot,
): Promise<Copy | undefined> {
  const plan = planned(stage, source);
  return copy(stage, client, plan, 'snapshots/restore', {
    snapshotName: name,
    sourceCollectionName: source.name,
    targetCollectionName: plan.name,
  });
}
