/**
 * Rows with a version: get, query by partition, conditional put and delete of one row.
 *
 * Promises of every adapter (`test/contract/table.ts`):
 * - Reads are consistent: they see every put and delete that returned before they began.
 * - A put or delete that returned is durable. One row is the unit; there are no transactions.
 * - Of racing conditional writes against one version exactly one succeeds.
 * - A call that throws `UNCERTAIN` may have taken effect.
 */
export interface Table {
  /** Undefined where there is no such row. */
  get(key: RowKey): Promise<Row | undefined>;
  /** Rows of one partition in bytewise order of `sort` (or reverse), within the bounds. */
  query(partition: string, options?: QueryOptions): Promise<readonly Row[]>;
  /**
   * Writes a row where the condition holds and returns the row's new version; undefined where it
   * does not hold, and nothing changed. A new row has version 1; each put raises it by one.
   */
  put(key: RowKey, value: Uint8Array, condition?: Condition): Promise<number | undefined>;
  /** True where the condition held (a missing row satisfies only `undefined`). */
  delete(key: RowKey, condition?: Condition): Promise<boolean>;
}

/** Both parts: 1 to 512 bytes of printable ASCII. */
export type RowKey = Readonly<{ partition: string; sort: string }>;

/** Values up to 256 KiB (DynamoDB's item limit is 400 KB, key and overhead included). */
export const ROW_VALUE_BYTES_MAX = 256 * 1024;

export type Row = RowKey & Readonly<{ version: number; value: Uint8Array }>;

/** `absent`: only where there is no row; a number: only where the row has that version. */
export type Condition = 'absent' | number;

/**
 * `after` and `before` exclude themselves; `prefix` limits to sorts that start with it.
 * `limit`: 1 to 1,000 (default 1,000). A page shorter than the limit is the last.
 */
export type QueryOptions = Readonly<{
  prefix?: string;
  after?: string;
  before?: string;
  reverse?: boolean;
  limit?: number;
}>;
