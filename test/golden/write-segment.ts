/** Writes the golden segment and graphs: `node test/golden/write-segment.ts`. Only for a new version. */
import { existsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { METRICS } from '#schema/field.ts';
import { buildGraph } from '#segment/build.ts';
import { encodeSegment } from '#segment/writer.ts';
import { GRAPH_DIM, GRAPH_VALID, GRAPH_VECTORS, INPUT } from './segment-content.ts';

const write = (name: string, bytes: Uint8Array): void => {
  const path = new URL(name, import.meta.url);
  if (existsSync(path)) throw new Error(`${name} is there: what was released is never rewritten`);
  writeFileSync(path, bytes);
};

write('segment-v1.bin', encodeSegment(INPUT).bytes);
for (const metric of METRICS) {
  const payload = { vectors: GRAPH_VECTORS, valid: GRAPH_VALID, dim: GRAPH_DIM, metric };
  const { bytes } = await buildGraph({ ...payload, scratchDir: tmpdir() });
  write(`graph-${metric.toLowerCase()}-v1.bin`, bytes);
}
