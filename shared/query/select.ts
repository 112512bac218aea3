/** Rows by filter or by key, in the order of their keys. */
import { must } from '#base/assert.ts';
import type { RowPosition } from '#base/position.ts';
import { keyLookup } from '#filter/predicate.ts';
import { type Bitmap, hasBit, type Key } from '#schema/column.ts';
import { primaryField } from '#schema/field.ts';
import { compareKeys, findKey, keyInOrder } from '#segment/key-index.ts';
import { mayHoldKey } from '#segment/kills.ts';
import type { KeyIndex, VectorSource } from '#segment/source.ts';
import { positionAt } from '#segment/stamps.ts';
import { allowedRows, type Scope } from './allowed.ts';
import type { SourceView } from './view.ts';

/** A row that may be shown. */
export type Selected = Readonly<{ key: Key; source: VectorSource; row: number }>;

/**
 * The newest version of each key, by key. No column but the keys is read, and of sources that cannot
 * hold any of them not even those.
 */
export async function selectKeys(
  views: readonly SourceView[],
  keys: readonly Key[],
  partitions: ReadonlySet<number> | undefined,
): Promise<Selected[]> {
  const distinct = [...new Set(keys)];
  const perSource = await Promise.all(
    views.map(async ({ source, dead, deadRows }): Promise<Selected[]> => {
      if (deadRows >= source.rows) return [];
      const possible = distinct.filter((key) => mayHoldKey(source, key));
      if (possible.length === 0) return [];
      const index = await source.keys();
      const inside = partitions === undefined ? undefined : await source.partitions();
      return possible.flatMap((key) => {
        const { from, to } = findKey(index, key);
        return [...index.order.subarray(from, to)]
          .filter((row) => dead === undefined || !hasBit(dead, row))
          .filter((row) => inside === undefined || partitions?.has(inside[row] ?? -1) === true)
          .map((row) => ({ key, source, row }));
      });
    }),
  );
  return perSource.flat().sort((a, b) => compareKeys(a.key, b.key));
}

/** What each source may show. A filter that is a list of keys is looked up, any other evaluated. */
type Selection =
  | Readonly<{ by: 'keys'; rows: readonly Selected[] }>
  | Readonly<{ by: 'filter'; sources: readonly Allowance[] }>;

type Allowance = Readonly<{ source: VectorSource; rows: Bitmap | undefined; count: number }>;

async function select(views: readonly SourceView[], scope: Scope): Promise<Selection> {
  const { filter, schema, partitions } = scope;
  const keys = filter === undefined ? undefined : keyLookup(filter, primaryField(schema).id);
  if (keys !== undefined) {
    return { by: 'keys', rows: await selectKeys(views, keys, partitions) };
  }
  const allowed = await Promise.all(views.map((view) => allowedRows(view, scope)));
  const sources = views.flatMap(({ source }, index): Allowance[] => {
    const some = allowed[index];
    return some?.is === 'some' ? [{ source, rows: some.rows, count: some.count }] : [];
  });
  return { by: 'filter', sources };
}

/** How many rows are selected. */
export async function countRows(views: readonly SourceView[], scope: Scope): Promise<number> {
  const selection = await select(views, scope);
  if (selection.by === 'keys') return selection.rows.length;
  return selection.sources.reduce((sum, { count }) => sum + count, 0);
}

/** The selected rows in the order of their keys: `limit` of them after the first `offset`. */
export async function selectRows(
  views: readonly SourceView[],
  scope: Scope,
  { limit, offset }: Readonly<{ limit: number; offset: number }>,
): Promise<Selected[]> {
  const selection = await select(views, scope);
  if (selection.by === 'keys') return selection.rows.slice(offset, offset + limit);
  const walks = await Promise.all(
    selection.sources.map(async ({ source, rows }) => walkOf(source, await source.keys(), rows)),
  );
  const selected: Selected[] = [];
  for (let place = 0; place < offset + limit; place++) {
    const first = nearestWalk(walks);
    if (first?.head === undefined) break;
    if (place >= offset) selected.push(first.head);
    first.step();
  }
  return selected;
}

/** The rows of one source in key order. */
type Walk = { head: Selected | undefined; step: () => void };

function walkOf(source: VectorSource, index: KeyIndex, rows: Bitmap | undefined): Walk {
  const { order } = index;
  let place = -1;
  const walk: Walk = {
    head: undefined,
    step() {
      place += 1;
      while (place < order.length && rows !== undefined && !hasBit(rows, order[place] ?? 0)) {
        place += 1;
      }
      walk.head =
        place < order.length
          ? { key: keyInOrder(index, place), source, row: order[place] ?? 0 }
          : undefined;
    },
  };
  walk.step();
  return walk;
}

function nearestWalk(walks: readonly Walk[]): Walk | undefined {
  let first: Walk | undefined;
  for (const walk of walks) {
    if (walk.head === undefined) continue;
    if (first?.head === undefined || compareKeys(walk.head.key, first.head.key) < 0) first = walk;
  }
  return first;
}

/** A row version, as a delete by filter names it. */
export type Version = Readonly<{ key: Key; position: RowPosition }>;

/** Every selected row with its position, in the order of the keys. */
export async function selectVersions(
  views: readonly SourceView[],
  scope: Scope,
): Promise<Version[]> {
  const all = { limit: Number.POSITIVE_INFINITY, offset: 0 };
  const rows = await selectRows(views, scope, all);
  const stamps = new Map(
    await Promise.all(
      [...new Set(rows.map(({ source }) => source))].map(
        async (source) => [source, await source.stamps()] as const,
      ),
    ),
  );
  return rows.map(({ key, source, row }) => ({
    key,
    position: positionAt(must(stamps.get(source), 'the stamps of a source'), row),
  }));
}
