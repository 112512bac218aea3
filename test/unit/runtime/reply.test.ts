/** Replies on their way through a door of a certain size, and what is refused for their sake. */
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { StoreError } from '#base/errors.ts';
import type { JsonOut } from '#base/json.ts';
import { type HttpEvent, type HttpResult, http } from '#runtime/http.ts';
import { packReply, type ReplyBounds, takesGzip } from '#runtime/reply.ts';
import { type Routes, readRoute, writeRoute } from '#service/route.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { silentTelemetry } from '#sim/silent-telemetry.ts';

const BOUNDS: ReplyBounds = { bytesMax: 10_000, gzipFromBytes: 1000 };
const HEADERS = { 'content-type': 'application/json; charset=utf-8' };
const resultOf = (body: string): HttpResult => ({ statusCode: 200, headers: HEADERS, body });
/** What Lambda's runtime makes of a function's answer. */
const wireBytes = (result: HttpResult): number => Buffer.byteLength(JSON.stringify(result));

describe('a reply', () => {
  test('that is small goes as it is, whatever the client takes', async () => {
    const small = resultOf('{"code":0}');
    expect(await packReply(small, 'gzip', BOUNDS)).toEqual({ result: small });
  });

  test('that is large is compressed for whoever takes that', async () => {
    const body = JSON.stringify({ code: 0, data: 'ä'.repeat(4000) });
    const { result } = await packReply(resultOf(body), 'deflate, gzip;q=0.8', BOUNDS);
    expect(result).toMatchObject({
      isBase64Encoded: true,
      headers: { ...HEADERS, 'content-encoding': 'gzip', vary: 'Accept-Encoding' },
    });
    expect(gunzipSync(Buffer.from(result?.body ?? '', 'base64')).toString()).toBe(body);
  });

  test('that is large goes in clear to others, and says that it might not have', async () => {
    const body = 'x'.repeat(2000);
    const { result } = await packReply(resultOf(body), undefined, BOUNDS);
    expect(result).toEqual({ ...resultOf(body), headers: { ...HEADERS, vary: 'Accept-Encoding' } });
  });

  test('is measured in the bytes of the JSON around it, to the byte', async () => {
    // Quotes double, control characters take six bytes, others up to four in UTF-8.
    const text = '"\n\u0001ä€𝄞\\'.repeat(300);
    const around = { ...resultOf(''), headers: { ...HEADERS, vary: 'Accept-Encoding' } };
    const exact = wireBytes({ ...around, body: text });
    const bounds = { ...BOUNDS, bytesMax: exact };
    expect((await packReply(resultOf(text), undefined, bounds)).result?.body).toBe(text);
    const tight = { ...BOUNDS, bytesMax: exact - 1 };
    expect(await packReply(resultOf(text), undefined, tight)).toEqual({ sizeBytes: exact });
  });
});

test.each([
  ['gzip', true],
  ['GZIP', true],
  ['br, gzip', true],
  ['gzip;q=0.001', true],
  ['*', true],
  ['*;q=0', false],
  ['gzip;q=0, *', false],
  ['gzip;q=0', false],
  ['br', false],
  ['', false],
  [undefined, false],
])('Accept-Encoding %s takes gzip: %s', (header, takes) => {
  expect(takesGzip(header)).toBe(takes);
});

const QUERY = '/v2/vectordb/entities/query';
const INSERT = '/v2/vectordb/entities/insert';

async function call(data: JsonOut, rawPath: string, headers: HttpEvent['headers'] = {}) {
  const schema = z.object({});
  const routes: Routes = {
    [`POST ${QUERY}`]: readRoute(schema, async () => ({ data })),
    [`POST ${INSERT}`]: writeRoute(schema, async (_, { replyBytesMax }) => {
      if (replyBytesMax !== BOUNDS.bytesMax) throw new StoreError('INTERNAL', 'no bound was told');
      return { data };
    }),
  };
  const handler = http(routes, {
    authenticate: async () => 'a',
    clock: new ManualClock(),
    telemetry: silentTelemetry,
    reply: BOUNDS,
  });
  const requestContext = { requestId: 'r-1', http: { method: 'POST' } };
  const event = { rawPath, headers, requestContext, body: '{}', isBase64Encoded: false };
  const result = await handler(event, {});
  expect(wireBytes(result)).toBeLessThanOrEqual(BOUNDS.bytesMax);
  const text =
    result.isBase64Encoded === true
      ? gunzipSync(Buffer.from(result.body, 'base64')).toString()
      : result.body;
  return { ...result, body: JSON.parse(text) };
}

describe('what does not fit', () => {
  const rows = Array.from({ length: 1000 }, (_, index) => ({ id: index, text: 'abcdef' }));

  test('of a read is refused with what to do instead, and nothing was done', async () => {
    const { statusCode, body } = await call(rows, QUERY);
    expect(statusCode).toBe(200);
    expect(body).toMatchObject({ code: 1102, retry: 'never', effect: 'none' });
    for (const word of ['parameter too large', 'outputFields', 'limit', 'offset', 'gzip']) {
      expect(body.message).toContain(word);
    }
  });

  test('of a read goes through compressed', async () => {
    const { body } = await call(rows, QUERY, { 'accept-encoding': 'gzip' });
    expect(body).toEqual({ code: 0, data: rows });
  });

  test('of a write never reads as if nothing had happened', async () => {
    const { body } = await call(rows, INSERT);
    expect(body).toMatchObject({ code: 1102, retry: 'never', effect: 'unknown' });
    expect(body.message).toContain('the write took effect');
  });
});
