/** A real server in a process of its own, and a keep-alive HTTP client for it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = new URL('../..', import.meta.url).pathname;
const AUTHORIZATION = 'Bearer root:Milvus';

export type BenchServer = Readonly<{
  url: string;
  dir: string;
  /** From spawn to the ready line. */
  startMs: number;
  /** Resident memory now, in bytes. */
  residentBytes(): Promise<number>;
  /** The highest it has been. */
  residentPeakBytes(): Promise<number>;
  /** Stops the process and keeps the data. */
  stop(): Promise<void>;
  /** Stops the process and deletes the data. */
  remove(): Promise<void>;
}>;

export async function startServer(dir?: string): Promise<BenchServer> {
  const data = dir ?? (await mkdtemp(join(tmpdir(), 'sterna-bench-')));
  const started = performance.now();
  const child = spawn(
    process.execPath,
    ['shared/cli/sterna.js', 'serve', '--port', '0', '--data', data],
    { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const url = await readyUrl(child);
  const startMs = performance.now() - started;
  const status = async (name: string): Promise<number> => {
    const text = await readFile(`/proc/${child.pid}/status`, 'utf8');
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024;
  };
  const stop = async () => {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  };
  return {
    url,
    dir: data,
    startMs,
    residentBytes: () => status('VmRSS'),
    residentPeakBytes: () => status('VmHWM'),
    stop,
    async remove() {
      await stop();
      await rm(data, { recursive: true, force: true });
    },
  };
}

function readyUrl(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let seen = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
      const url = /ready on (http:\/\/[^\s,]+)/.exec(seen)?.[1];
      if (url !== undefined) resolve(url);
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
    });
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${seen}`)));
  });
}

export type Call = (path: string, body: string) => Promise<string>;

/** One connection that is kept open: the manner of a real client. */
export function openConnection(url: string): Call {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const { hostname, port } = new URL(url);
  return (path, body) =>
    new Promise((resolve, reject) => {
      const sent = request(
        {
          agent,
          hostname,
          port,
          path: `/v2/vectordb${path}`,
          method: 'POST',
          headers: {
            authorization: AUTHORIZATION,
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(body),
          },
        },
        (response) => {
          const parts: Buffer[] = [];
          response.on('data', (part: Buffer) => parts.push(part));
          response.on('end', () => {
            const text = Buffer.concat(parts).toString();
            if (/^\{"code":0\b/.test(text)) resolve(text);
            else reject(new Error(`${path}: ${text.slice(0, 300)}`));
          });
        },
      );
      sent.on('error', reject);
      sent.end(body);
    });
}

/** Waits until every row is indexed, and returns how long that took. */
export async function untilIndexed(
  call: Call,
  collectionName: string,
  indexName: string,
): Promise<number> {
  const started = performance.now();
  for (let round = 0; round < 36_000; round++) {
    const reply = JSON.parse(
      await call('/indexes/describe', JSON.stringify({ collectionName, indexName })),
    ) as { data: readonly { pendingRows: number }[] };
    if (reply.data[0]?.pendingRows === 0) return performance.now() - started;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${collectionName} was not indexed within an hour`);
}

type Explained = Readonly<{ rows: number; method: string }>;

/**
 * Waits until searches are as they will stay: large segments by graph, and nothing merged any more for
 * 40 s, longer than a shard has to be idle before its segments are merged once again.
 */
export async function untilSettled(call: Call, searchBody: object): Promise<void> {
  let last = '';
  let sinceMs = performance.now();
  for (let round = 0; round < 36_000; round++) {
    const reply = JSON.parse(
      await call('/entities/search', JSON.stringify({ ...searchBody, explain: true })),
    ) as { explain: { segments: readonly Explained[] } };
    const { segments } = reply.explain;
    const graphs = segments.every(({ rows, method }) => rows < 4096 || method === 'graph');
    const shape = JSON.stringify(segments.map(({ rows }) => rows));
    if (shape !== last || !graphs) {
      last = shape;
      sinceMs = performance.now();
    }
    if (performance.now() - sinceMs > 40_000) return;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  throw new Error('searches did not settle within hours');
}
