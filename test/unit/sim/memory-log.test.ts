import { describe, expect, it } from 'vitest';
import { compareSequences } from '#ports/log.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryLog } from '#sim/memory-log.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';

const partitions = Array.from({ length: 40 }, (_, index) => `partition-${index}`);
const data = new Uint8Array([1]);

describe('MemoryLog', () => {
  it('spreads partitions over its stream shards', async () => {
    const log = new MemoryLog({ clock: new ManualClock(), streamShards: 4 });
    const used = new Set<string>();
    for (const partition of partitions) used.add((await log.append(partition, data)).streamShard);
    expect([...used].sort()).toEqual(['shard-0', 'shard-1', 'shard-2', 'shard-3']);
  });

  it('reshards: old stream shards are closed and stay readable, sequences go on', async () => {
    const log = new MemoryLog({ clock: new ManualClock(), streamShards: 2 });
    const before = new Map<string, string>();
    for (const partition of partitions) {
      before.set(partition, (await log.append(partition, data)).sequence);
    }
    log.reshard(3);
    expect(await log.streamShards()).toEqual([
      { name: 'shard-0', parents: [], closed: true },
      { name: 'shard-1', parents: [], closed: true },
      ...['shard-2', 'shard-3', 'shard-4'].map((name) => ({
        name,
        parents: ['shard-0', 'shard-1'],
        closed: false,
      })),
    ]);
    for (const partition of partitions) {
      const { sequence, streamShard } = await log.append(partition, data);
      expect(['shard-2', 'shard-3', 'shard-4']).toContain(streamShard);
      expect(compareSequences(sequence, before.get(partition) ?? '')).toBeGreaterThan(0);
    }
    const old = [
      ...(await log.read('shard-0', { limit: 100 })),
      ...(await log.read('shard-1', { limit: 100 })),
    ];
    expect(old.map((entry) => entry.partition).sort()).toEqual([...partitions].sort());
  });

  it('splits and merges single stream shards, whose partitions go on in their children', async () => {
    const log = new MemoryLog({ clock: new ManualClock(), streamShards: 2 });
    log.split('shard-0');
    expect(log.openStreamShards()).toEqual(['shard-2', 'shard-3', 'shard-1']);
    log.merge('shard-1', 'shard-3');
    expect(log.openStreamShards()).toEqual(['shard-2', 'shard-4']);
    const shards = await log.streamShards();
    expect(shards.map(({ parents, closed }) => ({ parents, closed }))).toEqual([
      { parents: [], closed: true },
      { parents: [], closed: true },
      { parents: ['shard-0'], closed: false },
      { parents: ['shard-0'], closed: true },
      { parents: ['shard-3', 'shard-1'], closed: false },
    ]);
    const used = new Set<string>();
    for (const partition of partitions) used.add((await log.append(partition, data)).streamShard);
    expect([...used].sort()).toEqual(['shard-2', 'shard-4']);
    expect(() => log.merge('shard-2', 'shard-2')).toThrow('two stream shards');
    expect(() => log.split('shard-0')).toThrow('is open');
  });

  it('refuses entries of a stream shard that is throttled, for as long as it is', async () => {
    const clock = new ManualClock();
    const log = new MemoryLog({ clock });
    log.throttle('shard-0', 1_000);
    await expect(log.append('p', data)).rejects.toMatchObject({ code: 'OVERLOADED' });
    expect(await log.read('shard-0', { limit: 1 })).toEqual([]);
    await clock.advance(1_000);
    await log.append('p', data);
  });

  it('leaves gaps in its sequences where it was given chance', async () => {
    const log = new MemoryLog({ clock: new ManualClock(), entropy: new SeededEntropy(1) });
    for (let index = 0; index < 50; index++) await log.append('p', data);
    const last = (await log.read('shard-0', { limit: 100 })).at(-1);
    expect(Number(last?.sequence)).toBeGreaterThan(60);
  });

  it('orders two appends by the floor alone where it reorders, and never behind a reader', async () => {
    const entropy = new SeededEntropy(1);
    const log = new MemoryLog({ clock: new ManualClock(), entropy, reorder: 1 });
    let isReordered = false;
    let last = '0';
    for (let index = 0; index < 50; index++) {
      const { sequence } = await log.append('p', data);
      isReordered ||= compareSequences(sequence, last) < 0;
      const floored = await log.append('p', data, { after: sequence });
      expect(compareSequences(floored.sequence, sequence)).toBeGreaterThan(0);
      last = floored.sequence;
      if (index % 10 !== 9) continue;
      const [newest = last] = (await log.read('shard-0', { limit: 1_000 }))
        .slice(-1)
        .map((entry) => entry.sequence);
      const { sequence: later } = await log.append('p', data);
      expect(compareSequences(later, newest)).toBeGreaterThan(0);
    }
    expect(isReordered).toBe(true);
    const sequences = (await log.read('shard-0', { limit: 1_000 })).map((entry) => entry.sequence);
    expect([...sequences].sort(compareSequences)).toEqual(sequences);
    expect(new Set(sequences).size).toBe(sequences.length);
  });

  it('takes arrivals from its clock, and waits by it', async () => {
    const clock = new ManualClock(1_000);
    const log = new MemoryLog({ clock });
    await log.append('p', data);
    await clock.advance(500);
    const { sequence } = await log.append('p', data);
    const arrivals = (await log.read('shard-0', { limit: 9 })).map((entry) => entry.arrivalMs);
    expect(arrivals).toEqual([1_000, 1_500]);
    let over = false;
    const waiting = log.wait('shard-0', sequence, 100).then(() => {
      over = true;
    });
    await clock.advance(99);
    expect(over).toBe(false);
    await clock.advance(1);
    await waiting;
    expect(clock.nextWakeMs()).toBeUndefined();
  });
});
