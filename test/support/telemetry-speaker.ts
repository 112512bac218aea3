/** A process that opens the telemetry of a function and says what the tests expect on its output. */
import { openPowertoolsTelemetry } from '#aws/telemetry.ts';

const telemetry = openPowertoolsTelemetry({
  service: 'apply',
  namespace: 'Sterna/test',
  level: 'info',
});

telemetry.event('debug', 'too-quiet');
telemetry.event('info', 'apply-batch', { rows: 3, ok: true, where: 'x', no: undefined });
telemetry.event('warn', 'own-fields', { message: 'm', level: 'l', service: 's', timestamp: 't' });
telemetry.event('error', 'long-fact', { text: 'x'.repeat(100_000) });

telemetry.count('apply_rows_total', 2);
telemetry.count('apply_rows_total');
telemetry.gauge('tail_bytes', 10);
telemetry.gauge('tail_bytes', 7);
telemetry.observe('apply_duration_ms', 1.5);
telemetry.observe('apply_duration_ms', 2.5);
telemetry.count('http_requests_total', 1, { path: '/a', code: '0' });
telemetry.count('http_requests_total', 1, { code: '0', path: '/a' });
telemetry.count('http_requests_total', 1, { path: '/b', code: '0' });
telemetry.flush();
telemetry.flush();

// Nothing of this may stop the work, and each line must stay one that CloudWatch reads.
telemetry.gauge('apply_rows_total', 99);
for (const name of ['', '_aws', '__proto__', 'constructor', 'service', 'bad name-é', 'path']) {
  telemetry.count(name, 1);
  telemetry.count(name, 1, { path: '', service: 'é', constructor: 'x', '': 'y' });
}
telemetry.count('negative_total', -1);
telemetry.observe('not_a_number_ms', Number.NaN);
telemetry.flush();

// More than a line holds is written early; no value is lost.
for (let value = 0; value < 250; value++) telemetry.observe('many_ms', value, { role: 'a' });
for (let name = 0; name < 150; name++) telemetry.count(`name_${name}_total`, 1, { role: 'b' });
for (let path = 0; path < 1_100; path++) telemetry.count('labels_total', 1, { path: `${path}` });
telemetry.flush();

// What a function publishes is what its operator pays for.
const frugal = openPowertoolsTelemetry({
  service: 'collect',
  namespace: 'Sterna/test',
  dimensions: ['outcome'],
  withheld: ['free_total'],
});
frugal.count('summed_total', 1, { kind: 'a' });
frugal.count('summed_total', 2, { kind: 'b', outcome: 'failed' });
frugal.count('summed_total', 4, { kind: 'c', outcome: 'failed' });
frugal.count('free_total', 1, { outcome: 'failed' });
frugal.flush();
