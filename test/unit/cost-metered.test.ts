/**
 * What each act costs, metered: the engine behind its doors over counting ports, and every count
 * compared exactly with the constants that `sterna cost` and docs/cost.md go by. Where one of these
 * fails the engine asks AWS for more, or less, than it did: change the constant knowingly, and
 * docs/cost.md with it, for it is what users pay.
 */
import { execFileSync } from 'node:child_process';
import { afterEach, describe, expect, it, test } from 'vitest';
import {
  ACTS,
  addRequests,
  applyMoreOf,
  applyOf,
  INVOCATION_LOG_BYTES,
  insertOf,
  isInline,
  LARGE_MANIFEST,
  METERED_SHAPE,
  METRICS_LOG_BYTES,
  type Requests,
  SEARCH_REPLY_BYTES,
  TEXT_BYTES_PER_COMPONENT,
} from '#cli/cost-counts.ts';
import {
  type Deployment,
  type Environment,
  openDeployment,
  type Scheduled,
} from '../support/metered-engine.ts';

const { dim: DIM, rows: ROWS } = METERED_SHAPE;

let deployment: Deployment | undefined;
afterEach(async () => {
  await deployment?.close();
  deployment = undefined;
});

/** Vectors that are the same in every run. */
function vectors(): (dim: number) => number[] {
  let state = 1;
  const next = () => {
    state = (state * 1_103_515_245 + 12_345) & 0x7fff_ffff;
    return Math.fround(state / 0x7fff_ffff - 0.5);
  };
  return (dim) => Array.from({ length: dim }, next);
}

/** One collection, and an environment of each function. */
type Shop = Readonly<{
  clock: Deployment['clock'];
  environment: Deployment['environment'];
  writer: Environment;
  reader: Environment;
  applier: Environment;
  /** Of all schedules, since none looks for what another has in memory. */
  keeper: Environment;
  act(of: Environment, verb: string, body: object): Promise<Requests>;
  /** Inserts rows with the keys from `first` on. */
  insert(rows: number, first: number, headers?: Record<string, string>): Promise<Requests>;
  apply(): Promise<Requests>;
  run(name: Scheduled): Promise<Requests>;
}>;

async function openShop(dim: number = DIM): Promise<Shop> {
  deployment = await openDeployment();
  const { clock, environment } = deployment;
  const [writer, reader, applier, keeper] = [
    environment(),
    environment(),
    environment(),
    environment(),
  ];
  const vector = vectors();
  const act = (of: Environment, verb: string, body: object) =>
    of.metered(() => of.ask(verb, { collectionName: 'c', ...body }));
  await act(writer, 'collections/create', { dimension: dim });
  return {
    clock,
    environment,
    writer,
    reader,
    applier,
    keeper,
    act,
    async insert(rows, first, headers = {}) {
      const data = Array.from({ length: rows }, (_, row) => ({
        id: first + row,
        vector: vector(dim),
      }));
      // A sample of the tail is believed for 250 ms: each write here takes its own.
      await clock.advance(500);
      const body = { collectionName: 'c', data };
      return writer.metered(() => writer.ask('entities/insert', body, headers));
    },
    apply: () => applier.metered(() => applier.apply()),
    run: (name) => keeper.metered(() => keeper.run(name)),
  };
}

describe('writes', () => {
  it.each([
    [1, 4],
    [1, 128],
    [1, 384],
    [1, 768],
    [2, 768],
    [1, 1536],
    [3, 768],
    [100, 768],
    [100, 1536],
  ])('an insert of %i rows of %i dimensions', async (rows, dim) => {
    const shop = await openShop(dim);
    await shop.insert(rows, 1);
    expect(await shop.insert(rows, 1_000)).toEqual(insertOf(rows, dim));
  });

  it('an insert into an empty tail', async () => {
    const shop = await openShop();
    await shop.insert(1, 1);
    await shop.apply();
    expect(await shop.insert(1, 2)).toEqual(ACTS.insertRowAlone);
  });

  it.each([
    [1, ACTS.insertRowWithId],
    [ROWS, ACTS.insertRowsWithId],
  ])('an insert of %i rows under a RequestId', async (rows, counts) => {
    const shop = await openShop();
    await shop.insert(rows, 1);
    expect(await shop.insert(rows, 1_000, { requestid: 'once' })).toEqual(counts);
  });

  it('deletes by key, and by filter once the columns are here', async () => {
    const shop = await openShop();
    await shop.insert(ROWS, 1);
    await shop.apply();
    const byKey = { filter: 'id in [7]' };
    const byFilter = { filter: 'id > 10 and id < 15' };
    await shop.act(shop.writer, 'entities/delete', byFilter);
    await shop.apply();
    await shop.clock.advance(500);
    expect(await shop.act(shop.writer, 'entities/delete', byKey)).toEqual(ACTS.deleteByKey);
    await shop.apply();
    await shop.clock.advance(500);
    await shop.act(shop.writer, 'entities/query', { filter: 'id > 20', limit: 1 });
    const others = { filter: 'id > 20 and id < 25' };
    expect(await shop.act(shop.writer, 'entities/delete', others)).toEqual(ACTS.deleteByFilter);
  });

  it('text of vectors as clients write it', async () => {
    const text = JSON.stringify(vectors()(DIM));
    expect(Math.round(text.length / DIM)).toBe(TEXT_BYTES_PER_COMPONENT);
  });
});

