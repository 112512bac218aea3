/** Rows, keys and scores as they leave: exact, or 64-bit integers as text for who cannot read them. */
import type { RequestKey } from '#api/entities.ts';
import { StoreError } from '#base/errors.ts';
import type { JsonObject, JsonOut } from '#base/json.ts';
import { type Collection, DEFAULT_PARTITION } from '#catalog/collection.ts';
import type { OutputRow } from '#query/output.ts';
import type { Key } from '#schema/column.ts';
import { type CollectionSchema, primaryField } from '#schema/field.ts';
import { Misfit, readScalar } from '#schema/value.ts';

/** Keys as `insertIds` and the like show them. */
export const keysOut = (keys: readonly Key[], int64AsText: boolean): JsonOut[] =>
  keys.map((key) => (int64AsText && typeof key === 'bigint' ? String(key) : key));

/** A 64-bit integer as text within JSON within JSON: 20 digits, two escaped quotes and a comma. */
const INTEGER_KEY_BYTES = 25;
/** Envelope, headers, counts and a token of 16 shards: under 4 KB. */
const AROUND_KEYS_BYTES = 8 * 1024;

/**
 * The reply to a write holds every key. One that cannot fit is refused before anything is written:
 * afterwards it would be too late, and generated keys would never be learned.
 *
 * @param bytesMax of the reply as JSON within JSON, as Lambda carries it; undefined: any size
 * @throws StoreError `TOO_LARGE`
 */
export function refuseUnanswerable(
  schema: CollectionSchema,
  rows: readonly JsonObject[],
  bytesMax: number | undefined,
): void {
  if (bytesMax === undefined) return;
  const { name, type } = primaryField(schema);
  const bytes = rows.reduce(
    (sum, row) => sum + (type === 'VarChar' ? textKeyBytes(row[name]) : INTEGER_KEY_BYTES),
    AROUND_KEYS_BYTES,
  );
  if (bytes <= bytesMax) return;
  throw new StoreError(
    'TOO_LARGE',
    `the keys of ${rows.length} rows make a reply of up to ${bytes} bytes, and ${bytesMax} fit; send fewer rows per request`,
  );
}

/** A generated key is at most as long as an integer's text; a given one is escaped twice. */
const textKeyBytes = (key: unknown): number =>
  typeof key === 'string'
    ? Buffer.byteLength(JSON.stringify(JSON.stringify(key)))
    : INTEGER_KEY_BYTES;

/** Rows with their Int64 fields as text where that is asked for; dynamic values never are (API.md 1.3). */
export function rowsOut(
  schema: CollectionSchema,
  rows: readonly OutputRow[],
  int64AsText: boolean,
): readonly OutputRow[] {
  const names = schema.fields.filter(({ type }) => type === 'Int64').map(({ name }) => name);
  if (!int64AsText || names.length === 0) return rows;
  return rows.map((row) => {
    const texts = names.flatMap((name) => {
      const value = row[name];
      return typeof value === 'bigint' ? [[name, String(value)] as const] : [];
    });
    return { ...row, ...Object.fromEntries(texts) };
  });
}

/**
 * Keys as a client wrote them as keys of the collection; integers may be strings.
 *
 * @throws StoreError `INVALID_KEY` naming the first that cannot be one
 */
export function readKeys(schema: CollectionSchema, given: readonly RequestKey[]): Key[] {
  const field = primaryField(schema);
  return given.map((value, index) => {
    const key = readScalar(field, value);
    if (typeof key === 'bigint' || typeof key === 'string') return key;
    const why = key instanceof Misfit ? key.reason : `the key field ${field.name} is ${field.type}`;
    throw new StoreError('INVALID_KEY', `key ${index}: ${why}`);
  });
}

/**
 * Ids of the named partitions; undefined where none is named: all.
 *
 * @throws StoreError `PARTITION_NOT_FOUND`
 */
export function partitionIds(
  collection: Collection,
  names: readonly string[],
): readonly number[] | undefined {
  const named = names.filter((name) => name !== '');
  if (named.length === 0) return undefined;
  return named.map((name) => partitionId(collection, name));
}

/** @throws StoreError `PARTITION_NOT_FOUND` */
export function partitionId(collection: Collection, name = DEFAULT_PARTITION): number {
  const wanted = name === '' ? DEFAULT_PARTITION : name;
  const found = collection.partitions.find(({ partitionName }) => partitionName === wanted);
  if (found !== undefined) return found.partitionId;
  throw new StoreError(
    'PARTITION_NOT_FOUND',
    `partition not found[collection=${collection.collectionName}][partition=${wanted.slice(0, 255)}]`,
  );
}
