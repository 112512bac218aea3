import { execFileSync, spawnSync } from 'node:child_process';
import { describe, expect, it, test } from 'vitest';
import { costCommand, workloadOf } from '#cli/cost.ts';
import { ACTS } from '#cli/cost-counts.ts';
import { costOf, type Month, type Workload } from '#cli/cost-model.ts';
import { peersOf } from '#cli/cost-peers.ts';
import { PRICES } from '#cli/cost-prices.ts';
import { graphBytes, memoryFor, searchMs, WAITS } from '#cli/cost-time.ts';
import { readMemory } from '#runtime/memory.ts';

const IDLE: Workload = {
  rows: 0,
  dim: 768,
  writesPerMonth: 0,
  rowsPerWrite: 100,
  queriesPerMonth: 0,
  regions: 1,
  collections: 1,
  shards: 1,
  streamShards: 1,
  retentionHours: 24,
  memoryMb: undefined,
  architecture: 'x86_64',
  waits: WAITS,
  freshEnvironments: 0,
  requestIds: false,
  alarms: true,
  dashboard: false,
};

const lineOf = (month: Month, service: string, purpose: string) =>
  month.lines.find((line) => line.service === service && line.purpose === purpose);

describe('a month', () => {
  it('is the sum of its lines, each a quantity times a price of the table', () => {
    const month = costOf({ ...IDLE, rows: 1e6, writesPerMonth: 1e5, queriesPerMonth: 1e6 });
    expect(month.total).toBeCloseTo(month.lines.reduce((sum, { dollars }) => sum + dollars, 0));
    for (const { quantity, price, dollars } of month.lines) {
      expect(dollars).toBeCloseTo((quantity * PRICES[price].dollars) / PRICES[price].per);
      expect(quantity).toBeGreaterThan(0);
    }
    expect(month.afterAllowances).toBeLessThan(month.total);
  });

  it('charges the metered counts', () => {
    const queries = 1e6;
    const month = costOf({ ...IDLE, rows: 1e6, queriesPerMonth: queries });
    const reads = lineOf(month, 'DynamoDB', 'queries: reads')?.quantity;
    expect(reads).toBe(queries * (ACTS.search.readUnits + ACTS.search.globalReadUnits));
    const listings = lineOf(month, 'S3', 'looking for work: PUT and LIST')?.quantity;
    const looks = (730 / 24) * ACTS.collectLook.s3Writes;
    expect(listings).toBeCloseTo(730 * 4 * ACTS.collectRun.s3Writes + looks, 6);
  });

  it('costs an idle shard less than the stream, and each further shard the same again', () => {
    const [one = 0, two = 0, three = 0] = [1, 2, 3].map(
      (shards) => costOf({ ...IDLE, shards }).total,
    );
    // A step of 1 ms is the least that is billed, so that it is the same but for rounding.
    expect(three - two).toBeCloseTo(two - one, 1);
    expect(costOf({ ...IDLE, streamShards: 2 }).total - one).toBeCloseTo(10.95);
    expect(costOf({ ...IDLE, retentionHours: 168 }).total - one).toBeCloseTo(14.6);
    expect(costOf({ ...IDLE, streamShards: undefined }).total - one).toBeCloseTo(29.2 - 10.95);
  });

  it('has all that stands in every region, and sends payloads once to each other', () => {
    const written = { ...IDLE, writesPerMonth: 1000, requestIds: true };
    const [one, two] = [costOf(written), costOf({ ...written, regions: 2 })];
    expect(two.lines.filter(({ price }) => price === 'shardHour')).toHaveLength(2);
    const sent = lineOf(two, 'Data transfer', 'payloads to the other regions');
    expect(sent?.quantity).toBeCloseTo((1000 * 100 * 768 * 4) / 1e9);
    expect(lineOf(one, 'DynamoDB', 'RequestIds')?.quantity).toBe(1000);
    expect(lineOf(two, 'DynamoDB', 'RequestIds')?.quantity).toBe(2000);
  });

  it('splits a write over shards, and asks the catalog once', () => {
    const written = { ...IDLE, writesPerMonth: 1000 };
    const units = (shards: number) =>
      lineOf(costOf({ ...written, shards }), 'Kinesis', 'writes: payload units')?.quantity ?? 0;
    expect(units(1)).toBe(1000);
    expect(units(4)).toBeCloseTo(4000, 3);
    const single = costOf({ ...written, shards: 4, rowsPerWrite: 1 });
    expect(lineOf(single, 'Kinesis', 'writes: payload units')?.quantity).toBeCloseTo(1000);
  });

  it('refuses a write that no function takes, and says how much it does', () => {
    const write = { ...IDLE, writesPerMonth: 1, rowsPerWrite: 1000 };
    expect(() => costOf(write)).toThrow(/at most 409 rows/);
    expect(() => costOf({ ...write, rowsPerWrite: 409 })).not.toThrow();
  });
});

