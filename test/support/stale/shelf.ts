/**
 * One collection and the map that says what must be in it: per key the newest version, or nothing.
 *
 * Every row carries the number of its version, and lies the farther from the origin the newer it is, for
 * a while: a search near the origin would rather show an old version than the newest one.
 */
import type { Chance } from '../garbage/mutate.ts';

export type Row = Readonly<{
  id: number | string;
  version: number;
  group: number;
  hot: boolean;
  vector: readonly number[];
}>;

/** Answers a verb's `data`, or throws. */
export type Ask = (verb: string, body: Readonly<Record<string, unknown>>) => Promise<Answer>;
// biome-ignore lint/suspicious/noExplicitAny: replies of many shapes, looked at by checks only
export type Answer = Readonly<{ data?: any; topks?: number[]; explain?: any; token?: string }>;

export type Form = Readonly<{ name: string; keys: 'Int64' | 'VarChar'; shards: number }>;

export const HOT_KEYS = 12;
/** Rows that are rarely touched: with them a segment is large enough for its graph to be worth its while. */
const COLD_KEYS = 600;
const DIM = 4;
/** Components are multiples of it, so that float32 distances are exact. */
const STEP = 1 / 4;

/** A filter as text and as what it means. */
export type Condition = Readonly<{ text: string; holds: (row: Row) => boolean }>;

export class Shelf {
  readonly form: Form;
  readonly model = new Map<number | string, Row>();
  readonly #ask: Ask;
  readonly #chance: Chance;
  #versions = 0;
  #token: string | undefined;

  constructor(form: Form, ask: Ask, chance: Chance) {
    this.form = form;
    this.#ask = ask;
    this.#chance = chance;
  }

