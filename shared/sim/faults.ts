/**
 * Faults as ports that wrap ports. Which call suffers what is the caller's decision, taken from the
 * call alone, so that a seed or a script reproduces it.
 */
import { StoreError } from '#base/errors.ts';
import type { Clock } from '#ports/clock.ts';
import type { Log } from '#ports/log.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';

/**
 * A call of a port. `key`: the object key, prefix or first of several keys; the partition, stream
 * shard or consumer of the log; the partition, or `partition sort`, of a row.
 */
export type Operation = Readonly<{ port: FaultyPort; method: string; key: string }>;

/** `table` unless the wrapper was told which of several tables it wraps. */
export type FaultyPort = 'objects' | 'log' | 'table' | (string & {});

/**
 * - `ok`: nothing goes wrong.
 * - `lose-answer`: it is done, and throws `UNCERTAIN`.
 * - `fail`: it throws `UNCERTAIN` and is not done.
 * - `refuse`: it throws `OVERLOADED` and is not done.
 * - `duplicate`: it is done twice. An append leaves two entries and answers with the second; a read
 *   delivers its page twice over, as a consumer sees that is fed again after a failure; a
 *   conditional put or delete that is sent again no longer finds its condition.
 * - `delayMs`: it is done that much later, and so is the answer.
 * - `lateMs`: it throws `UNCERTAIN` at once, and is done that much later.
 */
export type Fault =
  | 'ok'
  | 'lose-answer'
  | 'fail'
  | 'refuse'
  | 'duplicate'
  | Readonly<{ delayMs: number }>
  | Readonly<{ lateMs: number }>;

export type DecideFault = (operation: Operation) => Fault;

/** What a wrapper needs: the decision, and the clock that delays pass by. */
export type Faults = Readonly<{ decide: DecideFault; clock: Pick<Clock, 'sleep'> }>;

type Act<T> = Readonly<{
  once: () => Promise<T>;
  /** Does it twice and says what the caller hears; `once` twice where it is not given. */
  twice?: () => Promise<T>;
}>;

async function suffer<T>(faults: Faults, operation: Operation, act: Act<T>): Promise<T> {
  const fault = faults.decide(operation);
  const name = `${operation.port}.${operation.method}`;
  if (fault === 'ok') return act.once();
  if (fault === 'fail') throw new StoreError('UNCERTAIN', `${name} got no answer`);
  if (fault === 'refuse') throw new StoreError('OVERLOADED', `${name} was refused`);
  if (fault === 'lose-answer') {
    await act.once();
    throw new StoreError('UNCERTAIN', `the answer of ${name} was lost`);
  }
  if (fault === 'duplicate') {
    if (act.twice !== undefined) return act.twice();
    await act.once();
    return act.once();
  }
  if ('delayMs' in fault) {
    await faults.clock.sleep(fault.delayMs);
    return act.once();
  }
  // Nobody waits for it any more, so nobody is there to hear how it ends either.
  faults.clock
    .sleep(fault.lateMs)
    .then(act.once)
    .catch(() => undefined);
  throw new StoreError('UNCERTAIN', `${name} got no answer yet`);
}

export function faultyObjectStore(store: ObjectStore, faults: Faults): ObjectStore {
  const at = (method: string, key: string): Operation => ({ port: 'objects', method, key });
  return {
    put: (key, bytes) => suffer(faults, at('put', key), { once: () => store.put(key, bytes) }),
    get: (key, range) => suffer(faults, at('get', key), { once: () => store.get(key, range) }),
    head: (key) => suffer(faults, at('head', key), { once: () => store.head(key) }),
    list: (prefix, options) =>
      suffer(faults, at('list', prefix), { once: () => store.list(prefix, options) }),
    delete: (keys) =>
      suffer(faults, at('delete', keys[0] ?? ''), { once: () => store.delete(keys) }),
    copy: (from, to) => suffer(faults, at('copy', to), { once: () => store.copy(from, to) }),
  };
}

export function faultyLog(log: Log, faults: Faults): Log {
  const at = (method: string, key: string): Operation => ({ port: 'log', method, key });
  return {
    append: (partition, data, options) =>
      suffer(faults, at('append', partition), {
        once: () => log.append(partition, data, options),
      }),
    streamShards: () => suffer(faults, at('streamShards', ''), { once: () => log.streamShards() }),
    read: (streamShard, options) =>
      suffer(faults, at('read', streamShard), {
        once: () => log.read(streamShard, options),
        twice: async () => {
          const page = await log.read(streamShard, options);
          return [...page, ...page].slice(0, options.limit);
        },
      }),
    wait: (streamShard, after, timeoutMs) =>
      suffer(faults, at('wait', streamShard), {
        once: () => log.wait(streamShard, after, timeoutMs),
      }),
    checkpoint: (consumer, streamShard) =>
      suffer(faults, at('checkpoint', consumer), {
        once: () => log.checkpoint(consumer, streamShard),
      }),
    saveCheckpoint: (consumer, streamShard, sequence) =>
      suffer(faults, at('saveCheckpoint', consumer), {
        once: () => log.saveCheckpoint(consumer, streamShard, sequence),
      }),
    trim: (streamShard, through) =>
      suffer(faults, at('trim', streamShard), { once: () => log.trim(streamShard, through) }),
  };
}

/** @param port what the decisions call this table, where there are several */
export function faultyTable(table: Table, faults: Faults, port: FaultyPort = 'table'): Table {
  const at = (method: string, key: string): Operation => ({ port, method, key });
  return {
    get: (key) =>
      suffer(faults, at('get', `${key.partition} ${key.sort}`), { once: () => table.get(key) }),
    query: (partition, options) =>
      suffer(faults, at('query', partition), { once: () => table.query(partition, options) }),
    put: (key, value, condition) =>
      suffer(faults, at('put', `${key.partition} ${key.sort}`), {
        once: () => table.put(key, value, condition),
        twice: async () => {
          const version = await table.put(key, value, condition);
          const again = await table.put(key, value, condition);
          return again ?? version;
        },
      }),
    delete: (key, condition) =>
      suffer(faults, at('delete', `${key.partition} ${key.sort}`), {
        once: () => table.delete(key, condition),
        twice: async () => {
          const deleted = await table.delete(key, condition);
          return (await table.delete(key, condition)) || deleted;
        },
      }),
  };
}
