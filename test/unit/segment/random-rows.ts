/** Random schemas, rows and tombstones from a seed, and plain values to compare them by. */
import type { RowPosition } from '#base/position.ts';
import { recordPosition } from '#base/position.ts';
import { ColumnBuilder, type Stored } from '#schema/build.ts';
import type { KeyColumn, RowBatch } from '#schema/column.ts';
import { type CollectionSchema, type Field, type FieldType, primaryField } from '#schema/field.ts';
import { keyColumn, valueAt } from '#schema/gather.ts';
import type { ArchiveEntry } from '#segment/entry.ts';
import type { StampedBatch, StampedTombstones } from '#segment/source.ts';
import { buildStamps, positionAt, type StampRun } from '#segment/stamps.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';

export class Dice {
  readonly #entropy: SeededEntropy;

  constructor(seed: number | string) {
    this.#entropy = new SeededEntropy(seed);
  }

  /** 0 to `end - 1`. */
  below(end: number): number {
    return Math.floor(this.#entropy.random() * end);
  }

  chance(share: number): boolean {
    return this.#entropy.random() < share;
  }

  pick<T>(from: readonly [T, ...T[]]): T {
    return from[this.below(from.length)] ?? from[0];
  }

  float(): number {
    return Math.fround(this.#entropy.random() * 2 - 1);
  }

  floats(count: number): Float32Array {
    return Float32Array.from({ length: count }, () => this.float());
  }

  int64(): bigint {
    const { buffer } = this.#entropy.bytes(8);
    return new DataView(buffer).getBigInt64(0);
  }
}

const TEXTS: readonly [string, ...string[]] = [
  '',
  'a',
  'ab',
  'straße',
  '東京',
  '\u{1f41f}',
  '\ufeffbom',
  '\uffff',
  '\u{10000}',
  '\ud7ff\ue000',
  'x'.repeat(300),
];

export const field = (id: number, type: FieldType, rest: Partial<Field> = {}): Field => ({
  id,
  name: `f${id}`,
  type,
  description: '',
  primaryKey: false,
  autoId: false,
  nullable: false,
  dynamic: false,
  ...(type === 'FloatVector' ? { dim: 4 } : {}),
  ...(type === 'VarChar' ? { maxLength: 1000 } : {}),
  ...rest,
});

const SCALARS: readonly FieldType[] = [
  'Bool',
  'Int8',
  'Int16',
  'Int32',
  'Int64',
  'Float',
  'Double',
  'VarChar',
  'JSON',
];

/** A key, every scalar type or a few of them, one or two vector fields. */
export function randomSchema(dice: Dice, all = false): CollectionSchema {
  const key = field(100, dice.pick<FieldType>(['Int64', 'VarChar']), { primaryKey: true });
  const scalars = SCALARS.filter(() => all || dice.chance(0.4)).map((type, index) =>
    field(101 + index, type, { nullable: dice.chance(0.5) }),
  );
  const vectors = Array.from({ length: all ? 2 : 1 + dice.below(2) }, (_, index) =>
    field(120 + index, 'FloatVector', { dim: 1 + dice.below(9), nullable: dice.chance(0.3) }),
  );
  return { version: 1 + dice.below(3), fields: [key, ...scalars, ...vectors] };
}

export function randomBatch(dice: Dice, schema: CollectionSchema, count: number): RowBatch {
  const columns = new Map(
    schema.fields.map((each) => {
      const builder = new ColumnBuilder(each, count);
      for (let row = 0; row < count; row++) {
        if (each.nullable && dice.chance(0.4)) continue;
        if (each.type === 'FloatVector') builder.vector(row).set(dice.floats(each.dim ?? 0));
        else builder.set(row, each.primaryKey ? randomKey(dice, each) : randomValue(dice, each));
      }
      return [each.id, builder.finish()] as const;
    }),
  );
  const partitions = Uint32Array.from({ length: count }, () => dice.below(5));
  return { count, columns, partitions };
}

/** Few different ones, so that versions of a key meet. */
export const randomKey = (dice: Dice, { type }: Pick<Field, 'type'>): Stored =>
  type === 'VarChar'
    ? dice.pick(TEXTS) + dice.below(3)
    : dice.chance(0.2)
      ? dice.pick([-(2n ** 63n), 2n ** 63n - 1n, -1n, 2n ** 32n])
      : BigInt(dice.below(12));

function randomValue(dice: Dice, { type }: Field): Stored {
  switch (type) {
    case 'Bool':
      return dice.chance(0.5);
    case 'Int8':
      return dice.below(256) - 128;
    case 'Int16':
      return dice.below(65_536) - 32_768;
    case 'Int32':
      return dice.below(2 ** 32) - 2 ** 31;
    case 'Int64':
      return dice.int64();
    case 'Float':
      return dice.float();
    case 'Double':
      return dice.float() * 1e300;
    case 'JSON':
      return JSON.stringify({ n: dice.below(9), t: dice.pick(TEXTS) });
    default:
      return dice.pick(TEXTS);
  }
}

/** A position of the few that a test's records have. */
export const record = (sequence: number): string => recordPosition(1, 1, String(sequence));

/** `count` rows spread over records `first`, `first + 1`, ... */
export function randomRuns(dice: Dice, count: number, first: number): StampRun[] {
  const runs: StampRun[] = [];
  for (let left = count, sequence = first; left > 0; sequence += 1 + dice.below(3)) {
    const size = Math.min(left, 1 + dice.below(4));
    runs.push({ record: record(sequence), logTimeMs: 1000 + sequence, count: size });
    left -= size;
  }
  return runs;
}

export const randomRows = (
  dice: Dice,
  schema: CollectionSchema,
  count: number,
  firstRecord = 1,
): StampedBatch => ({
  batch: randomBatch(dice, schema, count),
  stamps: buildStamps(randomRuns(dice, count, firstRecord)),
});

export function randomTombstones(
  dice: Dice,
  schema: CollectionSchema,
  count: number,
  firstRecord = 1,
): StampedTombstones {
  const key = primaryField(schema);
  const builder = new ColumnBuilder(key, count);
  for (let row = 0; row < count; row++) builder.set(row, randomKey(dice, key));
  const runs = randomRuns(dice, count, firstRecord).map((run) => ({ ...run, firstOrdinal: 10 }));
  const stamps = buildStamps(runs);
  const bounds = Array.from({ length: count }, (_, row): RowPosition | undefined => {
    if (dice.chance(0.5)) return undefined;
    const bound = `${record(1 + dice.below(firstRecord + 20))}0000000${dice.below(4)}`;
    return bound < positionAt(stamps, row) ? bound : undefined;
  });
  // Built for the key field.
  return { count, keys: builder.finish() as KeyColumn, stamps, bounds };
}

export const randomArchive = (dice: Dice, count: number): ArchiveEntry[] =>
  Array.from({ length: count }, (_, index): ArchiveEntry => {
    const isFence = dice.chance(0.3);
    return {
      recordId: dice.int64().toString(16).replace('-', 'f').padStart(32, '0'),
      kind: isFence ? 'fence' : 'write',
      position: record(index + 2),
      previous: record(index + 1),
      logTimeMs: 5000 + index,
      fenceNumber: dice.below(9),
      epoch: 1,
      schemaVersion: 1,
      verdict: dice.pick(['effective', 'void', 'duplicate']),
      rows: dice.below(100),
      tombstones: dice.below(100),
      ...(isFence ? { body: Uint8Array.of(1, 2, dice.below(256)) } : {}),
    };
  });

/** Rows as plain values, for comparison. */
export const plainRows = ({ batch, stamps }: StampedBatch): unknown[] =>
  Array.from({ length: batch.count }, (_, row) => ({
    position: positionAt(stamps, row),
    partition: batch.partitions[row],
    values: [...batch.columns].map(([id, column]) => {
      const value = valueAt(column, row);
      return [id, value instanceof Float32Array ? [...value] : value];
    }),
  }));

export const plainKeys = (schema: CollectionSchema, batch: RowBatch): unknown[] => {
  const column = keyColumn(batch, primaryField(schema));
  return Array.from({ length: batch.count }, (_, row) => valueAt(column, row));
};
