/**
 * A Lambda function: its environments, its concurrency and its payload limits, as an invoker meets
 * them. The rules are those of the developer guide ("Understanding Lambda function scaling", "Lambda
 * quotas") and of the API reference, "Invoke".
 *
 * An invocation takes the environment that was used last, or a new one; it never waits for one. Beyond
 * the concurrency it is throttled.
 */
import { randomUUID } from 'node:crypto';
import { Environment, type Run } from './environment.ts';
import { type Fault, type FaultPlan, type Landed, momentOf } from './faults.ts';
import { PAYLOAD_BYTES_MAX } from './runtime-api.ts';
import type { CallWatch } from './watch.ts';

/** What an invoker learns. */
export type Outcome =
  | Readonly<{ kind: 'result'; payload: unknown }>
  | Readonly<{ kind: 'error'; errorType: string; errorMessage: string; trace?: readonly string[] }>
  /** The function's time was up, or its invoker lost it (the fault `abandon`). */
  | Readonly<{ kind: 'timeout'; afterMs: number }>
  | Readonly<{ kind: 'killed'; errorType: string; errorMessage: string }>
  /** Above 6 MB: the request, which no handler sees (413 RequestTooLargeException), or its reply. */
  | Readonly<{ kind: 'too-large'; sizeBytes: number; of: 'request' | 'reply' }>
  | Readonly<{ kind: 'throttled' }>;

export type FunctionOptions = Readonly<{
  name: string;
  /** The unpacked code. Read-only by agreement. */
  codeDir: string;
  /** `functions/write.handler` */
  handler: string;
  memoryMb: number;
  timeoutMs: number;
  /** The variables that the function's configuration sets. */
  variables?: Readonly<Record<string, string>>;
  /** An existing folder; each environment has its `/tmp` in it. */
  scratchRoot: string;
  /** Environments at a time: the reserved concurrency, or else the account's; default 20. */
  concurrencyMax?: number;
  region?: string;
  credentials?: Readonly<{ accessKeyId: string; secretAccessKey: string }>;
  /** Sees the calls to the emulators, for faults at an exact spot. */
  watch?: CallWatch;
  /** A fault for each invocation that names none of its own. */
  plan?: FaultPlan;
}>;

export type InvokeOptions = Readonly<{
  /** In an environment that nobody used before. */
  fresh?: boolean;
  fault?: Fault;
  requestId?: string;
}>;

/** Lambda's own figures for an account and a region are 1,000; a machine has two cores. */
const CONCURRENCY_MAX = 20;
/** Of what a function printed, the newest is kept. */
const LOG_CHARS_MAX = 4_000_000;
const ACCOUNT = '000000000000';

let functionsMade = 0;

export class LambdaFunction {
  readonly name: string;
  readonly arn: string;
  readonly options: FunctionOptions;
  /** Faults that met a handler which had begun and not answered. `fresh`: invocations in new environments, asked for. */
  readonly landed: Landed = { kill: 0, freeze: 0, abandon: 0, duplicate: 0, fresh: 0 };
  /** `mostAtOnce`: environments in use at one moment. */
  readonly counts = { invocations: 0, throttled: 0, environments: 0, mostAtOnce: 0 };
  readonly #serial: number;
  readonly #variables: Readonly<Record<string, string>>;
  /** In the order of their last use. */
  readonly #idle: Environment[] = [];
  readonly #busy = new Set<Environment>();
  readonly #strays = new Set<Promise<void>>();
  #log = '';
  #isClosed = false;
  #plan: FaultPlan | undefined;

  constructor(options: FunctionOptions) {
    functionsMade += 1;
    this.#serial = functionsMade;
    this.options = options;
    this.name = options.name;
    const { region = 'us-east-1' } = options;
    this.arn = `arn:aws:lambda:${region}:${ACCOUNT}:function:${options.name}`;
    this.#variables = { ...options.variables, ...reserved(options, region) };
    this.#plan = options.plan;
  }

