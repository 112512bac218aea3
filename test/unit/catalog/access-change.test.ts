/** Changing a password: who may, what a lost answer leaves, and when the old one ends where. */
import { beforeEach, describe, expect, test } from 'vitest';
import { type Access, BELIEVED_MS, createUser, openAccess } from '#catalog/access.ts';
import { REGAIN_MS, WRONG_MAX } from '#catalog/attempts.ts';
import type { Table } from '#ports/table.ts';
import { type Fault, faultyTable } from '#sim/faults.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';

const USER = { user: 'ann', password: 'first-secret' };
const CHANGE = { ...USER, newPassword: 'second-secret' };
const OLD = 'Bearer ann:first-secret';
const NEW = 'Bearer ann:second-secret';
const KEY = { partition: 'users', sort: 'ann' };

let global: MemoryTable;
let clock: ManualClock;
let counts: { gets: number; puts: number };
/** What the next puts of the table suffer. */
let faults: Fault[];

/** A process of its own over the same table. */
function open(seed: string, table: Table = global): Promise<Access> {
  return openAccess({ global: table, clock, entropy: new SeededEntropy(seed) }, 'Milvus');
}

const watched = (): Table =>
  faultyTable(global, {
    clock,
    decide: ({ method }) => {
      if (method === 'get') counts.gets++;
      if (method !== 'put') return 'ok';
      counts.puts++;
      return faults.shift() ?? 'ok';
    },
  });

let here: Access;
let there: Access;

beforeEach(async () => {
  global = new MemoryTable();
  clock = new ManualClock();
  faults = [];
  await createUser({ global, clock, entropy: new SeededEntropy('ann') }, USER);
  counts = { gets: 0, puts: 0 };
  here = await open('here', watched());
  there = await open('there');
  counts = { gets: 0, puts: 0 };
});

const refused = (access: Access, header: string) =>
  expect(access.authenticate(header)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });

test('the old password ends at once here, and within ten seconds everywhere', async () => {
  for (const access of [here, there]) expect(await access.authenticate(OLD)).toBe('ann');
  await here.changePassword(CHANGE);
  await refused(here, OLD);
  expect(await here.authenticate(NEW)).toBe('ann');
  // Nobody told the other process.
  expect(await there.authenticate(OLD)).toBe('ann');
  expect(await there.authenticate(NEW)).toBe('ann');
  await clock.advance(BELIEVED_MS);
  await refused(there, OLD);
  expect(await there.authenticate(NEW)).toBe('ann');
  expect(BELIEVED_MS).toBeLessThanOrEqual(10_000);
});

test('believed credentials cost a look at the row every ten seconds, and no more', async () => {
  await here.authenticate(OLD);
  counts.gets = 0;
  for (let request = 0; request < 100; request++) await here.authenticate(OLD);
  expect(counts.gets).toBe(0);
  await clock.advance(BELIEVED_MS);
  for (let request = 0; request < 100; request++) await here.authenticate(OLD);
  expect(counts.gets).toBe(1);
});

test('a user who was dropped and created again under the same row version is another', async () => {
  await here.authenticate(OLD);
  await global.delete(KEY);
  await createUser(
    { global, clock, entropy: new SeededEntropy('again') },
    { ...USER, password: 'other' },
  );
  await clock.advance(BELIEVED_MS);
  await refused(here, OLD);
});

test('what was looked up before a change is not believed behind it', async () => {
  const early = here.authenticate(OLD);
  await here.changePassword(CHANGE);
  await early.catch(() => undefined);
  await refused(here, OLD);
});

describe('refused, and nothing is written', () => {
  test.each([
    { why: 'a wrong old password', change: { ...CHANGE, password: 'wrong-secret' } },
    { why: 'a user who is not there', change: { ...CHANGE, user: 'bob' } },
    { why: 'a name that nobody can have', change: { ...CHANGE, user: 'a b' } },
  ])('$why', async ({ change }) => {
    await expect(here.changePassword(change)).rejects.toMatchObject({
      code: 'WRONG_PASSWORD',
      message: `old password not correct for ${change.user}`,
    });
    expect(counts.puts).toBe(0);
    expect(await here.authenticate(OLD)).toBe('ann');
  });
});

