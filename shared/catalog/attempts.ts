/**
 * How many wrong passwords a name may have against it, in this process.
 *
 * Each attempt is charged when it begins, so that a hundred at once are not free; a right one pays for
 * all before it. Whoever is let in already is not asked for a password and so
 * not hindered; a name whose attempts are used up is told to come later, without a hash.
 */
import { LRUCache } from 'lru-cache';
import { StoreError } from '#base/errors.ts';
import type { Clock } from '#ports/clock.ts';

/** Wrong passwords in a row before a name has to wait. */
export const WRONG_MAX = 50;
/**
 * One attempt comes back in this time: 43,200 a day and process, where six random letters, the shortest
 * password, have 308 million forms. A password that a deploy generates is out of reach by any rate.
 */
export const REGAIN_MS = 2_000;
/** Names that are counted; to be forgotten a name needs a thousand others, a hash each. */
const NAMES_MAX = 1_000;

type Charged = Readonly<{ wrong: number; atMs: number }>;

export class Attempts {
  readonly #clock: Clock;
  readonly #charged = new LRUCache<string, Charged>({ max: NAMES_MAX });

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @throws StoreError `OVERLOADED` where the name has to wait */
  begin(user: string): void {
    const wrong = this.#wrong(user);
    if (wrong + 1 > WRONG_MAX) {
      throw new StoreError(
        'OVERLOADED',
        `too many wrong passwords for user ${user}; one more is looked at in ${REGAIN_MS / 1000} s`,
      );
    }
    this.#set(user, wrong + 1);
  }

  /** The password was right: what was wrong before counts no more. */
  right(user: string): void {
    this.#charged.delete(user);
  }

  #wrong(user: string): number {
    const charged = this.#charged.get(user);
    if (charged === undefined) return 0;
    return Math.max(0, charged.wrong - (this.#clock.nowMs() - charged.atMs) / REGAIN_MS);
  }

  #set(user: string, wrong: number): void {
    this.#charged.set(user, { wrong, atMs: this.#clock.nowMs() });
  }
}
