/** Ports that count calls, and bytes by what they are for. */
import type { Log } from '../../shared/ports/log.ts';
import type { ObjectStore } from '../../shared/ports/object-store.ts';
import type { Row, RowKey, Table } from '../../shared/ports/table.ts';
import type { EnginePorts } from '../../shared/runtime/engine.ts';

export type Counts = Readonly<{
  /** `objects.put`, `table.get`, `log.append` and so on; `objects.deleted` counts objects. */
  calls: Record<string, number>;
  written: Record<string, number>;
  /** Of objects. */
  read: Record<string, number>;
}>;

export const noCounts = (): Counts => ({ calls: {}, written: {}, read: {} });

/** What was counted between two looks; zeros are left out. */
export const between = (
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): Record<string, number> =>
  Object.fromEntries(
    Object.entries(after)
      .map(([name, count]): [string, number] => [name, count - (before[name] ?? 0)])
      .filter(([, count]) => count !== 0),
  );

const add = (into: Record<string, number>, name: string, by: number): void => {
  into[name] = (into[name] ?? 0) + by;
};

/** `payload`, `level 0`, `level 1 and above`, `graph`, `manifest`, or the first step of the key. */
export function kindOf(key: string): string {
  const made = /(?:^|\/)(payload|graph|manifest|segment)\/(?:\d{12}-(\d+)-)?/.exec(key);
  if (made === null) return key.split('/')[0] ?? key;
  if (made[1] !== 'segment') return made[1] ?? '';
  return made[2] === '0' ? 'level 0' : 'level 1 and above';
}

/** @param onLease told of each lease that is taken or kept, and of each that is given back */
export function countPorts(
  ports: EnginePorts,
  counts: Counts,
  onLease: (name: string, held: boolean) => void = () => {},
): EnginePorts {
  return {
    ...ports,
    objects: countObjects(ports.objects, counts),
    log: countLog(ports.log, counts),
    table: countTable(ports.table, counts, 'table', onLease),
    global: countTable(ports.global, counts, 'global', onLease),
  };
}

function countObjects(store: ObjectStore, { calls, written, read }: Counts): ObjectStore {
  return {
    put(key, bytes) {
      add(calls, 'objects.put', 1);
      add(written, kindOf(key), bytes.length);
      return store.put(key, bytes);
    },
    async get(key, range) {
      add(calls, 'objects.get', 1);
      const bytes = await store.get(key, range);
      add(read, kindOf(key), bytes.length);
      return bytes;
    },
    head(key) {
      add(calls, 'objects.head', 1);
      return store.head(key);
    },
    list(prefix, options) {
      add(calls, 'objects.list', 1);
      return store.list(prefix, options);
    },
    delete(keys) {
      add(calls, 'objects.delete', 1);
      add(calls, 'objects.deleted', keys.length);
      return store.delete(keys);
    },
    copy(from, to) {
      add(calls, 'objects.copy', 1);
      return store.copy(from, to);
    },
  };
}

/** What is read of the log goes on all the time and is not counted. */
const countLog = (log: Log, { calls, written }: Counts): Log => ({
  append(partition, data, options) {
    add(calls, 'log.append', 1);
    add(written, 'log', data.length);
    return log.append(partition, data, options);
  },
  streamShards: () => log.streamShards(),
  read: (streamShard, options) => log.read(streamShard, options),
  wait: (streamShard, after, timeoutMs) => log.wait(streamShard, after, timeoutMs),
  checkpoint: (consumer, streamShard) => log.checkpoint(consumer, streamShard),
  saveCheckpoint: (consumer, streamShard, sequence) =>
    log.saveCheckpoint(consumer, streamShard, sequence),
  trim: (streamShard, through) => log.trim(streamShard, through),
});

const rowBytes = ({ partition, sort }: RowKey, value: Row['value']): number =>
  partition.length + sort.length + value.length;

const countTable = (
  table: Table,
  { calls, written }: Counts,
  name: string,
  onLease: (name: string, held: boolean) => void,
): Table => ({
  get(key) {
    add(calls, `${name}.get`, 1);
    return table.get(key);
  },
  query(partition, options) {
    add(calls, `${name}.query`, 1);
    return table.query(partition, options);
  },
  async put(key, value, condition) {
    add(calls, `${name}.put`, 1);
    add(written, 'tables', rowBytes(key, value));
    const version = await table.put(key, value, condition);
    if (key.partition === 'leases' && version !== undefined) onLease(key.sort, true);
    return version;
  },
  async delete(key, condition) {
    add(calls, `${name}.delete`, 1);
    const done = await table.delete(key, condition);
    if (key.partition === 'leases') onLease(key.sort, false);
    return done;
  },
});
