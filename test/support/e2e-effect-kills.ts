/**
 * Ports that end their process right behind an effect. Effects have names: `object KEY`, `log PARTITION`,
 * `table PARTITION/SORT new|changed|deleted` and the same with `global`.
 */
import type { Table } from '#ports/table.ts';
import type { EnginePorts } from '#runtime/engine.ts';

/** Counts down from the moment it is armed. */
export type EffectTrigger = { armed: boolean; readonly pattern: RegExp; left: number };

export function killingBehind(ports: EnginePorts, trigger: EffectTrigger): EnginePorts {
  const happened = (effect: string): void => {
    if (!trigger.armed || !trigger.pattern.test(effect)) return;
    if (--trigger.left === 0) process.kill(process.pid, 'SIGKILL');
  };
  const { objects, log } = ports;
  return {
    ...ports,
    objects: {
      put: async (key, bytes) => {
        await objects.put(key, bytes);
        happened(`object ${key}`);
      },
      get: (key, range) => objects.get(key, range),
      head: (key) => objects.head(key),
      list: (prefix, options) => objects.list(prefix, options),
      delete: (keys) => objects.delete(keys),
      copy: (from, to) => objects.copy(from, to),
    },
    log: {
      append: async (partition, data, options) => {
        const appended = await log.append(partition, data, options);
        happened(`log ${partition}`);
        return appended;
      },
      streamShards: () => log.streamShards(),
      read: (streamShard, options) => log.read(streamShard, options),
      wait: (streamShard, after, timeoutMs) => log.wait(streamShard, after, timeoutMs),
      checkpoint: (consumer, streamShard) => log.checkpoint(consumer, streamShard),
      saveCheckpoint: (consumer, streamShard, sequence) =>
        log.saveCheckpoint(consumer, streamShard, sequence),
      trim: (streamShard, through) => log.trim(streamShard, through),
    },
    table: killingTable('table', ports.table, happened),
    global: killingTable('global', ports.global, happened),
  };
}

const killingTable = (name: string, table: Table, happened: (effect: string) => void): Table => ({
  get: (key) => table.get(key),
  query: (partition, options) => table.query(partition, options),
  async put(key, value, condition) {
    const version = await table.put(key, value, condition);
    if (version !== undefined) {
      happened(`${name} ${key.partition}/${key.sort} ${version === 1 ? 'new' : 'changed'}`);
    }
    return version;
  },
  async delete(key, condition) {
    const done = await table.delete(key, condition);
    if (done) happened(`${name} ${key.partition}/${key.sort} deleted`);
    return done;
  },
});
