/**
 * Whether the acknowledgements in a trace waited for the disk (I1).
 *
 * Each write carries a marker: in a header of its request, and as its key, so that the marker stands in
 * every page and file that holds the write. What LMDB stores is on the disk when
 *
 * 1. the pages were written,
 * 2. then the file was flushed (`fdatasync`, `fsync`),
 * 3. then the meta page, which makes the pages count, was written through a descriptor that flushes
 *    itself (`O_DSYNC`), or written and flushed as in 2.
 *
 * For each write the order must be: the payload's file flushed, renamed, its folder flushed (payloads
 * that are objects); the log's record on the disk; then the tail row put, and on the disk; then the reply.
 */
import { dirname } from 'node:path';
import { quoted, type SystemCall } from './e2e-trace.ts';

export type TracedWrite = Readonly<{ marker: string; inObject: boolean }>;

export type Finding = Readonly<{
  marker: string;
  missing: 'payload flush' | 'append flush' | 'tail flush' | 'order';
  sentence: string;
}>;

/** A moment is the number of a line. */
type Page = Readonly<{ call: SystemCall; text: string }>;

const NEVER = Number.POSITIVE_INFINITY;
const FLUSHES = new Set(['fdatasync', 'fsync']);
const WRITES = new Set(['write', 'writev', 'pwrite64', 'pwritev', 'pwritev2']);
const SENDS = new Set(['write', 'writev', 'sendto', 'sendmsg']);
const RENAMES = new Set(['rename', 'renameat', 'renameat2']);
const MAKES = new Set(['mkdir', 'mkdirat']);
/** The meta page's part that a commit writes is smaller than any page. */
const META_BYTES_MAX = 1024;

export const isDatabase = (path: string): boolean => path.endsWith('/data.mdb');

/** What a trace says, looked up once. */
export type Trace = Readonly<{
  calls: readonly SystemCall[];
  /** Flushes that succeeded, by path. */
  flushes: ReadonlyMap<string, readonly SystemCall[]>;
  /** Writes into databases, page by page. */
  pages: readonly Page[];
  /** Writes of meta pages, by path. */
  metas: ReadonlyMap<string, readonly Readonly<{ call: SystemCall; flushesItself: boolean }>[]>;
}>;

export function readFlushes(calls: readonly SystemCall[]): Trace {
  const flushes = new Map<string, SystemCall[]>();
  const metas = new Map<string, { call: SystemCall; flushesItself: boolean }[]>();
  const pages: Page[] = [];
  const selfFlushing = new Map<string, boolean>();
  for (const call of calls) {
    if (call.name === 'openat' && call.result >= 0) {
      const [opened = ''] = quoted(call);
      selfFlushing.set(`${call.result}<${opened}>`, /\bO_D?SYNC\b/.test(call.args));
    } else if (FLUSHES.has(call.name) && call.result === 0) {
      flushes.set(call.path, [...(flushes.get(call.path) ?? []), call]);
    } else if (WRITES.has(call.name) && isDatabase(call.path)) {
      if (call.result > META_BYTES_MAX) {
        for (const text of quoted(call)) pages.push({ call, text });
      } else {
        const meta = { call, flushesItself: selfFlushing.get(call.descriptor) === true };
        metas.set(call.path, [...(metas.get(call.path) ?? []), meta]);
      }
    }
  }
  return { calls, flushes, pages, metas };
}

/** When the first flush ended that began after the moment. */
function flushedAfter({ flushes }: Trace, path: string, moment: number): number {
  return flushes.get(path)?.find(({ begun }) => begun > moment)?.ended ?? NEVER;
}

/** When what was written into a database by a call was on the disk and counted. */
function durableAt(trace: Trace, { path, ended }: SystemCall): number {
  const flushed = flushedAfter(trace, path, ended);
  const ends = (trace.metas.get(path) ?? [])
    .filter(({ call }) => call.begun > flushed)
    .map(({ call, flushesItself }) =>
      flushesItself ? call.ended : flushedAfter(trace, path, call.ended),
    );
  return Math.min(NEVER, ...ends);
}

/** What opens the records, tail rows, heads, manifests and gates that stand in pages. */
const MAGICS = ['SREC', 'STAL', 'SHED', 'SMAN', 'SGAT'];

/** The pages in which `text` stands in something that `magic` opens. */
function pagesWith(trace: Trace, magic: 'SREC' | 'STAL', text: string): readonly Page[] {
  return trace.pages.filter(({ text: page }) => {
    for (let at = page.indexOf(text); at >= 0; at = page.indexOf(text, at + 1)) {
      const before = page.slice(0, at);
      const opened = Math.max(...MAGICS.map((known) => before.lastIndexOf(known)));
      if (opened >= 0 && before.startsWith(magic, opened)) return true;
    }
    return false;
  });
}

