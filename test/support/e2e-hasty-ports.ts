/**
 * Ports that say "done" before the disk has what they were given: what the durability test must reject.
 *
 * They work: nothing but a loss of power, or a trace, tells them from the real ones.
 */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { open } from 'lmdb';
import { openLog } from '#local/log.ts';
import { openTable } from '#local/table.ts';
import type { EnginePorts } from '#runtime/engine.ts';

export const HASTES = [
  /** Log and table in an environment that leaves the flush to the system. */
  'unflushed database',
  /** A payload's file gets its name before its bytes are flushed. */
  'unflushed payload',
  /** The log's record does not wait for its payload. */
  'payload later',
  /** The reply does not wait for the tail row. */
  'tail row later',
] as const;

export type Haste = (typeof HASTES)[number];

/** Longer than a reply takes, so that what is late is late every time. */
const LATE_MS = 100;

export function hastyPorts(ports: EnginePorts, haste: Haste, dir: string): EnginePorts {
  switch (haste) {
    case 'unflushed database':
      return { ...ports, ...unflushedDatabase(ports, dir) };
    case 'unflushed payload':
      return withPut(ports, (key, bytes) => putUnflushed(dir, key, bytes));
    case 'payload later':
      return withPut(ports, async (key, bytes) => later(() => ports.objects.put(key, bytes)));
    case 'tail row later':
      return withTable(ports);
  }
}

const later = (work: () => Promise<unknown>): void => {
  setTimeout(() => void work(), LATE_MS);
};

function unflushedDatabase(
  { clock }: EnginePorts,
  dir: string,
): Pick<EnginePorts, 'log' | 'table'> {
  const environment = open<Buffer, Buffer>({
    path: join(dir, 'unflushed'),
    noSubdir: false,
    noSync: true,
    encoding: 'binary',
    keyEncoding: 'binary',
    maxDbs: 8,
    eventTurnBatching: false,
  });
  return { log: openLog(environment, clock), table: openTable(environment) };
}

async function putUnflushed(dir: string, key: string, bytes: Uint8Array): Promise<void> {
  const path = join(dir, 'objects', key);
  const temporary = join(dir, 'tmp', key.replaceAll('/', '-'));
  await mkdir(dirname(path), { recursive: true });
  await writeFile(temporary, bytes);
  await rename(temporary, path);
}

function withPut(
  ports: EnginePorts,
  put: (key: string, bytes: Uint8Array) => Promise<void>,
): EnginePorts {
  const { objects } = ports;
  return {
    ...ports,
    objects: {
      put: (key, bytes) => (key.includes('/payload/') ? put(key, bytes) : objects.put(key, bytes)),
      get: (key, range) => objects.get(key, range),
      head: (key) => objects.head(key),
      list: (prefix, options) => objects.list(prefix, options),
      delete: (keys) => objects.delete(keys),
      copy: (from, to) => objects.copy(from, to),
    },
  };
}

function withTable(ports: EnginePorts): EnginePorts {
  const { table } = ports;
  return {
    ...ports,
    table: {
      get: (key) => table.get(key),
      query: (partition, options) => table.query(partition, options),
      delete: (key, condition) => table.delete(key, condition),
      async put(key, value, condition) {
        if (!key.sort.startsWith('tail/')) return table.put(key, value, condition);
        later(() => table.put(key, value, condition));
        return 1;
      },
    },
  };
}
