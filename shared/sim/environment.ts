/**
 * An environment: one process or function with its own memory and its own clock, on services that it
 * shares with others.
 *
 * Its code reaches the world by ports alone, so that it can be stopped where it waits for one: killed
 * (nothing of it ever runs again: no promise of it is kept or broken), or frozen for minutes and
 * thawed (every answer and every alarm of that time arrives when it wakes). What was on its way to a
 * service when it was killed may still arrive there.
 */
import { StoreError } from '#base/errors.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Log } from '#ports/log.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import type { Schedule } from './schedule.ts';
import type { CallKind, Weather } from './weather.ts';

export type Services = Readonly<{ objects: ObjectStore; log: Log; table: Table; global: Table }>;

export type EnvironmentOptions = Readonly<{
  name: string;
  schedule: Schedule;
  services: Services;
  weather: Weather;
  entropy: Entropy;
  /** What its clock is off by. */
  skewMs: number;
  /** Told of every effect and every answer, for a trace. */
  trace: (what: string) => void;
}>;

export type EnvironmentPorts = Services & Readonly<{ clock: Clock; entropy: Entropy }>;

/** A consumer that waits for the log looks again after this long at the latest. */
const LOG_WAIT_MS_MAX = 500;

export class Environment {
  readonly name: string;
  readonly ports: EnvironmentPorts;
  readonly #options: EnvironmentOptions;
  readonly #mourners = new Set<() => void>();
  #dead = false;
  #frozenUntilMs = 0;
  #clockMs = 0;
  #skewMs: number;
  /** Pieces of work begun and not ended. */
  #tasks = 0;
  /** Answers and alarms that are to come. */
  #awaited = 0;