describe('apply', () => {
  it.each([
    [1, 768],
    [2, 768],
    [1, 384],
    [100, 768],
  ])('a batch of one insert of %i rows of %i dimensions', async (rows, dim) => {
    const shop = await openShop(dim);
    await shop.insert(rows, 1);
    expect(await shop.apply()).toEqual(applyOf(rows, dim));
  });

  it.each([
    [1, 768],
    [100, 768],
  ])('what each further record of %i rows adds', async (rows, dim) => {
    const shop = await openShop(dim);
    for (let record = 0; record < 11; record++) await shop.insert(rows, 1 + record * rows);
    const expected = addRequests(applyOf(rows, dim), applyMoreOf(rows, dim), 10);
    const { objectSteps, readUnits, ...counts } = await shop.apply();
    expect(counts).toEqual({ ...counts, ...omit(expected, 'objectSteps', 'readUnits') });
    expect(readUnits).toBe(
      isInline(rows, dim) ? 4 + Math.ceil(11 * applyMoreOf(rows, dim).readUnits) : 5,
    );
    // Payloads are fetched a few at a time.
    expect(objectSteps).toBe(isInline(rows, dim) ? 1 : 3);
  });

  it('a batch of a shard with more archives in its window than the head row takes', async () => {
    const shop = await openShop();
    for (let batch = 0; batch < 60; batch++) {
      await shop.insert(1, 1);
      await shop.apply();
    }
    await shop.insert(1, 1);
    const busy = await shop.apply();
    expect(busy).toEqual(ACTS.applyRowBusy);
    expect(busy).toEqual(addRequests(applyOf(1, DIM), LARGE_MANIFEST));
  });
});

describe('reads', () => {
  const nearest = { data: [vectors()(DIM)], limit: 10 };

  async function filled(): Promise<Shop> {
    const shop = await openShop();
    for (const first of [1, 1_000]) {
      await shop.insert(ROWS, first);
      await shop.apply();
    }
    for (const key of [5_000, 5_001, 5_002]) await shop.insert(1, key);
    return shop;
  }

  it('warm, over two segments and three rows of the tail', async () => {
    const shop = await filled();
    const { reader } = shop;
    await shop.act(reader, 'entities/search', nearest);
    const tail = readUnitsOfTail(3);
    const read = (counts: Requests) => ({ ...counts, readUnits: counts.readUnits - 1 + tail });
    expect(await shop.act(reader, 'entities/search', nearest)).toEqual(read(ACTS.search));
    const filter = { filter: 'id > 10', limit: 10, outputFields: ['id'] };
    await shop.act(reader, 'entities/query', filter);
    expect(await shop.act(reader, 'entities/query', filter)).toEqual(read(ACTS.query));
    const get = { id: [5], outputFields: ['id'] };
    expect(await shop.act(reader, 'entities/get', get)).toEqual(read(ACTS.get));
    // With an empty tail its query costs one unit, as it does with a row of less than 4 KB.
    await shop.apply();
    await shop.act(reader, 'entities/search', nearest);
    expect(await shop.act(reader, 'entities/search', nearest)).toEqual(ACTS.search);
    await shop.insert(1, 6_000);
    expect(await shop.act(reader, 'entities/search', nearest)).toEqual(ACTS.search);
  });

  it('behind an apply, of a shard with a large manifest', async () => {
    const shop = await openShop();
    for (let batch = 0; batch < 60; batch++) {
      await shop.insert(1, 1);
      await shop.apply();
    }
    await shop.act(shop.reader, 'entities/search', nearest);
    await shop.insert(1, 2);
    await shop.apply();
    expect(await shop.act(shop.reader, 'entities/search', nearest)).toEqual(ACTS.searchAfterApply);
    // A minute later the password is verified anew.
    await shop.clock.advance(61_000);
    expect(await shop.act(shop.reader, 'entities/search', nearest)).toEqual(
      addRequests(ACTS.search, ACTS.verifyPassword),
    );
  });

  it('cold, in a fresh environment', async () => {
    const shop = await filled();
    await shop.apply();
    const fresh = shop.environment();
    const cold = await shop.act(fresh, 'entities/search', nearest);
    expect(cold).toEqual(ACTS.searchCold);
  });

  it('the reply to a search, whose distances are as long as they happen to be', async () => {
    const shop = await filled();
    let reply = '';
    await shop.reader.metered(async () => {
      reply = await shop.reader.ask('entities/search', { collectionName: 'c', ...nearest });
    });
    expect(reply.length).toBe(SEARCH_REPLY_BYTES);
  });
});

