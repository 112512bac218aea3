/** Each call of a port on the write path fails, or loses its answer, or takes effect late. */
import { describe, expect, test } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import { acceptDelete, acceptRows } from '#ingest/accept.ts';
import type { RequestIdentity } from '#ingest/idempotency.ts';
import type { WritePorts } from '#ingest/write-shard.ts';
import type { Key } from '#schema/column.ts';
import { shardOf } from '#schema/hash.ts';
import { type Fault, faultyLog, faultyObjectStore, faultyTable } from '#sim/faults.ts';
import {
  applyAll,
  type Disk,
  liveValues,
  openWorld,
  passTime,
  row,
  start,
  verifySums,
  type World,
  type WorldOptions,
} from './world.ts';

/** The n-th call of any port suffers the fault; counts the calls. */
function faulty(world: World, nth: number, fault: Fault): { disk: Disk; calls: () => number } {
  let calls = 0;
  const faults = { decide: () => (++calls === nth ? fault : 'ok'), clock: world.clock } as const;
  const { disk } = world;
  return {
    disk: {
      ...disk,
      objects: faultyObjectStore(disk.objects, faults),
      log: faultyLog(disk.log, faults),
      table: faultyTable(disk.table, faults),
      global: faultyTable(disk.global, faults, 'global'),
    },
    calls: () => calls,
  };
}

type Outcome = Readonly<{
  kind: 'acked' | 'none' | 'unknown';
  ids: readonly Key[];
  reason: string;
}>;
type Write = (ports: WritePorts, world: World) => Promise<{ ids?: readonly Key[]; count: number }>;

/** Runs the write while somebody else applies the log, as always happens. */
async function outcomeOf(world: World, ports: WritePorts, write: Write): Promise<Outcome> {
  const applier = start(world);
  let settled = false;
  const writing = write(ports, world)
    .then(
      ({ ids = [] }): Outcome => ({ kind: 'acked', ids, reason: '' }),
      (error: unknown): Outcome => {
        // Anything else is a bug that leaks through the write path.
        if (!isStoreError(error)) throw error;
        return { kind: error.advice.effect, ids: [], reason: `${error.code}: ${error.message}` };
      },
    )
    .finally(() => {
      settled = true;
    });
  const applying = (async () => {
    while (!settled) {
      await applyAll(applier);
      await world.clock.sleep(500);
    }
  })();
  const outcome = await passTime(world.clock, writing);
  await passTime(world.clock, applying);
  await world.clock.advance(5_000);
  await applyAll(applier);
  return outcome;
}

const identity: RequestIdentity = { user: 'u', route: 'r', requestId: 'q', bodyHash: 'h' };
const few = [row(1, 1), row(2, 2), row(3, 3)];
const many = Array.from({ length: 900 }, (_, index) => row(index, index));

const SCENARIOS: readonly Readonly<{
  name: string;
  options: WorldOptions;
  /** Rows that are there before. */
  before?: readonly ReturnType<typeof row>[];
  write: Write;
  /** Whether the write has a RequestId, so that it may be sent again. */
  repeatable: boolean;
  /** Keys and values that are there once the write has taken effect in every shard. */
  contentAfter: (ids: readonly Key[]) => readonly [string, number][];
}>[] = [
  {
    name: 'an insert',
    repeatable: false,
    options: {},
    write: (ports, { collection }) =>
      acceptRows(ports, collection, { kind: 'insert', rows: few, partitionId: 1 }),
    contentAfter: () => few.map(({ id, value }) => [String(id), Number(value)]),
  },
  {
    name: 'an insert of objects into three shards under a RequestId',
    repeatable: true,
    options: { shards: 3 },
    write: (ports, { collection }) =>
      acceptRows(ports, collection, { kind: 'insert', rows: many, partitionId: 1, identity }),
    contentAfter: () => many.map(({ id, value }) => [String(id), Number(value)]),
  },
  {
    name: 'an insert with generated keys under a RequestId',
    repeatable: true,
    options: { autoId: true },
    write: (ports, { collection }) =>
      acceptRows(ports, collection, {
        kind: 'insert',
        rows: few.map(({ id: _, ...rest }) => rest),
        partitionId: 1,
        identity,
      }),
    contentAfter: (ids) => ids.map((id, index) => [String(id), index + 1]),
  },
  {
    name: 'a delete under a RequestId',
    repeatable: true,
    options: { shards: 2 },
    before: few,
    write: (ports, { collection }) =>
      acceptDelete(ports, collection, { victims: [{ key: 1n }, { key: 2n }], identity }),
    contentAfter: () => [['3', 3]],
  },
];

const ordered = (rows: readonly [string, number][]): [string, number][] =>
  [...rows].sort(([a], [b]) => (a < b ? -1 : 1));

describe.each(SCENARIOS)('$name', ({ options, before, write, repeatable, contentAfter }) => {
  const prepared = async (): Promise<World> => {
    const world = await openWorld(options);
    if (before !== undefined) {
      const ports = start(world);
      await acceptRows(ports, world.collection, { kind: 'insert', rows: before, partitionId: 1 });
      await applyAll(ports);
    }
    return world;
  };

  test.each<Fault>(['fail', 'lose-answer', 'duplicate', { lateMs: 900 }])('%j', async (fault) => {
    const kinds = new Map<string, number>();
    for (let nth = 1; ; nth++) {
      const world = await prepared();
      const untouched = await liveValues(world);
      const { disk, calls } = faulty(world, nth, fault);
      const outcome = await outcomeOf(world, start(world, disk), write);
      const what = `call ${nth} ${JSON.stringify(fault)}: ${outcome.kind} ${outcome.reason}`;
      kinds.set(outcome.kind, (kinds.get(outcome.kind) ?? 0) + 1);
      const found = await liveValues(world);
      if (outcome.kind === 'none') expect(found, what).toEqual(untouched);
      if (outcome.kind === 'acked')
        expect(found, what).toEqual(ordered([...contentAfter(outcome.ids)]));
      if (outcome.kind === 'unknown') checkWholeShards(world, untouched, found, contentAfter, what);
      await verifySums(world);
      if (calls() < nth) break;

      if (!repeatable) continue;
      // The client repeats what it cannot be sure of: it takes effect once, with the same keys.
      const again = await outcomeOf(world, start(world), write);
      expect(again.kind, `${what}; again: ${again.reason}`).toBe('acked');
      if (outcome.kind === 'acked') expect(again.ids, what).toEqual(outcome.ids);
      expect(await liveValues(world), what).toEqual(ordered([...contentAfter(again.ids)]));
      await verifySums(world);
    }
    expect(kinds.get('acked')).toBeGreaterThan(0);
  });
});

/** An unknown effect is nevertheless all or nothing in each shard. */
function checkWholeShards(
  { collection }: World,
  untouched: readonly [string, number][],
  found: readonly [string, number][],
  contentAfter: (ids: readonly Key[]) => readonly [string, number][],
  what: string,
): void {
  // Generated keys are not known without an answer: whatever is there is the write's.
  const generated = collection.schema.fields[0]?.autoId === true;
  const written = contentAfter(generated ? found.map(([key]) => BigInt(key)) : []);
  for (let shard = 0; shard < collection.shards; shard++) {
    const own = (rows: readonly [string, number][]) =>
      ordered(rows.filter(([key]) => shardOf(BigInt(key), collection.shards) === shard));
    expect([own(untouched), own([...written])], what).toContainEqual(own(found));
  }
}