  constructor(options: EnvironmentOptions) {
    this.name = options.name;
    this.#options = options;
    this.#skewMs = options.skewMs;
    this.ports = {
      objects: this.#objects(options.services.objects),
      log: this.#log(options.services.log),
      table: this.#table(options.services.table, 'table'),
      global: this.#table(options.services.global, 'global'),
      clock: { nowMs: () => this.#nowMs(), sleep: (ms, signal) => this.#sleep(ms, signal) },
      entropy: options.entropy,
    };
  }

  get isDead(): boolean {
    return this.#dead;
  }

  get isFrozen(): boolean {
    return this.#frozenUntilMs > this.#options.schedule.nowMs();
  }

  get isIdle(): boolean {
    return this.#tasks === 0;
  }

  /**
   * Where code of this environment waits for something that no port and no alarm will bring: a file, a
   * timer, a worker. Such a wait would be another one each time, and is a fault of the simulation.
   */
  get isStuck(): boolean {
    return !this.#dead && this.#tasks > 0 && this.#awaited === 0;
  }

  /** Runs work here. The promise is never settled where the environment dies before the work ends. */
  run<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#tasks += 1;
      this.#deliver(0, () => {
        const ended = (): void => {
          this.#tasks -= 1;
        };
        work().then(
          (value) => {
            ended();
            resolve(value);
          },
          (error: unknown) => {
            ended();
            reject(error);
          },
        );
      });
    });
  }

  /** To be told of its death, once; returns how to be told no more. */
  onDeath(mourn: () => void): () => void {
    this.#mourners.add(mourn);
    return () => {
      this.#mourners.delete(mourn);
    };
  }

  kill(): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#options.trace(`${this.name} dies`);
    for (const mourn of [...this.#mourners]) mourn();
    this.#mourners.clear();
  }

  freeze(ms: number): void {
    const untilMs = this.#options.schedule.nowMs() + ms;
    this.#frozenUntilMs = Math.max(this.#frozenUntilMs, untilMs);
    this.#options.trace(`${this.name} freezes for ${Math.round(ms)}`);
  }

  /** Wakes it now. */
  thaw(): void {
    this.#frozenUntilMs = 0;
  }

  /** Its clock is put right, or wrong. It still never goes back. */
  setSkew(skewMs: number): void {
    this.#skewMs = skewMs;
  }

  #nowMs(): number {
    const nowMs = Math.floor(this.#options.schedule.nowMs() + this.#skewMs);
    this.#clockMs = Math.max(this.#clockMs, nowMs);
    return this.#clockMs;
  }

  /** Lets something arrive here after `ms`, or when it is awake again; returns how to call it off. */
  #deliver(ms: number, act: () => void): () => void {
    const { schedule } = this.#options;
    this.#awaited += 1;
    let open = true;
    const close = (): void => {
      if (open) this.#awaited -= 1;
      open = false;
    };
    const arrive = (): void => {
      if (this.#dead || !open) return;
      const sleepingMs = this.#frozenUntilMs - schedule.nowMs();
      if (sleepingMs > 0) {
        // Looks once a second, since it may be woken before its time.
        schedule.after(Math.min(sleepingMs, 1_000), arrive);
        return;
      }
      close();
      act();
    };
    const event = schedule.after(ms, arrive);
    return () => {
      close();
      event.act = undefined;
    };
  }

  #sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const callOff = this.#deliver(Math.max(0, ms), () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      });
      const abort = (): void => {
        signal?.removeEventListener('abort', abort);
        callOff();
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', abort);
    });
  }

  #call<T>(kind: CallKind, key: string, act: () => Promise<T>): Promise<T> {
    const { schedule, weather, trace, name } = this.#options;
    return new Promise((resolve, reject) => {
      const fate = weather.fateOf(kind);
      const what = `${kind.port}.${kind.method} ${key}`;
      let result: Promise<T> | undefined;
      const take = (): void => {
        if (this.#dead && !fate.outlivesCaller) return;
        trace(`${name} does ${what}`);
        const acted = act();
        // Whoever asked may never hear of it.
        acted.catch(() => undefined);
        result ??= acted;
      };
      if (fate.effectMs !== undefined) schedule.after(fate.effectMs, take);
      // Once more only what was done: a service that refused a call has not taken it in.
      const takeAgain = (): void => {
        result?.then(take, () => undefined);
      };
      if (fate.againMs !== undefined) schedule.after(fate.againMs, takeAgain);
      this.#deliver(fate.replyMs, () => {
        const { error } = fate;
        trace(`${name} hears ${what}${error === undefined ? '' : ` ${fate.fault}`}`);
        if (error === 'OVERLOADED') reject(new StoreError(error, `${what} was refused`));
        else if (error !== undefined) reject(new StoreError(error, `${what} got no answer`));
        else if (result === undefined)
          reject(new StoreError('UNCERTAIN', `${what} came to nothing`));
        else result.then(resolve, reject);
      });
    });
  }

  #objects(store: ObjectStore): ObjectStore {
    const kind = (method: string, mutates: boolean, doubles = false): CallKind => ({
      port: 'objects',
      method,
      mutates,
      doubles,
    });
    return {
      put: (key, bytes) => {
        // The caller may do with its bytes what it likes once it has called.
        const own = new Uint8Array(bytes);
        return this.#call(kind('put', true, true), key, () => store.put(key, own));
      },
      get: (key, range) => this.#call(kind('get', false), key, () => store.get(key, range)),
      head: (key) => this.#call(kind('head', false), key, () => store.head(key)),
      list: (prefix, options) =>
        this.#call(kind('list', false), prefix, () => store.list(prefix, options)),
      delete: (keys) => this.#call(kind('delete', true), keys.join(' '), () => store.delete(keys)),
      copy: (from, to) => this.#call(kind('copy', true), to, () => store.copy(from, to)),
    };
  }

  #log(log: Log): Log {
    const kind = (method: string, mutates: boolean, doubles = false): CallKind => ({
      port: 'log',
      method,
      mutates,
      doubles,
    });
    return {
      append: (partition, data, options) => {
        const own = new Uint8Array(data);
        return this.#call(kind('append', true, true), partition, () =>
          log.append(partition, own, options),
        );
      },
      streamShards: () => this.#call(kind('streamShards', false), '', () => log.streamShards()),
      read: (streamShard, options) =>
        this.#call(kind('read', false), streamShard, () => log.read(streamShard, options)),
      // It may wake for nothing, so it simply does.
      wait: (_, __, timeoutMs) => this.#sleep(Math.min(timeoutMs, LOG_WAIT_MS_MAX)),
      checkpoint: (consumer, streamShard) =>
        this.#call(kind('checkpoint', false), streamShard, () =>
          log.checkpoint(consumer, streamShard),
        ),
      saveCheckpoint: (consumer, streamShard, sequence) =>
        this.#call(kind('saveCheckpoint', true), `${streamShard} ${sequence}`, () =>
          log.saveCheckpoint(consumer, streamShard, sequence),
        ),
      trim: (streamShard, through) =>
        this.#call(kind('trim', true), streamShard, () => log.trim(streamShard, through)),
    };
  }

  #table(table: Table, port: 'table' | 'global'): Table {
    const kind = (method: string, mutates: boolean): CallKind => ({
      port,
      method,
      mutates,
      doubles: false,
    });
    const name = ({ partition, sort }: Readonly<{ partition: string; sort: string }>): string =>
      `${partition} ${sort}`;
    return {
      get: (key) => this.#call(kind('get', false), name(key), () => table.get(key)),
      query: (partition, options) =>
        this.#call(kind('query', false), partition, () => table.query(partition, options)),
      put: (key, value, condition) => {
        const own = new Uint8Array(value);
        return this.#call(kind('put', true), name(key), () => table.put(key, own, condition));
      },
      delete: (key, condition) =>
        this.#call(kind('delete', true), name(key), () => table.delete(key, condition)),
    };
  }
}
