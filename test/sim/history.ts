/**
 * One history: a world, its actors under bad weather, a quiet end, and what the oracles say of it.
 *
 * Everything in it follows from the seed: which shape the deployment has, what goes wrong, who does
 * what when. The trace is a hash over every effect and every answer, so that two runs of a seed can
 * be compared byte for byte.
 */
import { createHash } from 'node:crypto';
import type { Facts } from '#ports/telemetry.ts';
import { finishDrops } from '#service/drop.ts';
import { EventSource } from '#sim/event-source.ts';
import { Schedule } from '#sim/schedule.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import { CALL_FAULTS, type Climate, type Omitted, Weather } from '#sim/weather.ts';
import type { Stage } from './actors/actor.ts';
import {
  BACKGROUND,
  CLOUD,
  collectAll,
  consumer,
  deliverTo,
  invoke,
  mergeAll,
  replayParked,
} from './actors/background.ts';
import { CLIENTS } from './actors/clients.ts';
import { COLLECTIONS, creation } from './actors/collections.ts';
import { decideAsides, isNothingParked, poisoner, tend, warden } from './actors/poison.ts';
import { Client } from './client.ts';
import { liveForEver, scrubAll } from './epilogue.ts';
import { Evidence } from './evidence.ts';
import { Fleet } from './fleet.ts';
import { finalReads } from './oracles/final.ts';
import { judge, type Tally } from './oracles/judge.ts';
import { type Violation, World } from './services.ts';

export type HistoryOptions = Readonly<{
  seed: number;
  /** Client operations; default: drawn, at least 200. */
  operations?: number | undefined;
  omitted?: Omitted | undefined;
  /** Nothing goes wrong at all. */
  calm?: boolean | undefined;
  /** Told of every line of the trace. */
  onTrace?: ((line: string) => void) | undefined;
}>;

export type Outcome = Readonly<{
  seed: number;
  violations: readonly Violation[];
  traceHash: string;
  operations: number;
  faults: number;
  faultsByKind: ReadonlyMap<string, number>;
  events: number;
  tally: Tally;
  /** Kinds of actors at once. */
  actors: number;
  /** Whether it is long, hostile and complete enough to be counted. */
  counts: boolean;
}>;

export const OPERATIONS_MIN = 200;
export const FAULTS_MIN = 20;
export const ACTORS_MIN = 3;
/** Events of a history at most: thirty times what one takes. */
const EVENTS_MAX = 2_000_000;
/** Effects that are late are at most a minute and a half late. */
const SETTLE_MS = 100_000;
/** Past the longest read and the age of payloads (DESIGN 4.6). */
const AGE_MS = 17 * 60_000;
const ROUNDS_MAX = 200;
/**
 * Codes with which a part of a round may end. What a cut names may be gone with its pin when it is read,
 * and what a head names after a freeze.
 */
const PASSING_IN_ROUNDS = new Set([
  ...['UNCERTAIN', 'OVERLOADED', 'NOT_READY', 'MANIFEST_CONTENDED', 'TIMEOUT'],
  ...['OBJECT_NOT_FOUND', 'COLLECTION_NOT_FOUND'],
]);
/** What nobody is there to see is done less often. */
const PAUSED_PACE = 8;

export async function runHistory(options: HistoryOptions): Promise<Outcome> {
  return new History(options).run();
}

class History {
  readonly #options: HistoryOptions;
  readonly #draw: SeededEntropy;
  readonly #hash = createHash('sha256');
  readonly #schedule: Schedule;
  readonly #weather: Weather;
  readonly #world: World;
  readonly #fleet: Fleet;
  readonly #evidence = new Evidence();
  readonly #stage: Stage;
  readonly #parts;
  readonly #quota: number;
  /** Numbers of operations before which everybody pauses, and for how long. */
  readonly #pauses: Map<number, number>;
  #pausedUntilMs = 0;
  #values = 0n;
  #over = false;

