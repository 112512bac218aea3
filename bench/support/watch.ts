/** A server that is watched: what it wrote, what it was at, what it takes, in memory and on disk. */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kindOf } from './counting.ts';

/** `fromMs` and `toMs` in milliseconds since 1970. */
export type Interval = Readonly<{
  kind: 'merge' | 'build' | 'stall';
  fromMs: number;
  toMs: number;
}>;

/** The processor time of the serving thread meanwhile: the rest it waited for its turn, or for the disk. */
export type Stall = Interval & Readonly<{ workedMs: number }>;

/** Counts since the server started; intervals since it was last asked. */
export type Watched = Readonly<{
  /** Bytes handed to the ports, by what they are. */
  written: Readonly<Record<string, number>>;
  /** Bytes of objects got from the ports. */
  read: Readonly<Record<string, number>>;
  calls: Readonly<Record<string, number>>;
  /** Merges and builds. */
  intervals: readonly Interval[];
  /** How many of them go on. */
  underWay: number;
  /** When the serving thread answered nobody. */
  stalls: readonly Stall[];
}>;

export type WatchedServer = Readonly<{
  url: string;
  dir: string;
  ask(): Promise<Watched>;
  /** Of all threads of the process, from the kernel. */
  io(): Promise<Readonly<{ written: number; toDisk: number }>>;
  /** Seconds of processor time so far. */
  processorSeconds(): Promise<number>;
  residentBytes(): Promise<number>;
  residentPeakBytes(): Promise<number>;
  /** The peak is taken anew from here; where the system does not allow it, it stays. */
  forgetPeak(): Promise<void>;
  remove(): Promise<void>;
}>;

const CLOCK_TICKS = 100;

export async function startWatched(): Promise<WatchedServer> {
  const dir = await mkdtemp(join(tmpdir(), 'sterna-bench-'));
  const child = fork(new URL('./watched-server.ts', import.meta.url), [dir], {
    env: { ...process.env, STERNA_LOG_LEVEL: 'warn' },
  });
  const { url } = await answerOf<{ url: string }>(child);
  const proc = (name: string) => readFile(`/proc/${child.pid}/${name}`, 'utf8');
  const status = async (name: string): Promise<number> =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(await proc('status'))?.[1] ?? 0) * 1024;
  return {
    url,
    dir,
    ask() {
      const answer = answerOf<Watched>(child);
      child.send('watched');
      return answer;
    },
    async io() {
      const text = await proc('io');
      const of = (name: string) => Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(text)?.[1] ?? 0);
      return { written: of('wchar'), toDisk: of('write_bytes') };
    },
    async processorSeconds() {
      const fields = (await proc('stat')).split(') ')[1]?.split(' ') ?? [];
      return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS;
    },
    residentBytes: () => status('VmRSS'),
    residentPeakBytes: () => status('VmHWM'),
    forgetPeak: () => writeFile(`/proc/${child.pid}/clear_refs`, '5').catch(() => undefined),
    async remove() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function answerOf<T>(child: ChildProcess): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null) => reject(new Error(`the server ended with ${code}`));
    child.once('exit', ended);
    child.once('message', (message) => {
      child.off('exit', ended);
      // The other end is watched-server.ts, which answers with this.
      resolve(message as T);
    });
  });
}

/** Bytes of the files below a directory, by kind of thing, and what the disk has allocated for them. */
export async function directoryBytes(
  dir: string,
): Promise<Readonly<{ total: number; allocated: number; kinds: Record<string, number> }>> {
  const kinds: Record<string, number> = {};
  let total = 0;
  let allocated = 0;
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    // Files come and go while we look.
    const info = await stat(path).catch(() => undefined);
    if (info === undefined) continue;
    const kind = fileKind(path.slice(dir.length + 1));
    total += info.size;
    allocated += info.blocks * 512;
    kinds[kind] = (kinds[kind] ?? 0) + info.size;
  }
  return { total, allocated, kinds };
}

/** Objects by what they are, the databases by their folder. */
function fileKind(path: string): string {
  const kind = kindOf(path);
  return path.startsWith(`${kind}/`) ? path.split('/').slice(0, 2).join('/') : kind;
}