/** When the request was read, and when its reply began to leave on the same connection. */
export function answered({ calls }: Trace, marker: string): Readonly<{ from: number; to: number }> {
  const request = calls.find(
    ({ name, args }) => name === 'read' && args.includes(`x-write: ${marker}\\r\\n`),
  );
  const reply = calls.find(
    ({ name, args, descriptor, begun }) =>
      SENDS.has(name) &&
      descriptor === request?.descriptor &&
      begun > request.ended &&
      args.includes('"HTTP/1.1 '),
  );
  if (request === undefined || reply === undefined) {
    throw new Error(`the trace does not show the request ${marker} and its reply`);
  }
  return { from: request.ended, to: reply.begun };
}

/** Everything that an acknowledgement did not wait for; empty where all is well. */
export function findHasty(trace: Trace, writes: readonly TracedWrite[]): readonly Finding[] {
  return writes.flatMap((write) => findIn(trace, write));
}

function findIn(trace: Trace, { marker, inObject }: TracedWrite): readonly Finding[] {
  const { to } = answered(trace, marker);
  const found: Finding[] = [];
  const find = (missing: Finding['missing'], sentence: string): void => {
    found.push({ marker, missing, sentence: `${marker}: ${sentence}` });
  };
  const payload = inObject ? findPayload(trace, marker) : undefined;
  if (inObject && payload === undefined) {
    // Without its key nobody knows the record.
    find('payload flush', 'no file was given its payload');
    return found;
  }
  const named = payload?.key ?? marker;
  const records = pagesWith(trace, 'SREC', named);
  const tails = pagesWith(trace, 'STAL', named);
  const appendBegun = Math.min(NEVER, ...records.map(({ call }) => call.begun));
  const appended = Math.min(NEVER, ...records.map(({ call }) => durableAt(trace, call)));
  const tailBegun = Math.min(NEVER, ...tails.map(({ call }) => call.begun));
  const tailed = Math.min(NEVER, ...tails.map(({ call }) => durableAt(trace, call)));
  if (payload !== undefined && payload.durable > Math.min(appendBegun, to)) {
    find('payload flush', `its payload ${payload.missing} when the record was appended`);
  }
  if (appended > to)
    find('append flush', 'its record was not on the disk when it was acknowledged');
  if (tailed > to) find('tail flush', 'its tail row was not on the disk when it was acknowledged');
  if (tailBegun < appended) find('order', 'its tail row was put before its record was on the disk');
  return found;
}

type PayloadFile = Readonly<{
  key: string;
  durable: number;
  /** What came last, or never: for the sentence. */
  missing: string;
}>;

/** The payload's way to its name, by the file that the marker was written to. */
function findPayload(trace: Trace, marker: string): PayloadFile | undefined {
  const { calls } = trace;
  const writes = calls.filter(
    ({ name, path, args }) => WRITES.has(name) && path.includes('/tmp/') && args.includes(marker),
  );
  const first = writes.at(0);
  if (first === undefined) return undefined;
  const written = Math.max(
    ...calls
      .filter(({ name, descriptor }) => WRITES.has(name) && descriptor === first.descriptor)
      .map(({ ended }) => ended),
  );
  const rename = calls.find(
    (call) => RENAMES.has(call.name) && call.result === 0 && quoted(call)[0] === first.path,
  );
  if (rename === undefined) return { key: marker, durable: NEVER, missing: 'was not renamed' };
  const target = quoted(rename)[1] ?? '';
  const key = target.slice(target.indexOf('/objects/') + '/objects/'.length);
  const flushed = flushedAfter(trace, first.path, written);
  if (flushed > rename.begun) {
    return { key, durable: NEVER, missing: 'was not flushed before it got its name' };
  }
  const folder = dirname(target);
  const folders = calls.filter((call) => {
    const [made = ''] = quoted(call);
    return MAKES.has(call.name) && call.result === 0 && `${folder}/`.startsWith(`${made}/`);
  });
  const named = flushedAfter(trace, folder, rename.ended);
  const folderNames = folders.map((call) =>
    flushedAfter(trace, dirname(quoted(call)[0] ?? ''), call.ended),
  );
  return { key, durable: Math.max(named, ...folderNames), missing: 'had no flushed name' };
}

/** Flushes of databases that began between two moments. */
export const countFlushes = ({ flushes }: Trace, from: number, to: number): number =>
  [...flushes]
    .filter(([path]) => isDatabase(path))
    .flatMap(([, calls]) => calls)
    .filter(({ begun }) => begun > from && begun < to).length;
