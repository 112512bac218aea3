import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { METRICS } from '#schema/field.ts';
import { readArchiveIds } from '#segment/archive.ts';
import { SectionCache } from '#segment/cache.ts';
import { scorerOf } from '#segment/distance.ts';
import { scanExact, TopK } from '#segment/exact.ts';
import { graphSupport, openGraph, searchGraph } from '#segment/graph.ts';
import { decodeTrailer, TRAILER_BYTES } from '#segment/layout.ts';
import { openSegment } from '#segment/reader.ts';
import { encodeSegment } from '#segment/writer.ts';
import {
  GRAPH_DIM,
  GRAPH_VALID,
  GRAPH_VECTORS,
  INPUT,
  KEY_ORDER,
  SCHEMA,
} from './segment-content.ts';

const golden = async (name: string): Promise<Uint8Array> =>
  new Uint8Array(await readFile(new URL(name, import.meta.url)));

const objectsOf = (bytes: Uint8Array) => ({
  get: async (_key: string, range?: { offset: number; length: number }) =>
    range === undefined ? bytes : bytes.slice(range.offset, range.offset + range.length),
});
const cache = () => new SectionCache({ sectionBytesMax: 1e8, graphBytesMax: 1e8 });

describe('the golden segment, version 1', () => {
  it('still says what it was written to say', async () => {
    const bytes = await golden('segment-v1.bin');
    const place = decodeTrailer('golden', bytes.length, bytes.slice(-TRAILER_BYTES));
    const { entry } = encodeSegment(INPUT);
    expect(place).toEqual({
      key: 'golden',
      footerOffset: entry.footerOffset,
      footerBytes: entry.footerBytes,
    });
    const segment = openSegment(
      { objects: objectsOf(bytes) },
      { ...entry, key: 'golden', auxiliary: [] },
      cache(),
    );
    const { batch, stamps } = INPUT.rows;
    for (const field of SCHEMA.fields) {
      expect(await segment.column(field)).toEqual(batch.columns.get(field.id));
    }
    expect(await segment.partitions()).toEqual(batch.partitions);
    expect(await segment.stamps()).toEqual(stamps);
    expect(await segment.tombstones()).toEqual(INPUT.tombstones);
    expect([...(await segment.keys()).order]).toEqual(KEY_ORDER);
    expect(await segment.archive()).toEqual(INPUT.archive);
    const ids = await readArchiveIds({ objects: objectsOf(bytes) }, { ...entry, key: 'golden', logTimeMs: 0 });
    expect(ids.map(({ recordId }) => recordId)).toEqual(['000102030405060708090a0b0c0d0e0f']);
  });

  it('is what is written today', async () => {
    expect(encodeSegment(INPUT).bytes).toEqual(await golden('segment-v1.bin'));
  });
});

const support = await graphSupport();

describe.runIf(support.available || process.env['CI'] !== undefined)('the golden graphs', () => {
  it.each(METRICS)('%s still finds the neighbours', async (metric) => {
    const bytes = await golden(`graph-${metric.toLowerCase()}-v1.bin`);
    const scratchDir = await mkdtemp(join(tmpdir(), 'sterna-golden-'));
    try {
      const { footerOffset, footerBytes } = decodeTrailer('golden', bytes.length, bytes.slice(-TRAILER_BYTES));
      const footerCrc32 = Buffer.from(bytes).readUInt32LE(footerOffset + footerBytes - 4);
      const entry = { kind: 'graph', fieldId: 1, key: 'golden', sizeBytes: bytes.length, footerCrc32, facts: {} };
      const graph = await openGraph({ objects: objectsOf(bytes) }, entry, scratchDir, cache());
      expect(graph.facts).toMatchObject({ metric, dim: GRAPH_DIM, m: 16, rows: 39 });
      for (let row = 0; row < 40; row++) {
        const query = GRAPH_VECTORS.slice(row * GRAPH_DIM, (row + 1) * GRAPH_DIM);
        const top = new TopK(5, metric);
        scanExact(scorerOf(metric, query), GRAPH_VECTORS, 0, [GRAPH_VALID], top);
        const exact = top.finish();
        const found = searchGraph(graph, query, 5, 64);
        found.scores.forEach((score, at) => {
          expect(score).toBeCloseTo(exact.scores[at] ?? Number.NaN, 3);
        });
      }
    } finally {
      await rm(scratchDir, { recursive: true, force: true });
    }
  });
});
