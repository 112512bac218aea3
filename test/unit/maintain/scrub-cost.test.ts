/** What a scrub costs: every byte once, and requests by the piece, not by the row. */
import { expect, test } from 'vitest';
import { recordPosition } from '#base/position.ts';
import { Findings } from '#maintain/scrub-findings.ts';
import { scrubSegment } from '#maintain/scrub-segment.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import { defineCollection } from '#schema/define.ts';
import { readFooter } from '#segment/sections.ts';
import { buildStamps } from '#segment/stamps.ts';
import { noTombstones } from '#segment/tombstones.ts';
import { encodeSegment } from '#segment/writer.ts';
import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { silentTelemetry } from '#sim/silent-telemetry.ts';
import { overObjects } from './collected-world.ts';

const DIM = 768;
const ROWS = 16_384;
const schema = defineCollection({
  fields: [
    { name: 'id', type: 'Int64', primaryKey: true },
    { name: 'vector', type: 'FloatVector', dim: DIM },
  ],
  enableDynamic: false,
});

async function segment(objects: ObjectStore, rows = ROWS) {
  const values = new Float32Array(rows * DIM).map((_, at) => at % 251);
  const ids = BigInt64Array.from({ length: rows }, (_, row) => BigInt(row));
  const [id, vector] = schema.fields.map((field) => field.id);
  const batch = {
    count: rows,
    columns: new Map([
      [id ?? 0, { type: 'Int64', values: ids } as const],
      [vector ?? 0, { type: 'FloatVector', dim: DIM, values } as const],
    ]),
    partitions: new Uint32Array(rows),
  };
  const record = recordPosition(1, 1, '5');
  const stamps = buildStamps([{ record, logTimeMs: 1, count: rows }]);
  const made = encodeSegment({
    schema,
    level: 1,
    rows: { batch, stamps },
    tombstones: noTombstones('Int64'),
  });
  const key = 'collections/7/0/segment/000000000000-1-aa';
  await objects.put(key, made.bytes);
  return { ...made.entry, key, auxiliary: [] };
}

test('a million rows of 768 dimensions are some 920 requests and 3.3 GB, never in one piece', async () => {
  const store = new MemoryObjectStore(new ManualClock());
  const entry = await segment(store);
  let largest = 0;
  const watched = overObjects(store, {
    get: async (key, range) => {
      const bytes = await store.get(key, range);
      largest = Math.max(largest, bytes.length);
      return bytes;
    },
  });
  const findings = new Findings(watched, silentTelemetry, 'c7-0');
  const { sum } = await scrubSegment(findings, schema, entry);
  expect(sum).toBeDefined();
  const { damaged, requests, bytes, rows } = findings.all();
  expect(damaged).toEqual([]);
  expect(rows).toBe(ROWS);
  const millions = ROWS / 1_000_000;
  const cost = {
    requests: Math.round(requests / millions),
    gigabytes: Math.round(bytes / millions / 1e8) / 10,
  };
  // Segments of full size have some 820: each has three besides its pieces.
  expect(cost).toEqual({ requests: 916, gigabytes: 3.3 });
  // 4 MiB and the blocks at both ends.
  expect(largest).toBeLessThanOrEqual(5 * 1024 * 1024);
  expect(bytes).toBeLessThan(entry.sizeBytes * 1.1);
});

test('a bit that flips in an object that is read in pieces is found, wherever it lies', async () => {
  const store = new MemoryObjectStore(new ManualClock());
  const entry = await segment(store, 2_048);
  expect(entry.sizeBytes).toBeGreaterThan(5 * 1024 * 1024);
  const whole = await store.get(entry.key);
  const footer = await readFooter(store, entry);
  const inside = [...footer.sections.values()].flatMap(({ offset, length }) => [
    offset,
    offset + length - 1,
    offset + length,
  ]);
  for (const at of [3, 30, ...inside, entry.footerOffset - 1, whole.length - 1]) {
    const flipped = new Uint8Array(whole);
    flipped[at] = (flipped[at] ?? 0) ^ 16;
    await store.put(entry.key, flipped);
    const findings = new Findings(store, silentTelemetry, 'c7-0');
    await scrubSegment(findings, schema, entry);
    expect(findings.all().damaged.length, `byte ${at}`).toBeGreaterThan(0);
  }
  for (const bytes of [whole.subarray(0, -1), Buffer.concat([whole, new Uint8Array(1)])]) {
    await store.put(entry.key, bytes);
    const findings = new Findings(store, silentTelemetry, 'c7-0');
    await scrubSegment(findings, schema, entry);
    expect(findings.all().damaged).toMatchObject([{ key: entry.key }]);
  }
});
