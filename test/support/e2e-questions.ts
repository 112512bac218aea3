/** What is asked of collections of known rows, and what is right. */
import type { Envelope } from './server.ts';

/** Narrow enough that a graph of some 200 rows is cheaper than a scan of them. */
export const EF = 16;

export type Row = Readonly<{ id: number; n: number; text: string; vector: readonly number[] }>;
/** What is known of a collection that is asked. */
type Asked = Readonly<{ rows: readonly Row[] }>;

export type Question = Readonly<{
  ask: string;
  body: (asked: Asked) => object;
  /** What is right, as `seen` shows it. */
  truth: (asked: Asked) => unknown;
  seen: (data: readonly Envelope[]) => unknown;
}>;

const whole = ({ id, n, text, vector }: Row | Envelope) => ({ id, n, text, vector });
const byId = <T extends { id: number }>(rows: readonly T[]): readonly T[] =>
  [...rows].sort((a, b) => a.id - b.id);

const distance = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, axis) => sum + (value - (b[axis] ?? 0)) ** 2, 0);

export const QUESTIONS: readonly Question[] = [
  {
    ask: 'query',
    body: () => ({ filter: '', limit: 1000, outputFields: ['*'] }),
    truth: ({ rows }) => rows.map(whole),
    seen: (data) => byId(data.map(whole)),
  },
  {
    ask: 'query',
    body: () => ({ filter: 'n >= 30 and n < 60 and text like "row 1%"', outputFields: ['id'] }),
    truth: ({ rows }) =>
      rows
        .filter(({ n, text }) => n >= 30 && n < 60 && text.startsWith('row 1'))
        .map(({ id }) => ({ id })),
    seen: (data) => byId(data.map(({ id }) => ({ id }))),
  },
  {
    ask: 'query',
    body: () => ({ filter: '', outputFields: ['count(*)'] }),
    truth: ({ rows }) => [rows.length],
    seen: (data) => data.map((row) => row['count(*)']),
  },
  {
    ask: 'get',
    body: () => ({ id: [3, 5, 23] }),
    truth: ({ rows }) => rows.filter(({ id }) => [3, 5, 23].includes(id)).map(whole),
    seen: (data) => byId(data.map(whole)),
  },
  {
    ask: 'search',
    body: ({ rows }) => ({
      data: [rows[7]?.vector],
      limit: 1,
      searchParams: { params: { ef: EF } },
      outputFields: ['id', 'n', 'text', 'vector'],
    }),
    truth: ({ rows }) => rows.slice(7, 8).map((row) => ({ ...whole(row), distance: 0 })),
    seen: (data) => data.map((row) => ({ ...whole(row), distance: row['distance'] })),
  },
  {
    ask: 'search',
    body: ({ rows }) => ({ data: [rows[11]?.vector], limit: 5, filter: 'n < 95' }),
    truth: ({ rows }) => {
      const query = rows[11]?.vector ?? [];
      return rows
        .filter(({ n }) => n < 95)
        .map(({ id, vector }) => ({ id, distance: distance(vector, query) }))
        .sort((a, b) => a.distance - b.distance)
        .slice(0, 5);
    },
    seen: (data) => data.map((row) => ({ id: row['id'], distance: row['distance'] })),
  },
];

/** Requests after which a collection holds what it held before, whether they are accepted or not. */
export const harmless = ({ rows }: Asked): readonly (readonly [string, object])[] => [
  ['vectordb/entities/upsert', { data: rows.slice(0, 3) }],
  ['vectordb/entities/delete', { filter: 'n > 1000' }],
  ['vectordb/collections/get_stats', {}],
  ['vectordb/indexes/describe', { indexName: 'vector' }],
  ['clusters/inspect', {}],
];
