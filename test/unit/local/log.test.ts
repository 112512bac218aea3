import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LocalPlatform, openLocal } from '#local/open-directory.ts';
import { compareSequences, type Log } from '#ports/log.ts';

let directory: string;
let platform: LocalPlatform;
let log: Log;
/** What the log's clock says; a plain number, so that a test can set it back. */
let nowMs = 1_000;

const open = async () => {
  platform = await openLocal(directory, { clock: { nowMs: () => nowMs, sleep: async () => {} } });
  log = platform.log;
};

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sterna-log-'));
  nowMs = 1_000;
  await open();
});

afterEach(async () => {
  await platform.close();
  await rm(directory, { recursive: true, force: true });
});

const append = (after?: string) =>
  log.append('p', new Uint8Array([1]), after === undefined ? {} : { after });

describe('sequences', () => {
  it('are 1, 2, 3 on one stream shard', async () => {
    const appended = [await append(), await append(), await append()];
    expect(appended).toEqual(
      ['1', '2', '3'].map((sequence) => ({ sequence, streamShard: 'shard-0' })),
    );
    expect(await log.streamShards()).toEqual([{ name: 'shard-0', parents: [], closed: false }]);
  });

  it('jump beyond a floor from elsewhere, keep their order, and end at 56 digits', async () => {
    const floors = [undefined, '9', '8', '99', '9'.repeat(30), `${10n ** 40n}`];
    for (const floor of floors) await append(floor);
    const sequences = (await log.read('shard-0', { limit: 10 })).map((entry) => entry.sequence);
    expect(sequences).toEqual(['1', '10', '11', '100', `${10n ** 30n}`, `${10n ** 40n + 1n}`]);
    expect([...sequences].sort(compareSequences)).toEqual(sequences);
    await expect(append('9'.repeat(56))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect((await append()).sequence).toBe(`${10n ** 40n + 2n}`);
  });
});

describe('arrivals', () => {
  it('are the clock of the log, and never fall, not even after it was opened again', async () => {
    await append();
    nowMs = 5_000;
    await append();
    nowMs = 2_000;
    await append();
    await platform.close();
    await open();
    await append();
    nowMs = 6_000;
    await append();
    const arrivals = (await log.read('shard-0', { limit: 10 })).map((entry) => entry.arrivalMs);
    expect(arrivals).toEqual([1_000, 5_000, 5_000, 5_000, 6_000]);
  });

  it('are remembered beyond a trim of everything', async () => {
    nowMs = 5_000;
    await append();
    await log.trim('shard-0', '1');
    nowMs = 2_000;
    await append();
    const [entry] = await log.read('shard-0', { limit: 10 });
    expect(entry).toMatchObject({ sequence: '2', arrivalMs: 5_000 });
  });
});

describe('wait', () => {
  it('ends after its time where nothing comes', async () => {
    await append();
    await log.wait('shard-0', '1', 5);
    await log.wait('shard-0', '7', 0);
    expect(await log.read('shard-0', { after: '1', limit: 1 })).toEqual([]);
  });

  it('ends when the directory is closed', async () => {
    const waiting = log.wait('shard-0', undefined, 60_000);
    await platform.close();
    await waiting;
    await open();
  });
});
