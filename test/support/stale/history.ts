/** A random history over few keys, against a real server whose background work is eager. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Sterna, startSterna } from '#runtime/start.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import { checkFound, checkRows, type Possible } from './checks.ts';
import { type Answer, type Form, type Row, Shelf } from './shelf.ts';

const FORMS: readonly Form[] = [
  { name: 'int_1', keys: 'Int64', shards: 1 },
  { name: 'int_3', keys: 'Int64', shards: 3 },
  { name: 'text_1', keys: 'VarChar', shards: 1 },
  { name: 'text_3', keys: 'VarChar', shards: 3 },
];

/** Folds, merges, indexes and collects as often as it can; graphs also for small segments. */
const PACE = {
  applyLingerMs: 2,
  compactEveryMs: 10,
  collectEveryMs: 100,
  levelZeroSegments: 2,
  levelZeroAgeMs: 20,
  graphRows: 20,
  idleMs: 30,
} as const;

const PAUSE_MS_MAX = 60;
const REMEMBERED_STEPS = 30;

export type Tally = {
  steps: number;
  writes: number;
  deletes: number;
  flushes: number;
  restarts: number;
  races: number;
  /** Reads whose answer was checked. */
  reads: number;
  /** Searches of which at least one segment was answered by its graph. */
  graphSearches: number;
};

export class History {
  readonly tally: Tally = {
    steps: 0,
    writes: 0,
    deletes: 0,
    flushes: 0,
    restarts: 0,
    races: 0,
    reads: 0,
    graphSearches: 0,
  };
  readonly #dir: string;
  readonly #chance: SeededEntropy;
  readonly #shelves: readonly Shelf[];
  readonly #last: string[] = [];
  #server: Sterna;

  private constructor(seed: number | string, dir: string, server: Sterna) {
    this.#dir = dir;
    this.#server = server;
    this.#chance = new SeededEntropy(seed);
    const ask = (verb: string, body: unknown): Promise<Answer> => this.#ask(verb, body);
    this.#shelves = FORMS.map((form) => new Shelf(form, ask, this.#chance.fork(form.name)));
  }

  static async open(seed: number | string): Promise<History> {
    const dir = await mkdtemp(join(tmpdir(), 'sterna-stale-'));
    const history = new History(seed, dir, await startServer(dir));
    for (const shelf of history.#shelves) await shelf.create();
    return history;
  }

  /** True where this machine can build graphs. */
  get hasGraphs(): boolean {
    return this.#server.graphs.available;
  }

  async close(): Promise<void> {
    await this.#server.close();
    await rm(this.#dir, { recursive: true, force: true });
  }

  async #ask(verb: string, body: unknown): Promise<Answer> {
    const response = await fetch(`${this.#server.url}/v2/vectordb/${verb}`, {
      method: 'POST',
      headers: { authorization: 'Bearer root:Milvus' },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    const envelope = JSON.parse(text);
    if (envelope.code !== 0) throw new Error(`${verb} ${JSON.stringify(body)}: ${text}`);
    return envelope;
  }

  #int(below: number): number {
    return Math.floor(this.#chance.random() * below);
  }

  /** One step; throws with the steps before it where a read shows what it must not. */
  async step(): Promise<void> {
    this.tally.steps++;
    const shelf = this.#shelves[this.#int(this.#shelves.length)];
    if (shelf === undefined) throw new Error('no shelf');
    try {
      await this.#act(shelf);
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      const before = this.#last.join('\n  ');
      throw new Error(
        `step ${this.tally.steps} on ${shelf.form.name}: ${what}\nbefore:\n  ${before}`,
      );
    }
  }

  #note(shelf: Shelf, what: string): void {
    this.#last.push(`${this.tally.steps} ${shelf.form.name} ${what}`);
    if (this.#last.length > REMEMBERED_STEPS) this.#last.shift();
  }

  async #act(shelf: Shelf): Promise<void> {
    const dice = this.#int(1000);
    if (dice < 180) await this.#put(shelf);
    else if (dice < 250) await this.#removeKeys(shelf);
    else if (dice < 290) await this.#removeByFilter(shelf);
    else if (dice < 340) await this.#flush(shelf);
    else if (dice < 380) await this.#pause(shelf);
    else if (dice < 450) await this.#race(shelf);
    else if (dice < 500) await this.#duel(shelf);
    else if (dice < 502) await this.#restart(shelf);
    else await this.#read(shelf);
  }

  async #put(shelf: Shelf): Promise<void> {
    const verb = this.#int(2) === 0 ? 'insert' : 'upsert';
    const rows = shelf.someRows();
    this.#note(shelf, `${verb} ${names(rows)}`);
    await shelf.put(verb, rows);
    this.tally.writes++;
  }

  async #removeKeys(shelf: Shelf): Promise<void> {
    const keys = shelf.someKeys();
    this.#note(shelf, `delete ${keys}`);
    await shelf.remove(shelf.byKeys(keys));
    this.tally.deletes++;
  }

