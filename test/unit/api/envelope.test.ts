/** The envelope: Milvus's numbers and words, and beside them what our own table knows. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { errorReply, successReply, WIRES } from '#api/envelope.ts';
import { KNOWN_PATHS } from '#api/routes.ts';
import { ERRORS, type ErrorCode, StoreError } from '#base/errors.ts';

// Keys of a constant.
const codes = Object.keys(ERRORS) as ErrorCode[];

const bodyOf = (error: unknown, facts = {}) => JSON.parse(errorReply(error, facts).body);

describe('errors', () => {
  test.each(codes)('%s tells retry and effect as the error table does', (code) => {
    const { statusCode, body } = errorReply(new StoreError(code, 'because'));
    const parsed = JSON.parse(body);
    expect(statusCode).toBe(WIRES[code].status);
    expect(parsed).toMatchObject({ code: WIRES[code].code, ...ERRORS[code] });
    expect(parsed.message).toContain('because');
    expect(parsed.code).not.toBe(0);
  });

  test('only credentials, privileges, deadlines and bugs leave HTTP 200', () => {
    const others = codes.filter((code) => WIRES[code].status !== 200);
    expect(others.sort()).toEqual(['INTERNAL', 'PERMISSION_DENIED', 'TIMEOUT', 'UNAUTHENTICATED']);
  });

  test.each([
    {
      error: new StoreError(
        'COLLECTION_NOT_FOUND',
        "can't find collection[database=a][collection=b]",
      ),
      message: "can't find collection[database=a][collection=b]",
    },
    {
      error: new StoreError('INVALID_ARGUMENT', 'limit 0'),
      message: 'limit 0: invalid parameter',
    },
    {
      error: new StoreError('MISSING_FIELD', 'filter is required'),
      message: 'missing required parameters: filter is required',
    },
  ])('the words stand once: $message', ({ error, message }) => {
    expect(bodyOf(error).message).toBe(message);
  });

  test('a bug shows neither its text nor its stack, but where to look', () => {
    const reply = errorReply(new TypeError('secret of row 7'), { requestId: 'r-1' });
    expect(reply.statusCode).toBe(500);
    expect(reply.body).not.toContain('secret');
    expect(JSON.parse(reply.body)).toMatchObject({ code: 500, effect: 'unknown' });
    expect(reply.body).toContain('r-1');
  });

  test('the address of the primary travels beside the refusal', () => {
    const error = new StoreError('NOT_PRIMARY', 'a standby', { details: { primary: 'http://b' } });
    expect(bodyOf(error)).toMatchObject({ code: 108, retry: 'elsewhere', primary: 'http://b' });
  });

  test('a deadline that passed over a write has an unknown effect', () => {
    const error = new StoreError('TIMEOUT', 'too late');
    expect(bodyOf(error).effect).toBe('none');
    expect(bodyOf(error, { effect: 'unknown' }).effect).toBe('unknown');
  });
});

test.each(codes)('docs/http-api.md says how %s travels', (code) => {
  const page = readFileSync(new URL('../../../docs/http-api.md', import.meta.url), 'utf8');
  const row = page.split('\n').find((line) => line.startsWith(`| \`${code}\` |`));
  const { code: number, status } = WIRES[code];
  expect(row).toContain(`| ${number} | ${status} |`);
  const wire = WIRES[code];
  if ('lead' in wire) expect(row).toContain(wire.lead);
});

test('success is code 0 with 64-bit integers as digits', () => {
  const { statusCode, body } = successReply({ data: { insertIds: [2n ** 60n] }, cost: 0 });
  expect(statusCode).toBe(200);
  expect(body).toBe('{"code":0,"data":{"insertIds":[1152921504606846976]},"cost":0}');
});

test('the surface is the whole of Milvus, without duplicates', () => {
  expect(KNOWN_PATHS.size).toBeGreaterThan(100);
  expect(KNOWN_PATHS).toContain('/v2/vectordb/entities/hybrid_search');
  expect(KNOWN_PATHS).toContain('/v2/vectordb/jobs/import/get_progress');
  for (const path of KNOWN_PATHS) expect(path).toMatch(/^\/v2\/vectordb(\/[a-z_0-9]+){2,3}$/);
});
