/** What a read may show: of every key nothing but its newest version, once (I4, I5). */
import { type Condition, distance, type Found, type Row } from './shelf.ts';

/** Thrown with what was shown and what should have been. */
function wrong(what: string, shown: unknown, expected: unknown): never {
  throw new Error(`${what}: ${JSON.stringify(shown)}, expected ${JSON.stringify(expected)}`);
}

/** The versions that a key may have while writes of it are under way; none where it may be absent. */
export type Possible = (id: number | string) => readonly (Row | undefined)[];

function checkRow(
  row: Readonly<{ id: number | string; version: number }>,
  possible: Possible,
  condition: Condition,
): Row {
  const versions = possible(row.id);
  const own = versions.find((each) => each?.version === row.version);
  if (own === undefined) wrong('a version that is not the newest', row, versions);
  if (!condition.holds(own)) wrong(`a row outside of ${condition.text}`, row, own);
  return own;
}

function checkOnce(rows: readonly Readonly<{ id: number | string }>[]): void {
  if (new Set(rows.map(({ id }) => id)).size < rows.length) wrong('a key twice', rows, 'each once');
}

/** Rows of `query` and `get`: all that there must be where nothing is under way. */
export function checkRows(
  rows: readonly Row[],
  condition: Condition,
  possible: Possible,
  all?: readonly Row[],
): void {
  checkOnce(rows);
  for (const row of rows) {
    const own = checkRow(row, possible, condition);
    if (JSON.stringify(row.vector) !== JSON.stringify(own.vector)) wrong('a vector', row, own);
  }
  if (all !== undefined && rows.length !== all.length) {
    const shown = new Set(rows.map(({ id }) => id));
    const missing = all.filter(({ id }) => !shown.has(id));
    wrong(`missing rows where "${condition.text}"`, versionsOf(missing), `${all.length} rows`);
  }
}

const versionsOf = (rows: readonly Row[]): string =>
  rows
    .map(({ id, version }) => `${id}@${version}`)
    .sort()
    .slice(0, 40)
    .join(' ');

/** Hits of a search; the nearest of all where every segment was compared row by row. */
export function checkFound(
  found: Found,
  condition: Condition,
  possible: Possible,
  all?: readonly Row[],
): void {
  found.lists.forEach((hits, index) => {
    const point = found.points[index] ?? [];
    checkOnce(hits);
    for (const hit of hits) {
      const own = checkRow(hit, possible, condition);
      const exact = distance(point, own.vector);
      if (hit.distance !== exact) wrong('the distance of another version', hit, { ...own, exact });
    }
    const distances = hits.map((hit) => hit.distance);
    if (distances.some((each, at) => each < (distances[at - 1] ?? 0))) {
      wrong('an order', distances, 'nearest first');
    }
    if (all === undefined) return;
    const best = all
      .map(({ vector }) => distance(point, vector))
      .sort((a, b) => a - b)
      .slice(0, found.limit);
    if (hits.length !== best.length) wrong('a number of hits', hits, best);
    const exactly = !found.methods.includes('graph');
    if (exactly && distances.some((each, at) => each !== best[at])) {
      wrong('farther rows than the nearest', hits, best);
    }
  });
}
