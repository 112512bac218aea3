import { expect, test } from 'vitest';
import { Schedule } from '#sim/schedule.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';

const open = (seed = 1): Schedule => new Schedule(new SeededEntropy(seed));

test('events happen in the order of their times', async () => {
  const schedule = open();
  const random = new SeededEntropy('times');
  const times = Array.from({ length: 500 }, () => Math.floor(random.random() * 100));
  const seen: number[] = [];
  for (const ms of times) schedule.after(ms, () => seen.push(ms));
  expect(await schedule.run(() => false)).toBe('idle');
  expect(seen).toEqual([...times].sort((a, b) => a - b));
});

test('events of one moment happen in an order that the seed decides', async () => {
  const orderOf = async (seed: number): Promise<string> => {
    const schedule = open(seed);
    let order = '';
    for (const name of 'abcdefgh')
      schedule.after(5, () => {
        order += name;
      });
    await schedule.run(() => false);
    return order;
  };
  expect(await orderOf(1)).toBe(await orderOf(1));
  expect(await orderOf(1)).not.toBe(await orderOf(2));
});

test('everything that an event sets off runs before the next event', async () => {
  const schedule = open();
  let turns = 0;
  const spin = async (left: number): Promise<void> => {
    for (let turn = 0; turn < left; turn++) {
      await undefined;
      turns += 1;
    }
  };
  schedule.after(1, () => void spin(10_000));
  let seen = -1;
  schedule.after(1.001, () => {
    seen = turns;
  });
  await schedule.run(() => false);
  expect(seen).toBe(10_000);
});

test('an event that is called off does not happen, and the run ends where it is told to', async () => {
  const schedule = open();
  const seen: string[] = [];
  const called = schedule.after(1, () => seen.push('off'));
  called.act = undefined;
  schedule.after(2, () => seen.push('first'));
  schedule.after(3, () => seen.push('second'));
  expect(await schedule.run(() => seen.length === 1)).toBe('done');
  expect(seen).toEqual(['first']);
  expect(await schedule.run(() => false, 0)).toBe('late');
  const failing = open();
  failing.after(1, () => {
    throw new Error('broken');
  });
  await expect(failing.run(() => false)).rejects.toThrow('broken');
});
