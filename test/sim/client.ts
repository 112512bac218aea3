/**
 * A client outside of every environment: it sends requests as HTTP would carry them, waits as long as
 * it likes, and knows no more than the answer says.
 */
import { hash } from 'node:crypto';
import type { Reply } from '#api/envelope.ts';
import { BASE_PATH } from '#api/routes.ts';
import { isStoreError, StoreError } from '#base/errors.ts';
import type { Schedule } from '#sim/schedule.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import type { Weather } from '#sim/weather.ts';
import type { Evidence, WriteOutcome } from './evidence.ts';
import type { Fleet } from './fleet.ts';
import type { World } from './services.ts';

export type Answer =
  | Readonly<{ is: 'reply'; reply: Reply }>
  /** `none`: the code promises that nothing was written. */
  | Readonly<{ is: 'refused'; effect: 'none' | 'unknown'; code: string; message: string }>
  | Readonly<{ is: 'silence' }>;

export type Asking = Readonly<{ requestId?: string | undefined; patienceMs?: number | undefined }>;

export type Written = Readonly<{
  outcome: WriteOutcome;
  code: string | undefined;
  attempts: number;
  reply: Reply | undefined;
}>;

export type ClientParts = Readonly<{
  schedule: Schedule;
  fleet: Fleet;
  world: World;
  weather: Weather;
  evidence: Evidence;
}>;

/** An HTTP request lives so long. */
const PATIENCE_MS = 30_000;
/** What a server grants itself of it. */
const DEADLINE_MS = 28_000;
/** A connection to a process that died breaks after this long. */
const BROKEN_MS = 50;
/** Codes that say what no client may ever hear. */
const BUGS = new Set(['INTERNAL', 'DATA_CORRUPT', 'OBJECT_NOT_FOUND', 'FORMAT_TOO_NEW', 'LOG_GAP']);
/** DESIGN 4.6: a read that began longer ago than this may miss objects. */
const READ_MS_MAX = 15 * 60_000;
/** Attempts under one `RequestId` at most. */
const ATTEMPTS_MAX = 4;
/** What was acknowledged is sent again within this time. */
const SENT_AGAIN_MS_MAX = 40_000;
/** A server that was frozen takes no request from a connection that was closed so long ago. */
const ARRIVAL_MS_MAX = 60_000;
/**
 * No attempt begins later than this after the first. Nine minutes are promised, later ones are refused
 * (which is tried as well), and from fifteen minutes on the same id is another request.
 */
const REPEAT_MS_MAX = 13 * 60_000;

export class Client {
  readonly name: string;
  readonly random: SeededEntropy;
  readonly #parts: ClientParts;
  #requests = 0;

  constructor(parts: ClientParts, name: string, seed: string) {
    this.#parts = parts;
    this.name = name;
    this.random = new SeededEntropy(`${seed} ${name}`);
  }

  nowMs(): number {
    return this.#parts.schedule.nowMs();
  }

  /** Whole numbers from 0 to before `count`. */
  below(count: number): number {
    return Math.floor(this.random.random() * count);
  }

  chance(likelihood: number): boolean {
    return this.random.random() < likelihood;
  }

  /** One request to one process. */
  async ask(verb: string, body: unknown, asking: Asking = {}): Promise<Answer> {
    const { fleet, schedule, world } = this.#parts;
    const { environment, routes } = fleet.pick('front');
    const path = verb.startsWith('/') ? verb : `${BASE_PATH}/${verb}`;
    const route = routes[`POST ${path}`];
    if (route === undefined) throw new Error(`there is no route ${path}`);
    const text = JSON.stringify(body);
    const { requestId, patienceMs = PATIENCE_MS } = asking;
    const startMs = schedule.nowMs();
    const idempotency =
      requestId === undefined
        ? {}
        : { idempotency: { requestId, bodyHash: hash('sha256', text, 'hex') } };
    const answer = environment.run(async () => {
      if (schedule.nowMs() - startMs > ARRIVAL_MS_MAX) {
        throw new StoreError('TIMEOUT', 'nobody is there any more');
      }
      return route.answer(text, {
        user: 'root',
        route: path,
        int64AsText: false,
        deadlineMs: environment.ports.clock.nowMs() + DEADLINE_MS,
        ...idempotency,
      });
    });
    return new Promise((resolve) => {
      const silence = (): void => resolve({ is: 'silence' });
      const patience = schedule.after(patienceMs, silence);
      const alive = environment.onDeath(() => schedule.after(BROKEN_MS, silence));
      const over = (): void => {
        patience.act = undefined;
        alive();
      };
      answer.then(
        (reply) => {
          over();
          resolve({ is: 'reply', reply });
        },
        (error: unknown) => {
          over();
          if (!isStoreError(error)) {
            world.violate('I12', `${verb} failed with no code: ${describe(error)}`);
            silence();
            return;
          }
          const aged =
            schedule.nowMs() - startMs > READ_MS_MAX && error.code === 'OBJECT_NOT_FOUND';
          if (BUGS.has(error.code) && !aged && !world.isAboutHidden(error.message)) {
            const invariant = error.code === 'INTERNAL' ? 'I12' : 'I6';
            world.violate(invariant, `${verb} failed with ${error.code}: ${error.message}`);
          }
          const { effect } = error.advice;
          resolve({ is: 'refused', effect, code: error.code, message: error.message });
        },
      );
    });
  }

