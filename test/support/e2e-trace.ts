/**
 * A trace of system calls as data.
 *
 * Time is the number of the line. strace stops every call before it begins and after it has ended, and
 * prints a line each time, or one line for both where nothing came in between; so a call that ends at
 * a lower line than another begins had truly ended before the other did anything.
 */
import { spawnSync } from 'node:child_process';

export type SystemCall = Readonly<{
  name: string;
  /** Everything between the parentheses, as strace prints it. */
  args: string;
  /** `26</var/data.mdb>`: the descriptor that is the first argument, with what it stands for. */
  descriptor: string;
  /** The file behind the descriptor; empty where the call has none. */
  path: string;
  result: number;
  begun: number;
  ended: number;
}>;

/**
 * Calls that move bytes to files and sockets, flush them, or make names. What went to the disk in
 * another way, by a memory map or a ring, would not be seen, and so count as not flushed.
 */
const TRACED = [
  'read',
  'write',
  'writev',
  'pwrite64',
  'pwritev',
  'pwritev2',
  'sendto',
  'sendmsg',
  'openat',
  'mkdir',
  'mkdirat',
  'rename',
  'renameat',
  'renameat2',
  'fdatasync',
  'fsync',
];

/** Whole pages, also those of machines that have larger ones. */
const STRING_BYTES_MAX = 65_536;

/**
 * The words to put before a command so that its calls are written to a file. `-D` makes the tracer
 * the grandchild, so that signals go to the command; `-y` names the files of descriptors; `-v` prints
 * all parts of a gathered write.
 */
export const tracing = (file: string): readonly string[] => [
  'strace',
  '-D',
  '-f',
  '-y',
  '-v',
  '-s',
  String(STRING_BYTES_MAX),
  '-o',
  file,
  '-e',
  `trace=${TRACED.join(',')}`,
];

/** Why nothing can be traced here; undefined where it can. */
export function whyNoTrace(): string | undefined {
  const { status, error, stderr } = spawnSync('strace', ['-f', '-o', '/dev/null', 'true'], {
    encoding: 'utf8',
  });
  if (error !== undefined) return `strace cannot be started: ${error.message}`;
  return status === 0 ? undefined : `strace cannot trace here: ${stderr.trim()}`;
}

/** Calls that ended, in the order in which they began. @throws where a line is not understood */
export function parseTrace(text: string): readonly SystemCall[] {
  const calls: SystemCall[] = [];
  const unfinished = new Map<string, Readonly<{ head: string; begun: number }>>();
  text.split('\n').forEach((line, number) => {
    const match = /^(\d+) +(.*)$/s.exec(line);
    if (match === null) return;
    const [, thread = '', rest = ''] = match;
    // `+++ exited with 0 +++`, `--- SIGTERM {...} ---`
    if (rest.startsWith('+++') || rest.startsWith('---')) return;
    const broken = /^(.*?) ?<unfinished \.\.\.>$/s.exec(rest);
    if (broken !== null) {
      unfinished.set(thread, { head: broken[1] ?? '', begun: number });
      return;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/s.exec(rest);
    const open = resumed === null ? undefined : unfinished.get(thread);
    if (resumed !== null && open === undefined) throw new Error(`line ${number} resumes nothing`);
    unfinished.delete(thread);
    const whole = (open?.head ?? '') + (resumed?.[1] ?? rest);
    const call = parseCall(whole, open?.begun ?? number, number);
    if (call !== undefined) calls.push(call);
  });
  return calls.sort((a, b) => a.begun - b.begun);
}

function parseCall(text: string, begun: number, ended: number): SystemCall | undefined {
  const match = /^(\w+)\((.*)\) += (-?\d+|\?)/s.exec(text);
  if (match === null) throw new Error(`line ${ended} is no system call: ${text.slice(0, 200)}`);
  const [, name = '', args = '', result = ''] = match;
  // A call that its process did not survive has no result.
  if (result === '?') return undefined;
  const descriptor = /^\d+<[^>]*>/.exec(args)?.[0] ?? '';
  const path = descriptor.replace(/^\d+</, '').replace(/>$/, '');
  return { name, args, descriptor, path, result: Number(result), begun, ended };
}

/** The texts in quotes of a call's arguments. */
export const quoted = ({ args }: SystemCall): readonly string[] =>
  [...args.matchAll(/"((?:[^"\\]|\\.)*)"/gs)].map((match) => match[1] ?? '');
