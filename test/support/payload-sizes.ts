/**
 * How many rows fit through Lambda's 6 MB, in and out: `node test/support/payload-sizes.ts` prints the
 * tables of docs/aws.md. Rows have an Int64 key, a text of 20 characters and one vector of length 1, whose
 * components are spelled as doubles (what most clients do with float32 values), with the digits that a
 * float32 needs, or with six decimals.
 */
import { gzipSync } from 'node:zlib';
import { shortFloat32, stringifyJson } from '#base/json.ts';
import { systemEntropy } from '#local/entropy.ts';
import { packReply } from '#runtime/reply.ts';

const EVENT_BYTES_MAX = 6 * 1024 * 1024;
/** Headers, request context and route of API Gateway's event. */
const EVENT_AROUND_BYTES = 3 * 1024;
const ROWS = 64;
const DIMS = [128, 768, 1536, 3072] as const;

const SPELLINGS: Readonly<Record<string, (value: number) => number>> = {
  doubles: Math.fround,
  'float32 digits': (value) => shortFloat32(Math.fround(value)),
  'six decimals': (value) => Number(value.toFixed(6)),
};

/** Normally distributed, by twelve draws: the digits of a component are those of real embeddings. */
function component(): number {
  let sum = -6;
  for (let draw = 0; draw < 12; draw++) sum += systemEntropy.random();
  return sum;
}

function vectorOf(dim: number): Float32Array {
  const values = Float32Array.from({ length: dim }, component);
  const length = Math.hypot(...values);
  return values.map((value) => value / length);
}

const rowsOf = <V>(vector: () => V) =>
  Array.from({ length: ROWS }, (_, index) => ({
    id: 1_000_000_000 + index,
    text: 'twenty characters...',
    vector: vector(),
  }));

/** Bytes that one row adds to the event: as text within JSON, and as base64 of gzip. */
function bytesIn(dim: number, spell: (value: number) => number): readonly [number, number] {
  const data = rowsOf(() => Array.from(vectorOf(dim), spell));
  const text = JSON.stringify({ collectionName: 'c', data });
  return [JSON.stringify(text).length / ROWS, gzipSync(text).toString('base64').length / ROWS];
}

async function bytesOut(dim: number, gzip: boolean): Promise<number> {
  const body = stringifyJson({ code: 0, data: rowsOf(() => vectorOf(dim)) });
  const bounds = { bytesMax: Number.POSITIVE_INFINITY, gzipFromBytes: 0 };
  const reply = { statusCode: 200, headers: {}, body };
  const { result } = await packReply(reply, gzip ? 'gzip' : undefined, bounds);
  return JSON.stringify(result).length / ROWS;
}

const fit = (bytesPerRow: number): string =>
  Math.floor((EVENT_BYTES_MAX - EVENT_AROUND_BYTES) / bytesPerRow).toLocaleString('en');

const names = Object.keys(SPELLINGS).flatMap((name) => [name, `${name}, gzip`]);
console.info(`| dimensions | ${names.join(' | ')} |`);
console.info(`|---:${'|---:'.repeat(names.length)}|`);
for (const dim of DIMS) {
  const cells = Object.values(SPELLINGS).flatMap((spell) => bytesIn(dim, spell));
  console.info(`| ${dim} | ${cells.map(fit).join(' | ')} |`);
}
console.info('\n| dimensions | rows with their vectors | with gzip |');
console.info('|---:|---:|---:|');
for (const dim of DIMS) {
  const cells = [await bytesOut(dim, false), await bytesOut(dim, true)].map(fit);
  console.info(`| ${dim} | ${cells.join(' | ')} |`);
}