describe('in the background', () => {
  it.each([
    ['compact', ACTS.compactRun, ACTS.compactShard],
    ['collect', ACTS.collectRun, ACTS.collectShard],
    ['scrub', ACTS.scrubRun, ACTS.scrubShard],
  ] as const)('an idle run of %s, and what each shard adds', async (name, run, shard) => {
    deployment = await openDeployment();
    const { environment, clock } = deployment;
    const [admin, keeper] = [environment(), environment()];
    const idle = () => keeper.metered(() => keeper.run(name));
    const create = (collectionName: string, shardsNum: number) =>
      admin.metered(() =>
        admin.ask('collections/create', { collectionName, dimension: DIM, params: { shardsNum } }),
      );
    // What a first run does once: it looks around, and remembers that it did.
    const settled = async () => {
      for (let times = 0; times < 3; times++) {
        await idle();
        await clock.advance(60 * 60_000);
      }
      return idle();
    };
    expect(await settled()).toEqual(run);
    await create('one', 1);
    expect(await settled()).toEqual(addRequests(run, shard));
    await create('three', 3);
    expect(await settled()).toEqual(addRequests(run, shard, 4));
  });

  it('an idle shard with segments asks for no more than an empty one, and measures nothing', async () => {
    const shop = await openShop();
    await shop.insert(ROWS, 1);
    await shop.apply();
    await shop.clock.advance(20_000);
    for (let hour = 0; hour < 4; hour++) {
      for (const name of ['compact', 'collect', 'scrub'] as const) await shop.run(name);
      await shop.clock.advance(60 * 60_000);
    }
    const measured = () => MEASURED.map((name) => shop.keeper.telemetry.counted(name));
    const before = measured();
    expect(await shop.run('compact')).toEqual(addRequests(ACTS.compactRun, ACTS.compactShard));
    expect(await shop.run('collect')).toEqual(addRequests(ACTS.collectRun, ACTS.collectShard));
    expect(await shop.run('scrub')).toEqual(addRequests(ACTS.scrubRun, ACTS.scrubShard));
    // Idle, it says and measures nothing, and so has no metrics that CloudWatch would bill.
    expect(shop.keeper.telemetry.counted('compact_rows_total')).toBe(ROWS);
    expect(measured()).toEqual(before);
    expect(await silentlyKept(shop)).toEqual([]);
  });

  it('a shard that changed is looked around by collect', async () => {
    const shop = await openShop();
    await shop.insert(1, 1);
    await shop.apply();
    await shop.run('collect');
    await shop.clock.advance(60 * 60_000);
    await shop.insert(1, 2);
    await shop.apply();
    const idle = addRequests(ACTS.collectRun, ACTS.collectShard);
    expect(await shop.run('collect')).toEqual(addRequests(idle, ACTS.collectLook));
  });

  it('a merge of eight small segments', async () => {
    const shop = await openShop();
    for (let batch = 0; batch < 8; batch++) {
      await shop.insert(ROWS, 1 + batch * ROWS);
      await shop.apply();
    }
    const idle = addRequests(ACTS.compactRun, ACTS.compactShard);
    await shop.clock.advance(20_000);
    expect(await shop.run('compact')).toEqual(addRequests(idle, ACTS.merge));
  });
});

/** What the three measure where they do something. */
const MEASURED = ['compact_rows_total', 'scrub_objects_total', 'scrub_passes_total'] as const;

/** What runs over an idle deployment say at the level of a deployment. */
async function silentlyKept(shop: Shop): Promise<readonly string[]> {
  const before = shop.keeper.telemetry.events.length;
  for (const name of ['compact', 'collect', 'scrub'] as const) await shop.run(name);
  return shop.keeper.telemetry.events
    .slice(before)
    .filter(({ level }) => level !== 'debug')
    .map(({ name }) => name);
}

/** Of a query over so many rows of a vector each. */
const readUnitsOfTail = (rows: number): number => Math.ceil(rows * applyMoreOf(1, DIM).readUnits);

function omit<T extends object, K extends keyof T>(value: T, ...names: readonly K[]): Omit<T, K> {
  const rest: Partial<T> = { ...value };
  for (const name of names) delete rest[name];
  // What was not deleted is there.
  return rest as Omit<T, K>;
}

test('what an ordinary request writes to the log', () => {
  const speaker = new URL('../support/metrics-speaker.ts', import.meta.url).pathname;
  const lines = execFileSync(process.execPath, [speaker], { encoding: 'utf8' }).trim().split('\n');
  expect(lines).toHaveLength(1);
  expect(lines.join('').length).toBe(METRICS_LOG_BYTES);
});

test('what Lambda writes around it', () => {
  const id = '8f507cfc-xmpl-4697-b07a-ac58fc914c95';
  const lines = [
    `START RequestId: ${id} Version: $LATEST`,
    `END RequestId: ${id}`,
    `REPORT RequestId: ${id}\tDuration: 24.15 ms\tBilled Duration: 25 ms\tMemory Size: 4096 MB\tMax Memory Used: 3584 MB\t`,
  ];
  expect(lines.join('').length).toBe(INVOCATION_LOG_BYTES);
});
