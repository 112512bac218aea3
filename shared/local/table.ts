import { checkRowKey, checkRowValue, queryBounds, queryLimit } from '#ports/arguments.ts';
import type { Condition, QueryOptions, Row, RowKey, Table } from '#ports/table.ts';
import {
  commit,
  type Environment,
  freshly,
  openRows,
  plainBytes,
  type Rows,
  readSealed,
} from './environment.ts';
import { SEAL_BYTES, seal, unseal } from './sealed-rows.ts';

/**
 * Rows in an LMDB database. Key: the partition, a zero byte, the sort; both are printable ASCII, so
 * a partition's rows stand together in the order of their sorts. Value: the version as a
 * little-endian 64-bit number, then the caller's bytes, then the checksum of `sealed-rows`.
 */
export function openTable(environment: Environment): Table {
  const rows = openRows(environment, 'table');
  return {
    async get(key) {
      checkRowKey(key);
      return readRow(freshly(rows), key);
    },
    async query(partition, options) {
      return readRange(freshly(rows), partition, options);
    },
    async put(key, value, condition) {
      checkRowKey(key);
      checkRowValue(key, value);
      const rowKey = encodeKey(key.partition, key.sort);
      const stored = withVersion(value);
      return commit(rows, 'a row', () => {
        const found = versionOf(rows, rowKey);
        if (condition === 'absent' ? found !== 0 : condition !== undefined && found !== condition) {
          return undefined;
        }
        stored.writeBigUInt64LE(BigInt(found + 1));
        writeRow(rows, rowKey, seal(rowKey, stored));
        return found + 1;
      });
    },
    async delete(key, condition) {
      checkRowKey(key);
      const rowKey = encodeKey(key.partition, key.sort);
      return commit(rows, 'the removal of a row', () => removeRow(rows, rowKey, condition));
    },
  };
}

const VERSION_BYTES = 8;

const encodeKey = (partition: string, sort: string): Buffer =>
  Buffer.from(`${partition}\u0000${sort}`, 'latin1');

/** A copy taken at the call: the caller may use its array again before the transaction runs. */
function withVersion(value: Uint8Array): Buffer {
  const stored = Buffer.allocUnsafeSlow(VERSION_BYTES + value.length + SEAL_BYTES);
  stored.set(value, VERSION_BYTES);
  return stored;
}

/** 0 where there is no such row: versions begin at 1. */
function versionOf(rows: Rows, rowKey: Buffer): number {
  const stored = readSealed(rows, rowKey);
  return stored === undefined ? 0 : Number(stored.readBigUInt64LE());
}

/** Inside a transaction lmdb writes at once; the promise it returns says nothing more. */
function writeRow(rows: Rows, rowKey: Buffer, stored: Buffer): void {
  void rows.db.put(rowKey, stored);
}

function removeRow(rows: Rows, rowKey: Buffer, condition: Condition | undefined): boolean {
  const found = versionOf(rows, rowKey);
  if (found === 0) return condition === undefined;
  if (condition !== undefined && found !== condition) return false;
  void rows.db.remove(rowKey);
  return true;
}

const decodeRow = ({ partition, sort }: RowKey, stored: Buffer): Row => ({
  partition,
  sort,
  version: Number(stored.readBigUInt64LE()),
  value: plainBytes(stored, VERSION_BYTES),
});

function readRow(rows: Rows, key: RowKey): Row | undefined {
  const stored = readSealed(rows, encodeKey(key.partition, key.sort));
  return stored && decodeRow(key, stored);
}

function readRange(rows: Rows, partition: string, options?: QueryOptions): readonly Row[] {
  const { low, high } = queryBounds(partition, options);
  const limit = queryLimit(options);
  if (low >= high) return [];
  const lowest = encodeKey(partition, low);
  const highest = encodeKey(partition, high);
  const range =
    options?.reverse === true
      ? { start: highest, end: lowest, reverse: true, exclusiveStart: true, inclusiveEnd: true }
      : { start: lowest, end: highest };
  const found: Row[] = [];
  for (const { key, value } of rows.db.getRange({ ...range, limit })) {
    const sort = key.toString('latin1', partition.length + 1);
    found.push(decodeRow({ partition, sort }, unseal(rows.file, key, value)));
  }
  return found;
}