  /** All that are alive, those in use first. */
  get environments(): readonly Environment[] {
    return [...this.#busy, ...this.#idle];
  }

  /** What the function printed: the newest 4 million characters. */
  get log(): string {
    return this.#log;
  }

  /** Another plan from now on; undefined for none. */
  setPlan(plan: FaultPlan | undefined): void {
    this.#plan = plan;
  }

  /** @param payload as JSON. Never throws for what a function does. */
  async invoke(payload: unknown, options: InvokeOptions = {}): Promise<Outcome> {
    if (this.#isClosed) throw new Error(`${this.name} is closed`);
    this.counts.invocations += 1;
    const bytes = Buffer.from(JSON.stringify(payload ?? null));
    if (bytes.length > PAYLOAD_BYTES_MAX) {
      return { kind: 'too-large', sizeBytes: bytes.length, of: 'request' };
    }
    const fault = options.fault ?? this.#plan?.(this.name, this.counts.invocations);
    const fresh = options.fresh === true || fault?.kind === 'fresh';
    const requestId = options.requestId ?? randomUUID();
    const run = this.#run(requestId, bytes, fresh);
    if (run === undefined) {
      this.counts.throttled += 1;
      return { kind: 'throttled' };
    }
    if (fresh) void run.begun.then((did) => this.#land('fresh', did));
    if (fault === undefined || fault.kind === 'fresh') return run.outcome;
    return this.#suffer(fault, run, bytes);
  }

  /** Nothing is under way any more, also what nobody waits for. */
  async settled(): Promise<void> {
    while (this.#strays.size > 0) await Promise.all(this.#strays);
  }

  /** Ends the environments that are idle, as Lambda does after some minutes without an invocation. */
  async retire(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((environment) => environment.end()));
  }

  /** Kills whatever runs. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.environments.map((environment) => environment.end()));
    await this.settled();
  }

  /** Undefined where all environments are in use. */
  #run(requestId: string, payload: Uint8Array, fresh: boolean): Run | undefined {
    const environment = this.#take(fresh);
    if (environment === undefined) return undefined;
    this.#busy.add(environment);
    this.counts.mostAtOnce = Math.max(this.counts.mostAtOnce, this.#busy.size);
    const root = randomUUID().replaceAll('-', '');
    const traceId = `Root=1-${root.slice(0, 8)}-${root.slice(8)};Sampled=0`;
    const run = environment.run({ requestId, payload, traceId, functionArn: this.arn });
    const done = run.done.then(() => {
      this.#busy.delete(environment);
      this.#idle.push(environment);
      this.#strays.delete(done);
    });
    this.#strays.add(done);
    // Who invokes one after the other meets one environment: it is frozen before its answer is told.
    return { ...run, outcome: done.then(() => run.outcome) };
  }

  #take(fresh: boolean): Environment | undefined {
    const reused = fresh ? undefined : this.#idle.pop();
    if (reused !== undefined) return reused;
    const { concurrencyMax = CONCURRENCY_MAX } = this.options;
    if (this.#busy.size >= concurrencyMax) return undefined;
    // What is idle counts for nothing on AWS; here it takes memory, so the oldest makes room.
    const isFull = this.#busy.size + this.#idle.length >= concurrencyMax;
    const retired = isFull ? this.#idle.shift()?.end() : undefined;
    if (retired !== undefined) {
      const done = retired.then(() => void this.#strays.delete(done));
      this.#strays.add(done);
    }
    this.counts.environments += 1;
    const { codeDir, memoryMb, timeoutMs, scratchRoot, watch } = this.options;
    const id = `${this.name}-${this.#serial}-${this.counts.environments}`;
    const endpoints = watch?.endpointsOf(id);
    return new Environment({
      id,
      codeDir,
      memoryMb,
      timeoutMs,
      scratchRoot,
      variables: {
        ...this.#variables,
        AWS_LAMBDA_LOG_STREAM_NAME: id,
        ...(endpoints === undefined ? {} : { STERNA_AWS_ENDPOINTS: endpoints }),
      },
      log: (text) => {
        this.#log = (this.#log + text).slice(-LOG_CHARS_MAX);
      },
    });
  }

  async #suffer(
    fault: Exclude<Fault, { kind: 'fresh' }>,
    run: Run,
    payload: Uint8Array,
  ): Promise<Outcome> {
    const { environment } = run;
    const { watch } = this.options;
    const at = (act: () => void | Promise<void>) => momentOf(run, fault.at, watch, act);
    switch (fault.kind) {
      case 'kill': {
        const [did, outcome] = await Promise.all([at(() => environment.kill()), run.outcome]);
        this.#land('kill', did && outcome.kind === 'killed');
        return outcome;
      }
      case 'freeze': {
        let isOver = false;
        void run.done.then(() => {
          isOver = true;
        });
        void at(() => {
          environment.freeze();
          setTimeout(() => {
            // An answer that was on its way already came in meanwhile: the fault was too late.
            this.#land('freeze', environment.underWay === run.requestId);
            // Where its time was up meanwhile, the process is gone, and another may be frozen here.
            if (!isOver) environment.thaw();
          }, fault.forMs);
        });
        return run.outcome;
      }
      case 'abandon': {
        const lost = Promise.withResolvers<Outcome>();
        const begunMs = performance.now();
        void at(() => {
          this.#land('abandon', true);
          lost.resolve({ kind: 'timeout', afterMs: performance.now() - begunMs });
        });
        return Promise.race([lost.promise, run.outcome]);
      }
      case 'duplicate': {
        void at(async () => {
          const second = this.#run(run.requestId, payload, false);
          const did = second !== undefined && (await second.begun);
          this.#land('duplicate', did && environment.underWay === run.requestId);
          second?.outcome.catch(() => undefined);
        });
        return run.outcome;
      }
    }
  }

  #land(kind: keyof Landed, did: boolean): void {
    if (did) this.landed[kind] += 1;
  }
}

/** What Lambda sets ("Defined runtime environment variables"); no configuration overrides it. */
function reserved(options: FunctionOptions, region: string): Record<string, string> {
  const { accessKeyId, secretAccessKey } = options.credentials ?? NO_CREDENTIALS;
  return {
    _HANDLER: options.handler,
    LAMBDA_TASK_ROOT: options.codeDir,
    AWS_REGION: region,
    AWS_DEFAULT_REGION: region,
    AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
    AWS_LAMBDA_FUNCTION_NAME: options.name,
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(options.memoryMb),
    AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${options.name}`,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN: 'session',
    PATH: '/usr/local/bin:/usr/bin:/bin',
    LANG: 'en_US.UTF-8',
    TZ: ':UTC',
  };
}

const NO_CREDENTIALS = { accessKeyId: 'none', secretAccessKey: 'none' } as const;