  /**
   * A write: once, or under a `RequestId` and again until it is known to be done, now and then while
   * the attempt before is still under way.
   */
  async write(verb: string, body: unknown, repeat: boolean): Promise<Written> {
    const { schedule, weather, evidence } = this.#parts;
    const hasty = this.chance(0.1) && weather.strike('client-gives-up');
    const patienceMs = hasty ? 50 + this.below(3_000) : PATIENCE_MS;
    const requestId = repeat ? `${this.name}-${this.#requests++}` : undefined;
    const asking = { requestId, patienceMs };
    let known: Written = { outcome: 'none', code: undefined, attempts: 0, reply: undefined };
    const attemptsMax = repeat ? ATTEMPTS_MAX : 1;
    const startMs = schedule.nowMs();
    while (known.attempts < attemptsMax) {
      if (known.attempts > 0) {
        await schedule.sleep(this.chance(0.1) ? this.below(700_000) : this.below(3_000));
        if (schedule.nowMs() - startMs > REPEAT_MS_MAX) return known;
        evidence.retries += 1;
      }
      const twice = repeat && this.chance(0.2) && weather.strike('run-twice');
      const rival = twice ? this.ask(verb, body, asking) : undefined;
      if (rival !== undefined) evidence.retries += 1;
      const first = learn(known, await this.ask(verb, body, asking));
      known = rival === undefined ? first : learn(first, await rival);
      if (known.outcome === 'done') {
        const again = repeat && this.chance(0.15) && weather.strike('sent-again');
        if (again) void this.#sendAgain(verb, body, requestId, known);
        return known;
      }
      if (isFinal(known)) return known;
    }
    return known;
  }

  /**
   * The same request once more though it was acknowledged, as from somebody who lost the answer: it
   * changes nothing, and where it is answered then as it was before (I2).
   */
  async #sendAgain(
    verb: string,
    body: unknown,
    requestId: string | undefined,
    { reply }: Written,
  ): Promise<void> {
    const { schedule, evidence, world } = this.#parts;
    await schedule.sleep(this.below(SENT_AGAIN_MS_MAX));
    evidence.retries += 1;
    const answer = await this.ask(verb, body, { requestId });
    if (answer.is !== 'reply') return;
    const [first, again] = [shown(reply?.data), shown(answer.reply.data)];
    if (first === again) return;
    world.violate('I2', `${this.name}: ${verb} was answered ${first}, and sent again ${again}`);
  }
}

/** What is known of a write after another attempt's answer. */
function learn(known: Written, answer: Answer): Written {
  const attempts = known.attempts + 1;
  if (known.outcome === 'done') return { ...known, attempts };
  if (answer.is === 'reply') {
    return { outcome: 'done', code: undefined, attempts, reply: answer.reply };
  }
  const code = answer.is === 'refused' ? answer.code : undefined;
  const none = answer.is === 'refused' && answer.effect === 'none' && known.outcome === 'none';
  return { outcome: none ? 'none' : 'unknown', code, attempts, reply: undefined };
}

/** No later attempt would be told anything else. */
const isFinal = ({ code }: Written): boolean =>
  code === 'COLLECTION_NOT_FOUND' || code === 'INVALID_ARGUMENT' || code === 'INVALID_ROW';

const shown = (data: unknown): string =>
  JSON.stringify(data, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));

const describe = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error);
