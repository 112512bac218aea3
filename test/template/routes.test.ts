/** serverless.yml against the code: every function and every route, each in both directions. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { KNOWN_PATHS, routeKey } from '#api/routes.ts';
import { Access } from '#catalog/access.ts';
import { openCore } from '#runtime/engine.ts';
import type { Routes } from '#service/route.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryLog } from '#sim/memory-log.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import { silentTelemetry } from '#sim/silent-telemetry.ts';

type FunctionConfig = Readonly<{
  handler: string;
  role: string;
  timeout: number;
  events: readonly Readonly<{ httpApi?: string }>[];
}>;
type ServiceConfig = Readonly<{
  functions: Readonly<Record<string, FunctionConfig>>;
}>;

// CloudFormation's tags are left as what they stand on: nothing here looks at them.
const service = parse(readFileSync('serverless.yml', 'utf8'), {
  merge: true,
  logLevel: 'error',
}) as ServiceConfig;

const doors = readdirSync('functions').map((file) => basename(file, '.ts'));

const routesIn = (name: string): readonly string[] =>
  (service.functions[name]?.events ?? []).flatMap(({ httpApi }) =>
    httpApi === undefined ? [] : [httpApi],
  );

/** The route tables that a function's file takes from `service/`, opened over memory. */
async function routesOf(name: string): Promise<readonly string[]> {
  const source = readFileSync(`functions/${name}.ts`, 'utf8');
  const clock = new ManualClock();
  const engine = openCore(
    {
      objects: new MemoryObjectStore(clock),
      log: new MemoryLog({ clock }),
      table: new MemoryTable(),
      global: new MemoryTable(),
      clock,
      entropy: new SeededEntropy('routes'),
      telemetry: silentTelemetry,
    },
    { scratchDir: '/nonexistent' },
  );
  const access = new Access(engine.ports);
  // Each table asks for a part of this; none is called.
  const parts = { ...engine, changePassword: access.changePassword.bind(access) };
  const keys: string[] = [];
  for (const [, table = '', file = ''] of source.matchAll(
    /import \{ (\w+Routes) \} from '(#service\/[\w-]+\.ts)'/g,
  )) {
    const module = (await import(file)) as Record<string, (given: typeof parts) => Routes>;
    keys.push(...Object.keys(module[table]?.(parts) ?? {}));
  }
  return keys;
}

test('every file of functions/ is a function, and every function a file', () => {
  expect(Object.keys(service.functions).sort()).toEqual([...doors].sort());
  for (const [name, { handler }] of Object.entries(service.functions)) {
    expect(handler).toBe(`functions/${name}.handler`);
  }
});

test.each(doors)('the routes of %s are those of its tables', async (name) => {
  const declared = routesIn(name).filter((route) => route !== '*');
  const built = await routesOf(name);
  expect([...declared].sort()).toEqual([...built].sort());
  const isDoor = built.length > 0;
  expect(isDoor).toBe(['write', 'read', 'admin'].includes(name));
});

test('no route is of two functions, and whatever is not one goes to admin', () => {
  const all = Object.keys(service.functions).flatMap(routesIn);
  expect(all.length).toBeGreaterThan(20);
  expect(all.filter((route, index) => all.indexOf(route) !== index)).toEqual([]);
  expect(Object.keys(service.functions).filter((name) => routesIn(name).includes('*'))).toEqual([
    'admin',
  ]);
});

test('a route of Milvus is one that Milvus knows', () => {
  const known = new Set([...KNOWN_PATHS].map(routeKey));
  const unknown = Object.keys(service.functions)
    .flatMap(routesIn)
    .filter((route) => route.includes('/v2/vectordb/') && !known.has(route));
  expect(unknown).toEqual([]);
});

test('a function behind the API ends before API Gateway gives up, and each has a role of its own', () => {
  for (const name of doors) {
    const { timeout = 0 } = service.functions[name] ?? {};
    if (routesIn(name).length > 0) expect(timeout, name).toBeLessThan(30);
  }
  const roles = Object.values(service.functions).map(({ role }) => role);
  expect(new Set(roles).size).toBe(doors.length);
});