  constructor(options: HistoryOptions) {
    this.#options = options;
    const seed = String(options.seed);
    this.#draw = new SeededEntropy(`${seed} shape`);
    const drawn = OPERATIONS_MIN + Math.floor(this.#draw.random() * 80);
    this.#quota = options.operations ?? drawn;
    this.#pauses = this.#drawPauses();
    this.#schedule = new Schedule(new SeededEntropy(`${seed} schedule`));
    this.#weather = new Weather(
      new SeededEntropy(`${seed} weather`),
      this.#drawClimate(),
      options.omitted,
    );
    if (options.calm === true) this.#weather.calm();
    const trace = (what: string): void => this.#trace(what);
    const streamShards = 1 + Math.floor(this.#draw.random() * 3);
    this.#world = new World(seed, this.#schedule, streamShards, trace);
    const shared = { schedule: this.#schedule, world: this.#world, weather: this.#weather };
    this.#fleet = new Fleet({
      ...shared,
      seed,
      trace,
      perRole: Math.floor(this.#draw.random() * 4),
      heard: (name, facts) => {
        const { events } = this.#evidence;
        events.set(name, (events.get(name) ?? 0) + 1);
        if (name === 'compact' && facts['committed'] === true) this.#evidence.compactions += 1;
        if (name === 'maintenance-failed') this.#judgeRound(facts);
      },
    });
    this.#parts = { ...shared, fleet: this.#fleet, evidence: this.#evidence };
    this.#stage = {
      ...this.#parts,
      seed,
      turn: (client) => this.#turn(client),
      isOver: () => this.#over,
      pace: () => (this.#pausedUntilMs > this.#schedule.nowMs() ? PAUSED_PACE : 1),
      nextValue: () => {
        this.#values += 1n;
        return this.#values;
      },
    };
    this.#schedule.onQuiet = () => this.#checkStuck();
  }

  async run(): Promise<Outcome> {
    const whole = this.#act();
    let ended = false;
    let failure: unknown;
    whole.then(
      () => {
        ended = true;
      },
      (error: unknown) => {
        failure = error;
        ended = true;
      },
    );
    const unheard: unknown[] = [];
    const hear = (reason: unknown): void => {
      unheard.push(reason);
    };
    process.on('unhandledRejection', hear);
    const how = await this.#schedule.run(() => ended, EVENTS_MAX);
    // Node tells of promises that broke and that nobody heard once its queues are empty.
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', hear);
    for (const reason of unheard) {
      const text = reason instanceof Error ? reason.message : String(reason);
      this.#world.violate(
        'I12',
        `a promise broke and nobody heard it, which ends a process: ${text}`,
      );
    }
    if (failure !== undefined) throw failure;
    if (how !== 'done') {
      this.#world.violate(
        'I12',
        `the history did not come to its end: ${how} after ${EVENTS_MAX} events`,
      );
      return this.#outcome(0);
    }
    return this.#outcome(await whole);
  }

  /** Returns how many kinds of actors there were. */
  async #act(): Promise<number> {
    const founder = this.#client('founder');
    for (const plan of COLLECTIONS) {
      for (let attempt = 1; attempt <= ROUNDS_MAX; attempt++) {
        const answer = await founder.ask('collections/create', creation(plan));
        if (answer.is === 'reply') break;
        await this.#schedule.sleep(200);
      }
    }
    const stream = this.#draw.random() < 0.75;
    const source = stream ? this.#openEventSource() : undefined;
    const poison = this.#draw.random() < 0.4;
    const cast = [
      ...CLIENTS,
      ...BACKGROUND,
      ...(stream ? [[CLOUD, 1] as const] : [[consumer, 2] as const]),
      ...(poison ? [[poisoner, 1] as const, [warden, 1] as const] : []),
    ];
    const clients: Promise<void>[] = [];
    const others: Promise<void>[] = [];
    for (const [actor, count] of cast) {
      for (let number = 1; number <= count; number++) {
        const acting = actor.act(this.#stage, this.#client(`${actor.kind}-${number}`));
        (actor.isClient ? clients : others).push(acting);
      }
    }
    await Promise.all(clients);
    this.#weather.calm();
    this.#fleet.steady();
    await this.#schedule.sleep(SETTLE_MS);
    this.#world.hidesPayload = () => undefined;
    await this.#settle(source);
    this.#over = true;
    await Promise.all(others);
    await this.#epilogue(source);
    source?.stop();
    return cast.length;
  }

  /** Waits until every entry is applied and everybody is done. */
  async #settle(source: EventSource | undefined): Promise<void> {
    const warden = this.#client('last-warden');
    for (let round = 1; round <= ROUNDS_MAX; round++) {
      const idle = this.#fleet.running.every(({ environment }) => environment.isIdle);
      const drained = source === undefined ? await this.#isConsumed() : await source.isDrained();
      const flowing = await isNothingParked(this.#world);
      if ((idle || round > ROUNDS_MAX / 2) && drained && flowing) return;
      await this.#schedule.sleep(1_000);
      if (flowing) continue;
      await replayParked(this.#stage);
      await tend(warden);
    }
    this.#world.violate('I1', 'records are not applied though nothing goes wrong any more');
  }

  async #isConsumed(): Promise<boolean> {
    const { log } = this.#world;
    for (const { name } of await log.streamShards()) {
      const taken = await log.checkpoint('apply', name);
      const rest = await log.read(name, {
        limit: 1,
        ...(taken === undefined ? {} : { after: taken }),
      });
      if (rest.length > 0) return false;
    }
    return true;
  }

  /**
   * What a restart finishes, then reads by new processes: as it is, after all merging, and after what
   * is old was collected. None of that may change an answer.
   */
  async #epilogue(source: EventSource | undefined): Promise<void> {
    const starter = this.#fleet.start('maintain');
    // Drops that were left half done wait for their fences to be applied.
    const applying = source === undefined ? this.#applyMore() : undefined;
    const finished = await invoke(this.#stage, starter, () => finishDrops(starter.engine));
    if (finished.is !== 'ended') this.#world.violate('I12', 'drops cannot be finished in calm');
    this.#applied = true;
    await applying;
    await this.#settle(source);
    await decideAsides(this.#stage);
    this.#isQuiet = true;
    const client = this.#client('auditor');
    await finalReads(this.#stage, client, 'at the end');
    for (let round = 1; round <= ROUNDS_MAX && (await mergeAll(this.#stage)); round++);
    await finalReads(this.#stage, client, 'after merging');
    await this.#schedule.sleep(AGE_MS);
    await collectAll(this.#stage);
    await liveForEver(this.#stage);
    await finalReads(this.#stage, client, 'after collecting');
    await scrubAll(this.#stage);
  }

  #isQuiet = false;

  /** What a round of maintenance reports and goes on behind. */
  #judgeRound({ loop, shard, code, reason }: Facts): void {
    const passes = PASSING_IN_ROUNDS.has(String(code));
    if (passes && !this.#isQuiet) return;
    this.#world.violate('I6', `${loop} of ${shard} failed with ${code}: ${reason}`);
  }

  #applied = false;

  async #applyMore(): Promise<void> {
    const stage = { ...this.#stage, isOver: () => this.#applied };
    await consumer.act(stage, this.#client('last-applier'));
  }

  #openEventSource(): EventSource {
    const draw = (): number => this.#draw.random();
    const source = new EventSource({
      schedule: this.#schedule,
      log: this.#world.log,
      entropy: new SeededEntropy(`${this.#options.seed} event source`),
      weather: this.#weather,
      deliver: deliverTo(this.#stage),
      pollMs: 100 + draw() * 1_500,
      batchMax: 1 + Math.floor(draw() * 40),
      duplicate: draw() * 0.3,
      rewind: draw() * 0.15,
      trim: draw() * 0.1,
    });
    source.start();
    return source;
  }

  #client(name: string): Client {
    return new Client(this.#parts, name, String(this.#options.seed));
  }

  /** Clients take turns as they come; now and then everybody sleeps for minutes. */
  async #turn(client: Client): Promise<boolean> {
    await this.#schedule.sleep(20 + client.random.random() ** 2 * 900);
    while (this.#pausedUntilMs > this.#schedule.nowMs()) {
      await this.#schedule.sleep(this.#pausedUntilMs - this.#schedule.nowMs());
    }
    if (this.#evidence.operations >= this.#quota) return false;
    this.#evidence.operations += 1;
    const pauseMs = this.#pauses.get(this.#evidence.operations);
    if (pauseMs !== undefined) this.#pausedUntilMs = this.#schedule.nowMs() + pauseMs;
    return true;
  }

  #drawPauses(): Map<number, number> {
    const pauses = new Map<number, number>();
    const count = Math.floor(this.#draw.random() * 4);
    for (let pause = 0; pause < count; pause++) {
      const at = Math.floor(this.#draw.random() * this.#quota);
      pauses.set(at, 10_000 + this.#draw.random() ** 2 * 1_300_000);
    }
    return pauses;
  }

  /** Some kinds of faults are left out of some histories, so that they do not hide what others do. */
  #drawClimate(): Climate {
    const most = {
      'lost-answer': 0.02,
      failed: 0.015,
      late: 0.02,
      refused: 0.015,
      slow: 0.01,
      doubled: 0.03,
    };
    const drawn = CALL_FAULTS.map((fault) => {
      const present = this.#draw.random() < 0.75;
      const strength = this.#draw.random();
      return [fault, present ? most[fault] * (0.1 + 0.9 * strength) : 0] as const;
    });
    // Every fault has its number.
    return Object.fromEntries(drawn) as Climate;
  }

  #trace(what: string): void {
    const line = `${this.#schedule.nowMs().toFixed(3)} ${what}\n`;
    this.#hash.update(line);
    this.#options.onTrace?.(line);
  }

  #checkStuck(): void {
    const name = this.#fleet.stuck();
    if (name === undefined) return;
    throw new Error(
      `seed ${this.#options.seed}: ${name} waits for something that no port brings (a file, a timer, a worker): it would be another one each time`,
    );
  }

  async #outcome(actors: number): Promise<Outcome> {
    const tally = await judge(this.#world, this.#evidence);
    const { operations } = this.#evidence;
    const { faults, counts: faultsByKind } = this.#weather;
    return {
      seed: this.#options.seed,
      violations: this.#world.violations,
      traceHash: this.#hash.digest('hex'),
      operations,
      faults,
      faultsByKind,
      events: this.#schedule.happened,
      tally,
      actors,
      counts: operations >= OPERATIONS_MIN && faults >= FAULTS_MIN && actors >= ACTORS_MIN,
    };
  }
}