  async create(): Promise<void> {
    const { name, keys, shards } = this.form;
    const length = keys === 'VarChar' ? { elementTypeParams: { max_length: 16 } } : {};
    await this.#ask('collections/create', {
      collectionName: name,
      schema: {
        fields: [
          { fieldName: 'id', dataType: keys, isPrimary: true, ...length },
          { fieldName: 'version', dataType: 'Int64' },
          { fieldName: 'group', dataType: 'Int8' },
          { fieldName: 'hot', dataType: 'Bool' },
          { fieldName: 'vector', dataType: 'FloatVector', elementTypeParams: { dim: DIM } },
        ],
      },
      indexParams: [{ fieldName: 'vector', metricType: 'L2' }],
      params: { shardsNum: shards },
    });
    const cold = Array.from({ length: COLD_KEYS }, (_, index) => this.#row(HOT_KEYS + index));
    await this.put('insert', cold);
  }

  #int(below: number): number {
    return Math.floor(this.#chance.random() * below);
  }

  keyOf(number: number): number | string {
    return this.form.keys === 'Int64' ? number : `key-${number}`;
  }

  someKeys(): (number | string)[] {
    return Array.from({ length: 1 + this.#int(3) }, () => this.keyOf(this.#int(HOT_KEYS)));
  }

  /** New versions of a few keys; the same key may be among them twice. */
  someRows(): Row[] {
    const cold = this.#int(10) === 0 ? [HOT_KEYS + this.#int(COLD_KEYS)] : [];
    const hot = Array.from({ length: 1 + this.#int(4) }, () => this.#int(HOT_KEYS));
    return [...hot, ...cold].map((number) => this.#row(number));
  }

  #row(number: number): Row {
    const version = ++this.#versions;
    const hot = number < HOT_KEYS;
    // Hot rows move outwards for forty versions, then start near the origin again.
    const radius = hot ? 1 + (version % 40) / 2 : 60 + (number % 50);
    return {
      id: this.keyOf(number),
      version,
      group: version % 3,
      hot,
      vector: this.#near(radius),
    };
  }

  /** A point about so far from the origin, on the grid of exact components. */
  #near(radius: number): number[] {
    const raw = Array.from({ length: DIM }, () => this.#chance.random() - 0.5);
    const length = Math.hypot(...raw) || 1;
    return raw.map((each) => Math.round((each / length) * (radius / STEP)) * STEP);
  }

  async put(verb: 'insert' | 'upsert', rows: readonly Row[]): Promise<void> {
    const answer = await this.#ask(`entities/${verb}`, {
      collectionName: this.form.name,
      data: rows,
    });
    this.#token = answer.token;
    for (const row of rows) this.model.set(row.id, row);
  }

  async remove(condition: Condition): Promise<void> {
    const body = { collectionName: this.form.name, filter: condition.text };
    this.#token = (await this.#ask('entities/delete', body)).token;
    for (const row of this.rowsWhere(condition)) this.model.delete(row.id);
  }

  rowsWhere({ holds }: Condition): Row[] {
    return [...this.model.values()].filter(holds);
  }

  byKeys(keys: readonly (number | string)[]): Condition {
    return { text: `id in ${JSON.stringify(keys)}`, holds: ({ id }) => keys.includes(id) };
  }

  /** Hot rows only, so that the cold ones stay. */
  someVictims(): Condition {
    const group = this.#int(3);
    const below = this.#versions - this.#int(60);
    return this.#int(2) === 0
      ? {
          text: `hot == true and group == ${group} and version < ${below}`,
          holds: (row) => row.hot && row.group === group && row.version < below,
        }
      : {
          text: `hot == true and version > ${below + 40}`,
          holds: (row) => row.hot && row.version > below + 40,
        };
  }

  /** Hot rows of one group as they are now; no version that is still to come. */
  everyOlder(): Condition {
    const [group, below] = [this.#int(3), this.#versions + 1];
    return {
      text: `hot == true and group == ${group} and version < ${below}`,
      holds: (row) => row.hot && row.group === group && row.version < below,
    };
  }

  someCondition(): Condition {
    const group = this.#int(3);
    const least = this.#versions - this.#int(100);
    const key = this.keyOf(this.#int(HOT_KEYS));
    const conditions: Condition[] = [
      { text: '', holds: () => true },
      { text: '', holds: () => true },
      { text: 'hot == true', holds: ({ hot }) => hot },
      { text: `group == ${group}`, holds: (row) => row.group === group },
      { text: `version < ${least}`, holds: ({ version }) => version < least },
      { text: `not (version < ${least})`, holds: ({ version }) => version >= least },
      { text: `id != ${JSON.stringify(key)}`, holds: ({ id }) => id !== key },
      { text: `hot == true and group != ${group}`, holds: (row) => row.hot && row.group !== group },
    ];
    return conditions[this.#int(conditions.length)] ?? { text: '', holds: () => true };
  }

  /** What every read carries besides: any consistency level, now and then the newest token. */
  #scope(): Readonly<Record<string, unknown>> {
    const levels = ['Strong', 'Session', 'Bounded', 'Eventually'];
    const token = this.#int(3) === 0 && this.#token !== undefined ? { token: this.#token } : {};
    return {
      collectionName: this.form.name,
      consistencyLevel: levels[this.#int(levels.length)],
      ...token,
    };
  }

  /** A search for the one to three nearest, by each of one or two points; narrow, so that graphs are used. */
  async search(condition: Condition): Promise<Found> {
    const points = Array.from({ length: 1 + this.#int(2) }, () => this.#near(this.#int(8)));
    const limit = 1 + this.#int(3);
    const answer = await this.#ask('entities/search', {
      ...this.#scope(),
      data: points,
      limit,
      filter: condition.text,
      outputFields: ['version', 'group', 'hot'],
      searchParams: { ef: 1 + this.#int(4) },
      explain: true,
    });
    const topks = answer.topks ?? [];
    const rows: FoundRow[] = [...answer.data];
    const lists = topks.map((count) => rows.splice(0, count));
    if (lists.length !== points.length || rows.length > 0) throw new Error(`topks ${topks}`);
    const methods: string[] = answer.explain.segments.map(
      ({ method }: Readonly<{ method: string }>) => method,
    );
    return { points, limit, lists, methods };
  }

  async query(condition: Condition): Promise<Row[]> {
    const body = { ...this.#scope(), filter: condition.text, outputFields: ['*'], limit: 16_384 };
    return (await this.#ask('entities/query', body)).data;
  }

  async get(keys: readonly (number | string)[]): Promise<Row[]> {
    return (await this.#ask('entities/get', { ...this.#scope(), id: keys })).data;
  }

  async count(condition: Condition): Promise<number> {
    const body = { ...this.#scope(), filter: condition.text, outputFields: ['count(*)'] };
    return Number((await this.#ask('entities/query', body)).data[0]['count(*)']);
  }

  async flush(): Promise<void> {
    await this.#ask('collections/flush', { collectionName: this.form.name });
  }
}

export type FoundRow = Omit<Row, 'vector'> & Readonly<{ distance: number }>;
export type Found = Readonly<{
  points: readonly (readonly number[])[];
  limit: number;
  lists: readonly (readonly FoundRow[])[];
  /** How each segment was searched. */
  methods: readonly string[];
}>;

export const distance = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, each, index) => sum + (each - (b[index] ?? 0)) ** 2, 0);