describe('lost answers', () => {
  test.each<{ what: string; suffered: Fault[] }>([
    { what: 'done, and not said', suffered: ['lose-answer'] },
    { what: 'not done', suffered: ['fail'] },
    { what: 'not done twice, then done and not said', suffered: ['fail', 'fail', 'lose-answer'] },
    { what: 'done twice', suffered: ['duplicate'] },
    { what: 'done later', suffered: [{ lateMs: 5 }] },
  ])('$what: the new password is valid', async ({ suffered }) => {
    faults = [...suffered];
    await here.changePassword(CHANGE);
    await clock.advance(10);
    await refused(here, OLD);
    expect(await here.authenticate(NEW)).toBe('ann');
    expect(faults).toEqual([]);
  });

  test('where the table stays silent the caller is told that it is not known', async () => {
    faults = Array.from({ length: 20 }, () => 'fail' as const);
    await expect(here.changePassword(CHANGE)).rejects.toMatchObject({ code: 'UNCERTAIN' });
    expect(await here.authenticate(OLD)).toBe('ann');
  });

  test('a change that somebody else replaced before we could look is not called undone', async () => {
    const decide = faultyTable(global, {
      clock,
      decide: ({ method }) => (method === 'put' ? 'lose-answer' : 'ok'),
    });
    const overtaken: Table = {
      ...decide,
      put: (key, value, condition) =>
        decide.put(key, value, condition).catch(async (lost: unknown) => {
          await there.changePassword({
            ...CHANGE,
            password: 'second-secret',
            newPassword: 'third',
          });
          throw lost;
        }),
    };
    const slow = await open('slow', { ...overtaken, get: (key) => global.get(key) });
    await expect(slow.changePassword(CHANGE)).rejects.toMatchObject({ code: 'UNCERTAIN' });
    expect(await there.authenticate('Bearer ann:third')).toBe('ann');
  });

  test('of two changes at once one wins, and the other knows that it lost', async () => {
    const outcomes = await Promise.allSettled([
      here.changePassword(CHANGE),
      there.changePassword({ ...CHANGE, newPassword: 'third-secret' }),
    ]);
    const won = outcomes.filter(({ status }) => status === 'fulfilled');
    expect(won).toHaveLength(1);
    const lost = outcomes.find((outcome) => outcome.status === 'rejected');
    expect(lost?.reason).toMatchObject({ code: 'WRONG_PASSWORD' });
    const valid = outcomes[0]?.status === 'fulfilled' ? NEW : 'Bearer ann:third-secret';
    expect(await (await open('fresh')).authenticate(valid)).toBe('ann');
  });
});

describe('the row', () => {
  const member = async (): Promise<Record<string, unknown>> =>
    JSON.parse(Buffer.from((await global.get(KEY))?.value ?? []).toString());

  test('keeps what a newer Sterna put there, and the description unless a new one is given', async () => {
    const row = { ...(await member()), description: 'reads only', badge: { colour: 'red' } };
    await global.put(KEY, Buffer.from(JSON.stringify(row)));
    await here.changePassword(CHANGE);
    expect(await member()).toMatchObject({ description: 'reads only', badge: { colour: 'red' } });
    const again = { ...CHANGE, password: 'second-secret', newPassword: 'third-secret' };
    await here.changePassword({ ...again, description: 'writes, too' });
    expect(await member()).toMatchObject({ description: 'writes, too', badge: { colour: 'red' } });
  });

  test('of a newer format is refused as such and left alone', async () => {
    const newer = Buffer.from(JSON.stringify({ format: 2, secret: 'elsewhere' }));
    await global.put(KEY, newer);
    await expect(here.authenticate(OLD)).rejects.toMatchObject({ code: 'FORMAT_TOO_NEW' });
    await expect(here.changePassword(CHANGE)).rejects.toMatchObject({ code: 'FORMAT_TOO_NEW' });
    expect(counts.puts).toBe(0);
  });

  test('that is damaged is named', async () => {
    await global.put(KEY, Buffer.from('{"format":1}'));
    await expect(here.authenticate(OLD)).rejects.toThrow('the row of user ann is damaged');
  });
});

describe('guessing', () => {
  let made = 0;

  /** Guesses until one is refused without a look. */
  async function guesses(): Promise<number> {
    for (let guess = 0; guess <= 2 * WRONG_MAX; guess++) {
      const failed = await here.authenticate(`Bearer ann:guess-${made++}`).then(
        () => undefined,
        (error: { code: string }) => error.code,
      );
      if (failed === 'OVERLOADED') return guess;
      expect(failed).toBe('UNAUTHENTICATED');
    }
    return Number.POSITIVE_INFINITY;
  }

  test('is bounded for each name; whoever is in stays in, and the right one comes in later', async () => {
    await here.authenticate(OLD);
    expect(await guesses()).toBe(WRONG_MAX);
    expect(await here.authenticate(OLD)).toBe('ann');
    expect(await here.authenticate('Bearer root:Milvus')).toBe('root');
    await here.changePassword(CHANGE).catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'OVERLOADED' });
    });
    await clock.advance(REGAIN_MS);
    expect(await guesses()).toBe(1);
    await clock.advance(REGAIN_MS);
    await here.changePassword(CHANGE);
    expect(await here.authenticate(NEW)).toBe('ann');
  });

  test('the same wrong password again and again costs one attempt and one look', async () => {
    for (let request = 0; request < 3 * WRONG_MAX; request++) {
      await refused(here, 'Bearer ann:old-config');
    }
    expect(counts.gets).toBe(1);
    expect(await here.authenticate(OLD)).toBe('ann');
  });

  test('a password that was wrong is right at once where it becomes the new one', async () => {
    await refused(here, NEW);
    await here.changePassword(CHANGE);
    expect(await here.authenticate(NEW)).toBe('ann');
  });
});
