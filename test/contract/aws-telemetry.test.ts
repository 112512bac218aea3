/** Silent, because a test's report is no place for its lines; `unit/aws/telemetry.test.ts` reads them. */
import { openPowertoolsTelemetry } from '#aws/telemetry.ts';
import { telemetryContract } from './telemetry.ts';

telemetryContract('Powertools', () =>
  openPowertoolsTelemetry({ service: 'contract', namespace: 'Sterna/contract', level: 'silent' }),
);
