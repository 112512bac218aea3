/** Who may speak: both header forms, and nobody else. */
import { beforeEach, describe, expect, test } from 'vitest';
import { type Access, createUser, openAccess, readCredentials } from '#catalog/access.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';

const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`;

let ports: { global: MemoryTable; clock: ManualClock; entropy: SeededEntropy };
let access: Access;

beforeEach(async () => {
  ports = {
    global: new MemoryTable(),
    clock: new ManualClock(),
    entropy: new SeededEntropy('access'),
  };
  access = await openAccess(ports, 'Milvus');
});

describe('credentials', () => {
  test.each([
    { header: 'Bearer root:Milvus', user: 'root' },
    { header: 'bearer  root:Milvus', user: 'root' },
    { header: basic('root:Milvus'), user: 'root' },
  ])('are taken from $header', async ({ header, user }) => {
    expect(await access.authenticate(header)).toBe(user);
  });

  test('a password may hold colons', () => {
    expect(readCredentials('Bearer a:b:c')).toEqual({ user: 'a', password: 'b:c' });
  });

  test.each([
    undefined,
    '',
    'Bearer',
    'Bearer an-api-key',
    'Bearer :Milvus',
    'Bearer root:',
    'Bearer root:milvus',
    'Bearer nobody:Milvus',
    'Bearer __proto__:Milvus',
    'Bearer ro ot:Milvus',
    'Digest root:Milvus',
    basic('root'),
    basic('root:wrong'),
    `Bearer root:${'x'.repeat(5000)}`,
  ])('are refused: %j', async (header) => {
    await expect(access.authenticate(header)).rejects.toThrow("user hasn't authenticated");
  });
});

test('a remembered password does not let a wrong one in, nor the right one out', async () => {
  await access.authenticate('Bearer root:Milvus');
  await expect(access.authenticate('Bearer root:other')).rejects.toThrow('authenticated');
  expect(await access.authenticate('Bearer root:Milvus')).toBe('root');
});

test('a user who is gone is out within ten seconds', async () => {
  await access.authenticate('Bearer root:Milvus');
  await ports.global.delete({ partition: 'users', sort: 'root' });
  await ports.clock.advance(9_999);
  expect(await access.authenticate('Bearer root:Milvus')).toBe('root');
  await ports.clock.advance(1);
  await expect(access.authenticate('Bearer root:Milvus')).rejects.toThrow('authenticated');
});

test('the root that is there keeps its password', async () => {
  const again = await openAccess(ports, 'another');
  await expect(again.authenticate('Bearer root:another')).rejects.toThrow('authenticated');
  expect(await again.authenticate('Bearer root:Milvus')).toBe('root');
});

test('users are created once, under names that can be keys', async () => {
  expect(await createUser(ports, { user: 'ann', password: 'secret' })).toBe(true);
  expect(await createUser(ports, { user: 'ann', password: 'other' })).toBe(false);
  expect(await access.authenticate('Bearer ann:secret')).toBe('ann');
  await expect(createUser(ports, { user: 'a b', password: 'x' })).rejects.toThrow('user name');
});

test('the table holds no password', async () => {
  const row = await ports.global.get({ partition: 'users', sort: 'root' });
  expect(Buffer.from(row?.value ?? []).toString('latin1')).not.toContain('Milvus');
});