describe('memory and time', () => {
  it('gives a function what its graphs need, and several where one is too small', () => {
    for (const rows of [1, 100_000, 1_000_000, 10_000_000]) {
      const bytes = graphBytes(rows, 768);
      const { memoryMb, workers } = memoryFor(bytes);
      expect(readMemory(memoryMb).graphBytes * workers).toBeGreaterThanOrEqual(bytes);
    }
    expect(memoryFor(graphBytes(1_000_000, 768)).workers).toBe(1);
    expect(memoryFor(graphBytes(10_000_000, 768)).workers).toBeGreaterThan(1);
  });

  it('is the measured time where it was measured', () => {
    expect(searchMs(100_000, 768, 1, 'x86_64')).toBeCloseTo(1);
    expect(searchMs(1_000_000, 768, 4, 'x86_64')).toBeGreaterThan(2.8);
    expect(searchMs(1_000_000, 768, 4, 'arm64')).toBeGreaterThan(5);
  });
});

test('elsewhere: by the published formulas', () => {
  const million = {
    rows: 1e6,
    dim: 768,
    writesPerMonth: 1e4,
    rowsPerWrite: 100,
    queriesPerMonth: 1e6,
  };
  const [s3, puffer, pinecone, zilliz] = peersOf(million);
  // 3.08 GB: 2.87 GiB x 0.06 + 2.87 GiB x 0.2 + 2.5 + 280 TiB x 0.004 + 2,521 TiB x 0.002
  expect(s3?.dollars).toBeCloseTo(0.172 + 0.574 + 2.5 + 1.121 + 5.042, 1);
  // 3.08 GB x 0.33 + 3.08 GB x 2 + 3.08 PB x 1 = 10.26, below the minimum
  expect(puffer?.dollars).toBe(16);
  // 3.08 GB x 0.33 + 1 M rows of 4 units x 4 + 3.08 M units x 16
  expect(pinecone?.dollars).toBeCloseTo(1.016 + 16 + 49.28, 1);
  expect(zilliz?.dollars).toBeUndefined();
  expect(zilliz?.note).toContain('writes $3.01');
});

describe('the verb', () => {
  const refused = async (...options: string[]): Promise<string> => {
    let said = '';
    const command = costCommand()
      .exitOverride()
      .configureOutput({ writeErr: (text) => (said += text) });
    await expect(command.parseAsync(options, { from: 'user' })).rejects.toThrow();
    return said;
  };

  it.each([
    [['--rows', 'many'], 'expected a whole number from 0 to'],
    [['--shards', '17'], 'expected a whole number from 1 to 16'],
    [['--retention-hours', '1'], 'expected a whole number from 24 to 168'],
    [['--architecture', 'mips'], 'Allowed choices are x86_64, arm64'],
  ])('refuses %j with a sentence', async (options, sentence) => {
    expect(await refused(...options)).toContain(sentence);
  });

  it.each([
    [{ onDemand: true, streamShards: 2 }, /give one of them/],
    [{ onDemand: true, retentionHours: 48 }, /--stream-shards only/],
    [{ queriesPerMonth: 5 }, /needs --rows to search in/],
  ])('refuses %j, which contradict one another', (options, sentence) => {
    const { waits, memoryMb, streamShards, ...idle } = IDLE;
    const given = { ...idle, tableMs: waits.tableMs, ...options };
    expect(() => workloadOf(given)).toThrow(sentence);
  });

  it('ends with 1 and a sentence where it cannot say', () => {
    const options = ['cost', '--writes-per-month', '5', '--rows-per-write', '5000'];
    const { status, stderr, stdout } = spawnSync(
      process.execPath,
      ['shared/cli/sterna.js', ...options],
      { encoding: 'utf8' },
    );
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/at most 409 rows/);
  });

  it('says the same as JSON, with the source of each price', () => {
    const text = execFileSync(process.execPath, ['shared/cli/sterna.js', 'cost', '--json'], {
      encoding: 'utf8',
    });
    const said = JSON.parse(text);
    const month = costOf({ ...IDLE, freshEnvironments: 360 });
    expect(said.total).toBeCloseTo(month.total);
    expect(said.lines).toHaveLength(month.lines.length);
    for (const { source, seen } of said.lines) {
      expect(source).toMatch(/^https:/);
      expect(seen).toMatch(/^20\d\d-\d\d$|^recalled$/);
    }
  });
});
