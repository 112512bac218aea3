/** A process that answers one search as a function does and writes what goes to its log. */
import { openPowertoolsTelemetry } from '#aws/telemetry.ts';
import { PUBLISHED } from '#runtime/aws-base.ts';
import { http } from '#runtime/http.ts';
import { ManualClock } from '#sim/manual-clock.ts';

const telemetry = openPowertoolsTelemetry({
  service: 'read',
  namespace: 'Sterna/prod',
  level: 'info',
  ...PUBLISHED,
});
const clock = new ManualClock();
const path = '/v2/vectordb/entities/search';
const handler = http(
  {
    [`POST ${path}`]: {
      // Nothing is parsed here.
      schema: undefined as never,
      writes: false,
      answer: async () => {
        await clock.advance(12);
        return { data: [], cost: 0, topks: [0] };
      },
    },
  },
  { clock, telemetry, authenticate: async () => 'root' },
);
await handler(
  {
    rawPath: path,
    headers: {},
    requestContext: { requestId: 'one', http: { method: 'POST' } },
    body: '{}',
    isBase64Encoded: false,
  },
  {},
);
telemetry.flush();
