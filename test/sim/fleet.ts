/**
 * The environments of a history: who works in which role, and what becomes of them.
 *
 * On AWS every function has environments of its own and a new one starts where none is free; on a
 * laptop one process does everything. Both shapes occur. A dead environment is replaced by one with
 * fresh memory, which knows nothing but what the services hold.
 */

import { DeadRows } from '#maintain/dead-rows.ts';
import type { Facts, Telemetry } from '#ports/telemetry.ts';
import { type EngineCore, openCore } from '#runtime/engine.ts';
import { adminRoutes } from '#service/admin.ts';
import { parkedRoutes } from '#service/parked.ts';
import { readRoutes } from '#service/read.ts';
import type { Routes } from '#service/route.ts';
import { writeRoutes } from '#service/write.ts';
import { Environment } from '#sim/environment.ts';
import type { Schedule } from '#sim/schedule.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import type { Weather } from '#sim/weather.ts';
import type { World } from './services.ts';

export const ROLES = ['front', 'apply', 'maintain'] as const;
export type Role = (typeof ROLES)[number];

/** An environment and what its process keeps in memory. */
export type Process = Readonly<{
  environment: Environment;
  role: Role;
  engine: EngineCore;
  routes: Routes;
  deadRows: DeadRows;
}>;

export type FleetOptions = Readonly<{
  seed: string;
  schedule: Schedule;
  world: World;
  weather: Weather;
  trace: (what: string) => void;
  /** Environments per role at most; one for all roles where it is 0. */
  perRole: number;
  /** Told of every event that an engine reports. */
  heard: (name: string, facts: Facts) => void;
}>;

/**
 * The bound on skew holds between any two clocks (ingest/deadline: 5 s), the log's among them, which
 * is right here: so each may be off by half of it.
 */
const SKEW_MS_MAX = 2_500;
/** Sections and columns kept: little, so that some are forgotten and read again. */
const CACHE_BYTES = 256 * 1024;

export class Fleet {
  readonly #options: FleetOptions;
  readonly #entropy: SeededEntropy;
  readonly #running: Process[] = [];
  #started = 0;
  #steady = false;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#entropy = new SeededEntropy(`${options.seed} fleet`);
  }

  get running(): readonly Process[] {
    return this.#running;
  }

  /** One that works in this role: mostly one that is awake. */
  pick(role: Role): Process {
    const { perRole } = this.#options;
    const own = this.#running.filter((process) => perRole === 0 || process.role === role);
    const awake = own.filter(({ environment }) => !environment.isFrozen);
    const chance = this.#entropy.random();
    if (own.length < Math.max(1, perRole) && (awake.length === 0 || chance < 0.3)) {
      return this.start(role);
    }
    const among = awake.length > 0 && chance < 0.95 ? awake : own;
    return among[Math.floor(this.#entropy.random() * among.length)] ?? this.start(role);
  }

  /** A new one, with nothing in memory. */
  start(role: Role): Process {
    const { schedule, world, weather, trace, heard, seed } = this.#options;
    this.#started += 1;
    const name = `${role}-${this.#started}`;
    const environment = new Environment({
      name,
      schedule,
      services: world.services,
      weather,
      entropy: new SeededEntropy(`${seed} ${name}`),
      skewMs: this.drawSkewMs(),
      trace,
    });
    const engine = openCore(
      { ...environment.ports, telemetry: listening(heard) },
      // Graphs are off in a simulation: nothing is ever written there.
      { scratchDir: '/nonexistent', cacheBytes: CACHE_BYTES },
    );
    const routes = {
      ...{ ...writeRoutes(engine), ...readRoutes(engine), ...adminRoutes(engine) },
      ...parkedRoutes(engine),
    };
    const process = { environment, role, engine, routes, deadRows: new DeadRows() };
    this.#running.push(process);
    return process;
  }

  kill({ environment }: Process): void {
    environment.kill();
    const at = this.#running.findIndex((process) => process.environment === environment);
    if (at >= 0) this.#running.splice(at, 1);
  }

  /** From here on clocks are right, nobody sleeps. */
  steady(): void {
    this.#steady = true;
    for (const { environment } of this.#running) {
      environment.thaw();
      environment.setSkew(0);
    }
  }

  drawSkewMs(): number {
    const draw = this.#entropy.random();
    return this.#steady ? 0 : (2 * draw - 1) * SKEW_MS_MAX;
  }

  /** The name of an environment that waits for what no port brings; see {@link Environment}. */
  stuck(): string | undefined {
    return this.#running.find(({ environment }) => environment.isStuck)?.environment.name;
  }
}

const listening = (heard: FleetOptions['heard']): Telemetry => ({
  event: (_, name, facts = {}) => heard(name, facts),
  count() {},
  gauge() {},
  observe() {},
});
