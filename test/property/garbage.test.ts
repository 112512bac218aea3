/**
 * Bad input changes nothing (I11): for every route, mutants of a valid body are refused with API.md's
 * code and a sentence that names the field, and leave no trace; those that are valid still succeed.
 *
 * `npm run garbage -- --each 1000` looks longer, from another seed each time.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BASE_PATH, KNOWN_PATHS } from '#api/routes.ts';
import type { EngineParts } from '#service/engine.ts';
import { inspectRoutes } from '#service/inspect.ts';
import { parkedRoutes } from '#service/parked.ts';
import { scrubRoutes } from '#service/scrub.ts';
import { hunt } from '../support/garbage/hunt.ts';
import { SUBJECTS } from '../support/garbage/routes.ts';
import { World } from '../support/garbage/world.ts';

/** The same in every run: what `check` says today it says tomorrow. */
const SEED = 3;
const EACH = 50;

let world: World;
beforeAll(async () => {
  world = await World.open();
});
afterAll(() => world.close());

test.each(SUBJECTS)('$name', async (subject) => {
  const { mutants, refused, succeeded } = await hunt(world, subject, { seed: SEED, each: EACH });
  expect(mutants).toBe(EACH);
  expect(refused).toBeGreaterThan(0);
  expect(succeeded).toBeGreaterThan(0);
});

test('every route that is built has a body here', async () => {
  const built: string[] = [];
  for (const path of KNOWN_PATHS) {
    const verb = path.slice(`${BASE_PATH}/`.length);
    const { envelope } = await world.call(verb, '{}');
    if (envelope['code'] !== 3000) built.push(verb);
  }
  // Of our own verbs the route tables know; an engine is not asked for their names.
  const engine = {} as EngineParts;
  const own = [inspectRoutes(engine), parkedRoutes(engine), scrubRoutes(engine)];
  built.push(...own.flatMap((routes) => Object.keys(routes).map((key) => key.slice(5))));
  expect(built.sort()).toEqual([...new Set(SUBJECTS.map(({ verb }) => verb))].sort());
});
