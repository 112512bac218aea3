/** users/update_password: whose password, who may change it, and when the old one ends. */

import { HttpClient } from '@zilliz/milvus2-sdk-node';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createUser } from '#catalog/access.ts';
import { type Answer, expectError, startServer, type TestServer } from '../support/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.close());

let user = '';
let made = 0;
const FIRST = 'first-secret';
const SECOND = 'second-secret';

/** users/create is not built yet: the row is made as it will be. */
const make = async (name: string): Promise<void> => {
  await createUser(server.ports, { user: name, password: FIRST });
};
beforeEach(async () => {
  user = `user_${++made}`;
  await make(user);
});

const as = (name: string, password: string) => ({ authorization: `Bearer ${name}:${password}` });
const update = (body: Record<string, unknown>, headers?: Record<string, string>): Promise<Answer> =>
  server.call('users/update_password', { userName: user, password: FIRST, ...body }, headers);
const isIn = async (password: string, name = user): Promise<boolean> =>
  (await server.call('collections/list', {}, as(name, password))).status === 200;

test('a user changes his own password: the old one ends with the answer', async () => {
  expect(await isIn(FIRST)).toBe(true);
  const answer = await update({ newPassword: SECOND }, as(user, FIRST));
  expect(answer.status).toBe(200);
  expect(answer.body).toEqual({ code: 0, data: {} });
  expect(await isIn(FIRST)).toBe(false);
  expect(await isIn(SECOND)).toBe(true);
});

test('root changes anybody’s, if it knows the old one', async () => {
  expectError(
    await update({ password: 'not-this-one', newPassword: SECOND }),
    1400,
    `old password not correct for ${user}: not authenticated`,
  );
  expect(await isIn(FIRST)).toBe(true);
  expect((await update({ newPassword: SECOND })).body.code).toBe(0);
  expect(await isIn(SECOND)).toBe(true);
});

test('nobody else may', async () => {
  const other = `${user}_other`;
  await make(other);
  const answer = await update({ newPassword: SECOND }, as(other, FIRST));
  expect(answer.status).toBe(403);
  expectError(answer, 1401, 'privilege not permitted', 'UpdateUser', user);
  const root = await update(
    { userName: 'root', password: 'Milvus', newPassword: SECOND },
    as(other, FIRST),
  );
  expect(root.status).toBe(403);
  expect(await isIn('Milvus', 'root')).toBe(true);
  expect(await isIn(FIRST)).toBe(true);
});

test('a user who is not there gets the words of a wrong password', async () => {
  for (const userName of ['nobody', 'no body', 'größe', '__proto__']) {
    const answer = await update({ userName, newPassword: SECOND });
    expect(answer.status).toBe(200);
    expectError(answer, 1400, `old password not correct for ${userName}: not authenticated`);
  }
});

test('the same password again is a change too', async () => {
  expect((await update({ newPassword: FIRST })).body.code).toBe(0);
  expect(await isIn(FIRST)).toBe(true);
});

test('passwords are plain text on the wire, any characters of it, colons included', async () => {
  const odd = 'pass:wörd "\\\u0000 ☃';
  expect((await update({ newPassword: odd })).body.code).toBe(0);
  const basic = Buffer.from(`${user}:${odd}`).toString('base64');
  const { status } = await server.call('collections/list', {}, { authorization: `Basic ${basic}` });
  expect(status).toBe(200);
});

describe('refused before anything is written', () => {
  test.each<{ why: string; body: Record<string, unknown>; code: number; says: string }>([
    { why: 'no new password', body: {}, code: 1802, says: 'newPassword' },
    { why: 'an empty new password', body: { newPassword: '' }, code: 1802, says: 'newPassword' },
    { why: 'five bytes', body: { newPassword: '12345' }, code: 1100, says: '6 to 72' },
    { why: 'five bytes in four characters', body: { newPassword: 'äabc' }, code: 1100, says: '6' },
    { why: '73 bytes', body: { newPassword: 'p'.repeat(73) }, code: 1100, says: 'found 73' },
    { why: 'a number', body: { newPassword: 123456 }, code: 1801, says: 'newPassword' },
    {
      why: 'no old password',
      body: { password: null, newPassword: SECOND },
      code: 1802,
      says: 'password',
    },
    { why: 'no user', body: { userName: '', newPassword: SECOND }, code: 1802, says: 'userName' },
    {
      why: 'a long name',
      body: { userName: 'u'.repeat(256), newPassword: SECOND },
      code: 1100,
      says: 'userName',
    },
    {
      why: 'a long description',
      body: { newPassword: SECOND, description: 'd'.repeat(1025) },
      code: 1100,
      says: 'description',
    },
  ])('$why', async ({ body, code, says }) => {
    const answer = await update(body);
    expect(answer.status).toBe(200);
    expectError(answer, code, says);
    expect(await isIn(FIRST)).toBe(true);
  });

  test.each([6, 72])('%i bytes are taken', async (bytes) => {
    expect((await update({ newPassword: 'p'.repeat(bytes) })).body.code).toBe(0);
    expect(await isIn('p'.repeat(bytes))).toBe(true);
  });
});

test('no answer and no row shows a password', async () => {
  const long = 'p'.repeat(73);
  for (const newPassword of ['12345', long]) {
    expect((await update({ newPassword })).text).not.toContain(newPassword);
  }
  await update({ newPassword: SECOND });
  const row = await server.ports.global.get({ partition: 'users', sort: user });
  expect(Buffer.from(row?.value ?? []).toString()).not.toMatch(/first|second/);
});

test('guessing an old password is bounded, and said so', async () => {
  const codes = new Set<number>();
  for (let guess = 0; guess < 60 && !codes.has(8); guess++) {
    codes.add((await update({ password: `guess-${guess}`, newPassword: SECOND })).body.code);
  }
  expect(codes).toEqual(new Set([1400, 8]));
  expect(await isIn('Milvus', 'root')).toBe(true);
}, 120_000);

test('the Milvus SDK changes it and goes on with the new one', async () => {
  const client = (password: string) =>
    new HttpClient({ endpoint: server.url, username: user, password });
  const changed = await client(FIRST).updateUserPassword({
    userName: user,
    password: FIRST,
    newPassword: SECOND,
  });
  expect(changed.code).toBe(0);
  expect((await client(SECOND).listCollections()).code).toBe(0);
});
