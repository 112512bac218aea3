import { checkRowKey, checkRowValue, queryBounds, queryLimit } from '#ports/arguments.ts';
import type { Condition, QueryOptions, Row, RowKey, Table } from '#ports/table.ts';

/** Rows in memory. Values are copied on their way in and out. */
export class MemoryTable implements Table {
  readonly #partitions = new Map<string, Map<string, Row>>();

  async get(key: RowKey): Promise<Row | undefined> {
    checkRowKey(key);
    const row = this.#partitions.get(key.partition)?.get(key.sort);
    return row && copied(row);
  }

  /** The row as it is, for an oracle that looks in the moment in which something happens. */
  peek(key: RowKey): Row | undefined {
    return this.#partitions.get(key.partition)?.get(key.sort);
  }

  async query(partition: string, options?: QueryOptions): Promise<readonly Row[]> {
    const { low, high } = queryBounds(partition, options);
    const limit = queryLimit(options);
    const rows = [...(this.#partitions.get(partition)?.values() ?? [])]
      .filter((row) => low <= row.sort && row.sort < high)
      .sort((a, b) => (a.sort < b.sort ? -1 : 1));
    if (options?.reverse === true) rows.reverse();
    return rows.slice(0, limit).map(copied);
  }

  async put(key: RowKey, value: Uint8Array, condition?: Condition): Promise<number | undefined> {
    checkRowKey(key);
    checkRowValue(key, value);
    const rows = this.#partitions.get(key.partition) ?? new Map<string, Row>();
    const found = rows.get(key.sort);
    if (!holds(condition, found)) return undefined;
    const version = (found?.version ?? 0) + 1;
    rows.set(key.sort, { ...onlyKey(key), version, value: value.slice() });
    this.#partitions.set(key.partition, rows);
    return version;
  }

  async delete(key: RowKey, condition?: Condition): Promise<boolean> {
    checkRowKey(key);
    const rows = this.#partitions.get(key.partition);
    const found = rows?.get(key.sort);
    if (found === undefined) return condition === undefined;
    if (!holds(condition, found)) return false;
    rows?.delete(key.sort);
    if (rows?.size === 0) this.#partitions.delete(key.partition);
    return true;
  }
}

const onlyKey = ({ partition, sort }: RowKey): RowKey => ({ partition, sort });

const copied = (row: Row): Row => ({ ...row, value: row.value.slice() });

function holds(condition: Condition | undefined, found: Row | undefined): boolean {
  if (condition === undefined) return true;
  return condition === 'absent' ? found === undefined : found?.version === condition;
}
