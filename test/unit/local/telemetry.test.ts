import { describe, expect, it } from 'vitest';
import { openTelemetry, type TelemetryOptions } from '#local/telemetry.ts';

function open(options: TelemetryOptions = {}) {
  const lines: string[] = [];
  const telemetry = openTelemetry({ ...options, lines: { write: (line) => lines.push(line) } });
  return {
    telemetry,
    events: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>),
    metrics: async () => (await telemetry.metricsText()).split('\n'),
  };
}

describe('events', () => {
  it('are JSON lines with the level, the time, the name and the facts', () => {
    const { telemetry, events } = open();
    telemetry.event('warn', 'tail-is-long', { rows: 7, shard: 'a', gone: undefined });
    const [event] = events();
    expect(event).toMatchObject({ level: 40, event: 'tail-is-long', rows: 7, shard: 'a' });
    expect(Date.parse(String(event?.['time']))).toBeGreaterThan(0);
    expect(event).not.toHaveProperty('gone');
  });

  it('below the level are not written', () => {
    const { telemetry, events } = open({ level: 'warn' });
    for (const level of ['debug', 'info', 'warn', 'error'] as const) telemetry.event(level, level);
    expect(events().map((event) => event['event'])).toEqual(['warn', 'error']);
  });

  it('do not let a fact stand in for the fields of the line', () => {
    const { telemetry, events } = open();
    telemetry.event('info', 'real', { event: 'forged', level: 99, time: 0 });
    expect(events()[0]).toMatchObject({ event: 'real', level: 30, event_: 'forged', level_: 99 });
  });
});

describe('metrics', () => {
  it('are counters, gauges and histograms in the text of Prometheus', async () => {
    const { telemetry, metrics } = open();
    telemetry.count('apply_rows_total', 3, { shard: 'a' });
    telemetry.count('apply_rows_total', 4, { shard: 'a' });
    telemetry.count('apply_rows_total', 1, { shard: 'b' });
    telemetry.gauge('tail_rows', 9);
    telemetry.gauge('tail_rows', 2);
    telemetry.observe('search_duration_ms', 3);
    telemetry.observe('search_duration_ms', 700);
    expect(await metrics()).toEqual(
      expect.arrayContaining([
        '# TYPE sterna_apply_rows_total counter',
        'sterna_apply_rows_total{shard="a"} 7',
        'sterna_apply_rows_total{shard="b"} 1',
        'sterna_tail_rows 2',
        'sterna_search_duration_ms_bucket{le="4"} 1',
        'sterna_search_duration_ms_count 2',
        'sterna_search_duration_ms_sum 703',
      ]),
    );
  });

  it('get a name that Prometheus takes', async () => {
    const { telemetry, metrics } = open();
    telemetry.count('odd name-1', 1, { 'odd label': 'x"y' });
    expect(await metrics()).toContain('sterna_odd_name_1{odd_label="x\\"y"} 1');
  });

  it('keep their kind, and ignore what would change it', async () => {
    const { telemetry, metrics } = open();
    telemetry.count('rows', 2);
    telemetry.gauge('rows', 50);
    telemetry.count('rows', -1);
    telemetry.count('rows', Number.NaN);
    expect(await metrics()).toContain('sterna_rows 2');
  });

  it('have a bounded number of series', async () => {
    const { telemetry, metrics } = open();
    for (let id = 0; id < 1_500; id++) telemetry.count('requests', 1, { id: String(id) });
    telemetry.count('requests', 1, { id: '7' });
    const lines = (await metrics()).filter((line) => line.startsWith('sterna_requests{'));
    expect(lines).toHaveLength(1_001);
    expect(lines).toContain('sterna_requests{id="7"} 2');
    expect(lines).toContain('sterna_requests{id="other"} 500');
  });

  it('of one server are not those of another', async () => {
    const one = open();
    const two = open();
    one.telemetry.count('rows', 1);
    two.telemetry.count('rows', 5);
    expect(await one.metrics()).toContain('sterna_rows 1');
    expect(await two.metrics()).toContain('sterna_rows 5');
  });
});
