/**
 * Reads while writers write, apply moves records from the tail into segments, compact replaces
 * segments and collect sweeps the tail, every call of the table interleaved at will: a read shows
 * each key once, in a version that was current at some moment while the read ran (I4, I5).
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { resolveOutput } from '#query/output.ts';
import type { Reader } from '#query/reader.ts';
import { sweepTail } from '#wal/tail.ts';
import { scheduled } from '../support/faults-scheduled.ts';
import {
  collectionOf,
  HandBuiltShard,
  memoryPorts,
  readerOf,
  SCHEMA,
  VECTOR,
} from '../unit/query/hand-built-shard.ts';

const collection = collectionOf();
const until = { deadlineMs: Number.MAX_SAFE_INTEGER };
const output = resolveOutput(SCHEMA, ['value'], 'key');

/** What happened to a key, in the order of positions. A deletion has no value. */
type Change = { readonly value: bigint | undefined; acked: boolean };

class Ledger {
  readonly #changes = new Map<bigint, Change[]>();
  #next = 0n;

  issue(id: bigint, kind: 'put' | 'delete'): Change {
    const change = { value: kind === 'put' ? this.#next++ : undefined, acked: false };
    this.#changes.set(id, [...(this.#changes.get(id) ?? []), change]);
    return change;
  }

  /** By key, how many changes were acknowledged up to the newest acknowledged one. */
  ackedNow(): ReadonlyMap<bigint, number> {
    return new Map(
      [...this.#changes].map(([id, changes]) => [id, changes.findLastIndex((c) => c.acked) + 1]),
    );
  }

  /** The values that a read may show of a key if it began with `acked`; undefined: absent. */
  allowed(id: bigint, acked: ReadonlyMap<bigint, number>): (bigint | undefined)[] {
    const changes = this.#changes.get(id) ?? [];
    const known = acked.get(id) ?? 0;
    const current = known === 0 ? [undefined] : [changes[known - 1]?.value];
    return [...current, ...changes.slice(known).map(({ value }) => value)];
  }

  keys(): readonly bigint[] {
    return [...this.#changes.keys()];
  }
}

const step = fc.record({
  id: fc.bigInt(0n, 3n),
  kind: fc.constantFrom('put', 'put', 'put', 'delete'),
});

async function checkRead(reader: Reader, ledger: Ledger, by: 'query' | 'search'): Promise<void> {
  const acked = ledger.ackedNow();
  const rows =
    by === 'query'
      ? (await reader.queryRows(collection, { ...until, limit: 100, offset: 0, output })).rows
      : (
          await reader.search(collection, {
            ...until,
            field: VECTOR,
            metric: 'L2',
            vectors: [Float32Array.of(0, 0)],
            limit: 100,
            offset: 0,
            output,
          })
        ).results.flat();
  const shown = new Map(rows.map((row) => [row['id'], row['value']]));
  expect(shown.size).toBe(rows.length);
  for (const id of ledger.keys()) {
    expect(ledger.allowed(id, acked)).toContainEqual(shown.get(id));
  }
}

describe('reads in a race with writers, apply, compact and collect', () => {
  it('miss nothing acknowledged, double nothing, expose nothing older', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.array(step, { maxLength: 5 }), { minLength: 1, maxLength: 2 }),
        fc.integer({ min: 1, max: 5 }),
        async (scheduler, writers, rounds) => {
          const bare = memoryPorts();
          const ports = {
            ...bare,
            table: scheduled(scheduler, 'table', bare.table),
            objects: scheduled(scheduler, 'objects', bare.objects),
          };
          const rest = () => scheduler.schedule(Promise.resolve(), 'rest');
          const creating = HandBuiltShard.create(ports);
          await scheduler.waitFor(creating);
          const shard = await creating;
          const ledger = new Ledger();
          const reader = readerOf(ports);
          const actors = [
            ...writers.map((steps) => write(shard, ledger, steps)),
            maintain(shard, rounds, ports.table),
            readOften(reader, ledger, 'query', rounds, rest),
            readOften(reader, ledger, 'search', rounds, rest),
            readOften(readerOf(ports), ledger, 'query', rounds, rest),
          ];
          await scheduler.waitFor(Promise.all(actors));
          await scheduler.waitFor(checkRead(reader, ledger, 'search'));
          await scheduler.waitFor(checkRead(readerOf(ports), ledger, 'query'));
        },
      ),
      { numRuns: 200 },
    );
  });
});

async function write(
  shard: HandBuiltShard,
  ledger: Ledger,
  steps: readonly { id: bigint; kind: 'put' | 'delete' }[],
): Promise<void> {
  for (const { id, kind } of steps) {
    const change = ledger.issue(id, kind);
    if (kind === 'delete') await shard.write([], [{ id }]);
    else await shard.write([{ id, value: change.value ?? 0n, vector: [0, 0] }]);
    change.acked = true;
  }
}

async function maintain(
  shard: HandBuiltShard,
  rounds: number,
  table: ReturnType<typeof memoryPorts>['table'],
): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await shard.apply(1 + (round % 2));
    await shard.apply(1);
    await sweepTail(table, shard.id, shard.manifest.applied, 100);
    if (round % 2 === 1) await shard.compact([0, 1, 2]);
  }
}

async function readOften(
  reader: Reader,
  ledger: Ledger,
  by: 'query' | 'search',
  times: number,
  rest: () => Promise<void>,
): Promise<void> {
  for (let time = 0; time < times; time++) {
    // Else readers that share a view would start and end together for ever.
    await rest();
    await checkRead(reader, ledger, by);
  }
}
