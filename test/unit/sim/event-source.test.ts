/** The event source: in order, parents before children, at least once. */
import { expect, test } from 'vitest';
import type { LogEntry } from '#ports/log.ts';
import { EventSource } from '#sim/event-source.ts';
import { MemoryLog } from '#sim/memory-log.ts';
import { Schedule } from '#sim/schedule.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import { Weather } from '#sim/weather.ts';

const FINE = { 'lost-answer': 0, failed: 0, late: 0, refused: 0, slow: 0, doubled: 0 };

/** Delivers 200 entries of ten partitions while the log is split and merged. */
async function deliverAll(
  take: (
    entries: readonly LogEntry[],
  ) => ReturnType<ConstructorParameters<typeof EventSource>[0]['deliver']>,
  likely: number,
): Promise<readonly string[]> {
  const schedule = new Schedule(new SeededEntropy('source'));
  const clock = {
    nowMs: () => Math.floor(schedule.nowMs()),
    sleep: (ms: number) => schedule.sleep(ms),
  };
  const log = new MemoryLog({ clock, streamShards: 2 });
  const source = new EventSource({
    schedule,
    log,
    entropy: new SeededEntropy('draws'),
    weather: new Weather(new SeededEntropy('weather'), FINE),
    deliver: take,
    pollMs: 100,
    batchMax: 7,
    duplicate: likely,
    rewind: likely,
    trim: 0,
  });
  const sent: string[] = [];
  const send = async (): Promise<void> => {
    for (let index = 0; index < 200; index++) {
      await schedule.sleep(20);
      const [first, second] = log.openStreamShards();
      if (index % 40 === 15 && first !== undefined) log.split(first);
      if (index % 40 === 35 && first !== undefined && second !== undefined)
        log.merge(first, second);
      const partition = `p${index % 10}`;
      const { sequence } = await log.append(partition, new Uint8Array([1]));
      sent.push(`${partition} ${sequence}`);
    }
  };
  source.start();
  let ended = false;
  void send().then(async () => {
    while (!(await source.isDrained())) await schedule.sleep(100);
    source.stop();
    ended = true;
  });
  expect(await schedule.run(() => ended, 200_000)).toBe('done');
  return sent;
}

const nameOf = ({ partition, sequence }: LogEntry): string => `${partition} ${sequence}`;
const inOrder = (names: readonly string[]): readonly string[] =>
  [...names].sort((a, b) => Number(a.split(' ')[1]) - Number(b.split(' ')[1]));

test('every entry comes, in the order of its partition, across splits and merges', async () => {
  const seen: string[] = [];
  const sent = await deliverAll(async (entries) => {
    seen.push(...entries.map(nameOf));
    return { through: entries.at(-1)?.sequence };
  }, 0);
  expect(inOrder(seen)).toEqual(sent);
  for (let partition = 0; partition < 10; partition++) {
    const own = seen.filter((name) => name.startsWith(`p${partition} `));
    expect(own).toEqual(inOrder(own));
  }
});

test('what failed comes again from the first that failed; what succeeded may come again too', async () => {
  const random = new SeededEntropy('failures');
  const taken = new Set<string>();
  let twice = 0;
  const sent = await deliverAll(async (entries) => {
    if (random.random() < 0.2) return 'no-answer';
    const count =
      random.random() < 0.3 ? Math.floor(random.random() * entries.length) : entries.length;
    for (const entry of entries.slice(0, count)) {
      if (taken.has(nameOf(entry))) twice += 1;
      taken.add(nameOf(entry));
    }
    return { through: entries[count - 1]?.sequence };
  }, 0.2);
  expect(inOrder([...taken])).toEqual(sent);
  expect(twice).toBeGreaterThan(0);
});
