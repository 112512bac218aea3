/** A table whose calls complete in the order that fast-check chooses, and whose answers get lost. */
import type { Scheduler } from 'fast-check';
import { StoreError } from '#base/errors.ts';
import type { Table } from '#ports/table.ts';

/**
 * What becomes of a put: it answers; it takes effect and does not say so; it does not take effect
 * and does not say so; it does not answer and takes effect some time later.
 */
export const FATES = ['answered', 'lost', 'failed', 'late'] as const;
export type Fate = (typeof FATES)[number];

/** Puts take their fates from `fates` in order; when these are used up, all puts are answered. */
export function racingTable(scheduler: Scheduler, table: Table, fates: Iterator<Fate>): Table {
  const turn = (what: string) => scheduler.schedule(Promise.resolve(), what);
  const uncertain = () => new StoreError('UNCERTAIN', 'the table did not answer');
  return {
    async get(key) {
      await turn(`get ${key.sort}`);
      const row = await table.get(key);
      await turn(`got ${key.sort}`);
      return row;
    },
    async query(partition, options) {
      await turn('query');
      return table.query(partition, options);
    },
    async put(key, value, condition) {
      const fate = fates.next().value ?? 'answered';
      await turn(`put ${key.sort} ${fate}`);
      if (fate === 'failed') throw uncertain();
      if (fate === 'late') {
        void turn(`late ${key.sort}`).then(() => table.put(key, value, condition));
        throw uncertain();
      }
      const version = await table.put(key, value, condition);
      await turn(`did put ${key.sort}`);
      if (fate === 'lost') throw uncertain();
      return version;
    },
    async delete(key, condition) {
      await turn(`delete ${key.sort}`);
      return table.delete(key, condition);
    },
  };
}
