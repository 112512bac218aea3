import { describe, expect, it } from 'vitest';
import type { Telemetry } from '#ports/telemetry.ts';

/** What `ports/telemetry.ts` promises: whatever it is told, the work goes on. */
export function telemetryContract(name: string, open: () => Telemetry): void {
  describe(`telemetry: ${name}`, () => {
    it('takes events of every level, with facts or without', () => {
      const telemetry = open();
      for (const level of ['debug', 'info', 'warn', 'error'] as const) {
        telemetry.event(level, 'something-happened');
        telemetry.event(level, 'something-happened', {
          rows: 3,
          ok: true,
          where: 'x',
          no: undefined,
        });
      }
    });

    it('never throws, whatever the value, the name or the labels', () => {
      const telemetry = open();
      for (const value of [0, 1, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        for (const metric of ['rows_total', 'bad name-é', '9lives', '']) {
          expect(() => {
            telemetry.count(metric, value);
            telemetry.gauge(`${metric}_now`, value, { role: 'a' });
            telemetry.observe(`${metric}_ms`, value, { role: 'a' });
          }).not.toThrow();
        }
      }
      expect(() => {
        telemetry.count('one_metric');
        telemetry.count('one_metric', 1, { some: 'label' });
        telemetry.gauge('one_metric', 1);
        telemetry.observe('one_metric', 1, { 'bad label': 'x', other: 'y' });
      }).not.toThrow();
    });
  });
}
