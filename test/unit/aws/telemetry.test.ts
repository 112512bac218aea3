import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';

/**
 * What a function writes, read from the output of a real process. Powertools puts `console.warn` and
 * above on standard error; Lambda collects both.
 */
type Directive = Readonly<{
  Namespace: string;
  Dimensions: readonly (readonly string[])[];
  Metrics: readonly Readonly<{ Name: string; Unit: string }>[];
}>;
type MetricLine = Readonly<{
  _aws: Readonly<{ CloudWatchMetrics: readonly [Directive] }>;
}> &
  Readonly<Record<string, unknown>>;

let output: string;
let events: readonly Readonly<Record<string, unknown>>[];
let lines: readonly MetricLine[];

beforeAll(async () => {
  const speaker = fileURLToPath(new URL('../../support/telemetry-speaker.ts', import.meta.url));
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [speaker], {
    maxBuffer: 16 * 1024 * 1024,
  });
  output = `${stdout}${stderr}`;
  const parsed = output
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  events = parsed.filter((line) => !('_aws' in line));
  lines = parsed.filter((line) => '_aws' in line);
});

const named = (name: string): readonly MetricLine[] => lines.filter((line) => name in line);
const directive = (line: MetricLine | undefined) => line?._aws.CloudWatchMetrics[0];
const numbers = (name: string): number[] =>
  named(name).flatMap((line) => line[name] as number | number[]);

describe('events', () => {
  it('are lines with their facts, from the level on', () => {
    expect(events.map((event) => event['message'])).toEqual([
      'apply-batch',
      'own-fields',
      'long-fact',
    ]);
    expect(events[0]).toMatchObject({
      level: 'INFO',
      service: 'apply',
      rows: 3,
      ok: true,
      where: 'x',
    });
    expect(events[0]).not.toHaveProperty('no');
  });

  it('keep the fields of the line from being overwritten, and cut what is long', () => {
    expect(events[1]).toMatchObject({
      level: 'WARN',
      service: 'apply',
      message_: 'm',
      level_: 'l',
      service_: 's',
      timestamp_: 't',
    });
    expect(events[2]?.['text']).toBe('x'.repeat(4_000));
  });
});

describe('metrics', () => {
  it('share a line where they share their labels', () => {
    const [line, ...others] = named('tail_bytes');
    expect(others).toEqual([]);
    expect(line).toMatchObject({
      service: 'apply',
      apply_rows_total: 3,
      tail_bytes: 7,
      apply_duration_ms: [1.5, 2.5],
    });
    expect(directive(line)).toEqual({
      Namespace: 'Sterna/test',
      Dimensions: [['service']],
      Metrics: [
        { Name: 'apply_rows_total', Unit: 'Count' },
        { Name: 'tail_bytes', Unit: 'Bytes' },
        { Name: 'apply_duration_ms', Unit: 'Milliseconds' },
      ],
    });
  });

  it('have a line for each combination of labels, in whatever order they are given', () => {
    const [first, second, ...others] = named('http_requests_total');
    expect(others).toEqual([]);
    expect(first).toMatchObject({ path: '/a', code: '0', http_requests_total: 2 });
    expect(second).toMatchObject({ path: '/b', code: '0', http_requests_total: 1 });
    expect(directive(first)?.Dimensions).toEqual([['service', 'code', 'path']]);
  });

  it('never make a line that CloudWatch refuses', () => {
    for (const line of lines) {
      const { Dimensions, Metrics } = line._aws.CloudWatchMetrics[0];
      expect(Metrics.length).toBeGreaterThan(0);
      expect(Metrics.length).toBeLessThanOrEqual(100);
      for (const { Name } of Metrics) {
        const values = [line[Name]].flat();
        expect(values.length).toBeLessThanOrEqual(100);
        expect(values.every((value) => Number.isFinite(value))).toBe(true);
      }
      for (const dimension of Dimensions.flat()) expect(line[dimension]).toMatch(/^[\x21-\x7e]+$/);
    }
    expect(output).not.toContain('negative_total');
    expect(output).not.toContain('not_a_number_ms');
    expect(numbers('apply_rows_total')).toEqual([3]);
  });

  it('lose nothing where there are more than a line holds', () => {
    expect(numbers('many_ms')).toEqual(Array.from({ length: 250 }, (_, value) => value));
    for (const line of named('many_ms')) expect(line).toMatchObject({ role: 'a' });
    for (let name = 0; name < 150; name++) {
      expect(named(`name_${name}_total`)).toMatchObject([{ role: 'b', [`name_${name}_total`]: 1 }]);
    }
  });

  it('stop telling labels apart where they would grow without end', () => {
    const sum = numbers('labels_total').reduce((total, value) => total + value, 0);
    expect(sum).toBe(1_100);
    const paths = new Set(named('labels_total').map((line) => line['path']));
    expect(paths.size).toBeLessThanOrEqual(1_001);
    expect(paths).toContain('other');
  });
});

describe('what is published', () => {
  it('has the dimensions that were asked for, and sums over the others', () => {
    const [first, second, ...others] = named('summed_total');
    expect(others).toEqual([]);
    expect(first).toMatchObject({ summed_total: 1, service: 'collect' });
    expect(directive(first)?.Dimensions).toEqual([['service']]);
    expect(second).toMatchObject({ summed_total: 6, outcome: 'failed' });
    expect(directive(second)?.Dimensions).toEqual([['service', 'outcome']]);
  });

  it('is not what is withheld', () => {
    expect(named('free_total')).toEqual([]);
  });
});
