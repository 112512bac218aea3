/**
 * The points at which the kill test ends the process, told apart by what the engine asks of its ports.
 *
 * A wrapper around the embedded ports counts the calls that belong to one point and sends SIGKILL to
 * its own process before the call, or after its effect and before its caller learns of it.
 */
import { decodeManifest } from '#manifest/codec.ts';
import { decodeHead } from '#manifest/head.ts';
import type { RowKey } from '#ports/table.ts';
import type { EnginePorts } from '#runtime/engine.ts';

export const KILL_POINTS = [
  'payload put',
  'append',
  'tail row',
  'archive put',
  'head swap of apply',
  'data object',
  'graph object',
  'head swap of compact',
  'checkpoint',
] as const;

export type KillPoint = (typeof KILL_POINTS)[number];
export type KillWhen = 'before' | 'after';

/** Nothing is counted before `armed` is set: the server may first be looked at. */
export type Trigger = {
  armed: boolean;
  readonly point: KillPoint;
  readonly when: KillWhen;
  nth: number;
};

/** A segment's key carries its level: what apply puts has level 0, what compact puts has not. */
const OBJECT_POINTS: readonly (readonly [RegExp, KillPoint])[] = [
  [/\/payload\//, 'payload put'],
  [/\/segment\/[0-9]+-0-/, 'archive put'],
  [/\/segment\/[0-9]+-[1-9]/, 'data object'],
  [/\/graph\//, 'graph object'],
];

export function killingPorts(ports: EnginePorts, trigger: Trigger): EnginePorts {
  const around = async <T>(at: KillPoint | undefined, call: () => Promise<T>): Promise<T> => {
    const due = trigger.armed && at === trigger.point && --trigger.nth === 0;
    if (due && trigger.when === 'before') process.kill(process.pid, 'SIGKILL');
    const result = await call();
    if (due && trigger.when === 'after') process.kill(process.pid, 'SIGKILL');
    return result;
  };
  const { objects, log, table } = ports;
  return {
    ...ports,
    objects: {
      put: (key, bytes) =>
        around(OBJECT_POINTS.find(([pattern]) => pattern.test(key))?.[1], () =>
          objects.put(key, bytes),
        ),
      get: (key, range) => objects.get(key, range),
      head: (key) => objects.head(key),
      list: (prefix, options) => objects.list(prefix, options),
      delete: (keys) => objects.delete(keys),
      copy: (from, to) => objects.copy(from, to),
    },
    log: {
      append: (partition, data, options) =>
        around('append', () => log.append(partition, data, options)),
      streamShards: () => log.streamShards(),
      read: (streamShard, options) => log.read(streamShard, options),
      wait: (streamShard, after, timeoutMs) => log.wait(streamShard, after, timeoutMs),
      checkpoint: (consumer, streamShard) => log.checkpoint(consumer, streamShard),
      saveCheckpoint: (consumer, streamShard, sequence) =>
        around('checkpoint', () => log.saveCheckpoint(consumer, streamShard, sequence)),
      trim: (streamShard, through) => log.trim(streamShard, through),
    },
    table: {
      get: (key) => table.get(key),
      query: (partition, options) => table.query(partition, options),
      delete: (key, condition) => table.delete(key, condition),
      async put(key, value, condition) {
        const at = await pointOf(ports, key, value, condition);
        return await around(at, () => table.put(key, value, condition));
      },
    },
  };
}

async function pointOf(
  ports: EnginePorts,
  key: RowKey,
  value: Uint8Array,
  condition: unknown,
): Promise<KillPoint | undefined> {
  if (key.sort.startsWith('tail/')) return 'tail row';
  if (key.sort !== 'head' || typeof condition !== 'number') return undefined;
  const row = await ports.table.get(key);
  // Apply moves the applied position; compact moves nothing but segments.
  const before = row === undefined ? undefined : await appliedOf(ports, row.value);
  return before === (await appliedOf(ports, value)) ? 'head swap of compact' : 'head swap of apply';
}

async function appliedOf({ objects }: EnginePorts, value: Uint8Array): Promise<string> {
  const head = decodeHead(value, 'head');
  const bytes = head.at === 'inline' ? head.bytes : await objects.get(head.key);
  return decodeManifest(bytes, 'manifest').applied;
}
