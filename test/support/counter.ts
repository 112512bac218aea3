import type { Table } from '#ports/table.ts';

export const COUNTER = { partition: 'counter', sort: 'n' };

/** Raises the counter by one, trying again until no other process is in between. */
export async function raiseCounter(table: Table): Promise<void> {
  for (;;) {
    const row = await table.get(COUNTER);
    const next = Number(Buffer.from(row?.value ?? []).toString()) + 1;
    const put = await table.put(COUNTER, Buffer.from(String(next)), row?.version ?? 'absent');
    if (put !== undefined) return;
  }
}