  async #removeByFilter(shelf: Shelf): Promise<void> {
    const victims = shelf.someVictims();
    this.#note(shelf, `delete ${victims.text}: ${names(shelf.rowsWhere(victims))}`);
    await shelf.remove(victims);
    this.tally.deletes++;
  }

  async #flush(shelf: Shelf): Promise<void> {
    this.#note(shelf, 'flush');
    await shelf.flush();
    this.tally.flushes++;
  }

  async #pause(shelf: Shelf): Promise<void> {
    const pauseMs = this.#int(PAUSE_MS_MAX);
    this.#note(shelf, `pause of ${pauseMs} ms`);
    await sleep(pauseMs);
  }

  async #restart(shelf: Shelf): Promise<void> {
    this.#note(shelf, 'restart');
    await this.#server.close();
    this.#server = await startServer(this.#dir);
    this.tally.restarts++;
  }

  async #read(shelf: Shelf): Promise<void> {
    await this.#readOne(shelf, (id) => [shelf.model.get(id)], true);
  }

  /** A write and reads at once: these may show its keys as before or as after it, and nothing else. */
  async #race(shelf: Shelf): Promise<void> {
    this.tally.races++;
    const before = new Map(shelf.model);
    const rows = shelf.someRows();
    const victims = shelf.byKeys(shelf.someKeys());
    const deletes = this.#int(3) === 0;
    const written = deletes ? undefined : rows;
    this.#note(shelf, `reads beside ${written === undefined ? victims.text : names(rows)}`);
    const after = new Map(before);
    for (const row of written ?? []) after.set(row.id, row);
    if (written === undefined) for (const row of shelf.rowsWhere(victims)) after.delete(row.id);
    const possible: Possible = (id) => [before.get(id), after.get(id)];
    const writing = written === undefined ? shelf.remove(victims) : shelf.put('upsert', rows);
    await this.#readBeside(shelf, possible, [writing]);
  }

  /**
   * A delete by filter and new versions of the same keys at once: the filter speaks of older versions
   * only, so that the new ones are there in the end, in whatever order the two arrive.
   */
  async #duel(shelf: Shelf): Promise<void> {
    this.tally.races++;
    const before = new Map(shelf.model);
    const victims = shelf.everyOlder();
    const rows = shelf.someRows();
    this.#note(shelf, `delete ${victims.text} beside ${names(rows)}`);
    const possible: Possible = (id) => [
      before.get(id),
      ...rows.filter((row) => row.id === id).slice(-1),
      undefined,
    ];
    const writing = [shelf.remove(victims), shelf.put('upsert', rows)];
    await this.#readBeside(shelf, possible, writing);
    await this.#readOne(shelf, (id) => [shelf.model.get(id)], true);
  }

  async #readBeside(
    shelf: Shelf,
    possible: Possible,
    writing: readonly Promise<void>[],
  ): Promise<void> {
    const reads = [1, 2, 3].map(() => this.#readOne(shelf, possible, false));
    const done = await Promise.allSettled([...writing, ...reads]);
    for (const each of done) if (each.status === 'rejected') throw each.reason;
  }

  async #readOne(shelf: Shelf, possible: Possible, quiet: boolean): Promise<void> {
    const condition = shelf.someCondition();
    const all = quiet ? shelf.rowsWhere(condition) : undefined;
    const dice = this.#int(10);
    this.tally.reads++;
    if (dice < 6) {
      if (quiet) this.#note(shelf, `search ${condition.text}`);
      const found = await shelf.search(condition);
      if (found.methods.includes('graph')) this.tally.graphSearches++;
      checkFound(found, condition, possible, all);
    } else if (dice < 7) {
      if (quiet) this.#note(shelf, `query ${condition.text}`);
      checkRows(await shelf.query(condition), condition, possible, all);
    } else if (dice < 9) {
      const keys = [...new Set(shelf.someKeys())];
      if (quiet) this.#note(shelf, `get ${keys}`);
      const here = shelf.byKeys(keys);
      const expected = quiet ? shelf.rowsWhere(here) : undefined;
      checkRows(await shelf.get(keys), here, possible, expected);
    } else if (all !== undefined) {
      this.#note(shelf, `count ${condition.text}`);
      const count = await shelf.count(condition);
      if (count !== all.length) throw new Error(`count(*) is ${count}, expected ${all.length}`);
    }
  }
}

const names = (rows: readonly Row[]): string =>
  rows.map(({ id, version }) => `${id}@${version}`).join(' ');

const startServer = (dir: string): Promise<Sterna> =>
  startSterna({ dir, port: 0, logLevel: 'error', pace: PACE });
