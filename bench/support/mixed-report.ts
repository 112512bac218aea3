/** What a mixed load showed: a table of reads by what they met, and the rest in sentences. */
import { cpus } from 'node:os';
import { BUSY, type Busy, classify, latencies, p99ByCycle, type Sample } from './classes.ts';
import { quantile, type ResultRow, report, spread } from './report.ts';
import type { Interval, Stall, Watched, WatchedServer } from './watch.ts';

/** Shorter stretches of work on the serving thread are not counted. */
const STALL_MS = 10;
const MIB = 2 ** 20;

export type Plan = Readonly<{
  rows: number;
  dim: number;
  seed: number;
  minutes: number;
  upsertsPerSecond: number;
  searchesPerSecond: number;
  getsPerSecond: number;
  writingMs: number;
  quietMs: number;
}>;

/** Bytes of a row before anything is done to it: its vector and its key. */
export const bareRowBytes = (dim: number): number => dim * 4 + 8;

export type Recall = Readonly<{ churn: number; recall: number; byGraph: number; segments: number }>;

export type Space = Readonly<{
  total: number;
  allocated: number;
  live: number;
  kinds: Record<string, number>;
}>;

export type Marks = Readonly<{
  written: Watched['written'];
  io: Awaited<ReturnType<WatchedServer['io']>>;
  bytes: number;
  serverSeconds: number;
  machineSeconds: number;
  atMs: number;
}>;

export type Found = Readonly<{
  plan: Plan;
  samples: readonly Sample[];
  intervals: readonly Interval[];
  stalls: readonly Stall[];
  recalls: readonly Recall[];
  spaces: readonly Space[];
  writeMs: readonly number[];
  loads: readonly number[];
  resident: readonly number[];
  marks: readonly Marks[];
  emptyBytes: number;
  loadPeakBytes: number;
  peakBytes: number;
}>;

const mib = (bytes: number): string => `${Math.round(bytes / MIB)} MiB`;

export function reportMixed(found: Found): void {
  const classed = classify(found.samples, found.intervals);
  const of = (kind: Sample['kind'], writing: boolean, busy: readonly Busy[]) =>
    classed.filter(
      (sample) => sample.kind === kind && sample.writing === writing && busy.includes(sample.busy),
    );
  const p99 = (samples: readonly Sample[]) => quantile(latencies(samples), 0.99);
  const rows: ResultRow[] = [];
  for (const kind of ['search', 'get'] as const) {
    const rest = p99(of(kind, false, ['nothing']));
    for (const writing of [false, true]) {
      for (const busy of BUSY) {
        const own = of(kind, writing, [busy]);
        const times = latencies(own);
        const byCycle = p99ByCycle(own);
        rows.push({
          read: kind,
          beside: `${writing ? 'writes' : 'no writes'}, ${busy === 'nothing' ? 'no maintenance' : busy}`,
          count: String(own.length),
          'p50 ms': quantile(times, 0.5).toFixed(1),
          'p99 ms': p99(own).toFixed(1),
          'p99 by cycle': byCycle.length === 0 ? '' : spread(byCycle),
          'longest ms': times.length === 0 ? '' : Math.max(...times).toFixed(0),
          'p99 of rest': (p99(own) / rest).toFixed(1),
        });
      }
    }
  }
  report('mixed', rows, notesOf(found, p99(of('search', false, ['nothing']))));
}

function notesOf(found: Found, restMs: number): readonly string[] {
  const { plan, marks, spaces, recalls, intervals, stalls } = found;
  const rowBytes = bareRowBytes(plan.dim);
  const [empty, loaded, end] = marks;
  if (empty === undefined || loaded === undefined || end === undefined) return [];
  const total = (from: Marks, to: Marks): number => sumOf(to.written) - sumOf(from.written);
  const bytes = end.bytes - loaded.bytes;
  const parts = Object.keys(end.written)
    .map((kind): [string, number] => [
      kind,
      ((end.written[kind] ?? 0) - (loaded.written[kind] ?? 0)) / bytes,
    ])
    .sort((a, b) => b[1] - a[1])
    .map(([kind, share]) => `${kind} ${share.toFixed(1)}`);
  const seconds = (end.atMs - loaded.atMs) / 1000;
  const spent = end.serverSeconds - loaded.serverSeconds;
  const others = end.machineSeconds - loaded.machineSeconds - spent - process.cpuUsage().user / 1e6;
  const halfway = recalls.filter(({ churn }) => churn >= 0.5);
  const last = spaces.at(-1);
  const lengths = (kind: Interval['kind'], from: readonly Interval[]) =>
    from
      .filter((one) => one.kind === kind && one.fromMs >= loaded.atMs)
      .map((one) => one.toMs - one.fromMs);
  const own = classify(stalls, intervals).filter(
    (stall) => stall.fromMs >= loaded.atMs && stall.workedMs >= STALL_MS,
  );
  const stood = BUSY.map((busy) => {
    const here = own.filter((stall) => stall.busy === busy).map((stall) => stall.workedMs);
    return `${here.length} times beside ${busy === 'nothing' ? 'no maintenance' : `a ${busy}`} (${Math.max(0, ...here).toFixed(0)} ms at the most)`;
  });
  return [
    `${plan.rows} x ${plan.dim} mixed of docs-lsa, seed ${plan.seed}; ${plan.minutes} minutes, in turn ${plan.writingMs / 1000} s of writes and ${plan.quietMs / 1000} s of none; ${plan.searchesPerSecond} searches and ${plan.getsPerSecond} gets a second throughout, and while writing ${0.9 * plan.upsertsPerSecond} upserts, ${0.2 * plan.upsertsPerSecond} inserts and as many deletes by filter a second.`,
    `Goal: p99 of searches during maintenance at most twice the p99 at rest, ${restMs.toFixed(1)} ms.`,
    `Merges were under way ${share(lengths('merge', intervals), seconds)} of the time, builds of graphs ${share(lengths('build', intervals), seconds)}. The serving thread itself worked for ${STALL_MS} ms or more without a pause: ${stood.join(', ')}; besides, it waited for its turn.`,
    `Written through the ports for each byte of rows acknowledged (a row is ${rowBytes} bytes, a deleted key 8): ${(total(loaded, end) / bytes).toFixed(1)} under the mixed load (${parts.join(', ')}), ${(total(empty, loaded) / (loaded.bytes - empty.bytes)).toFixed(1)} while loading.`,
    `By the kernel's count, scratch files and whole pages included: ${((end.io.written - loaded.io.written) / bytes).toFixed(1)} written, ${((end.io.toDisk - loaded.io.toDisk) / bytes).toFixed(1)} reached the disk; while loading ${((loaded.io.written - empty.io.written) / loaded.bytes).toFixed(1)} and ${((loaded.io.toDisk - empty.io.toDisk) / loaded.bytes).toFixed(1)}.`,
    `The directory for each byte of live rows: ${spaces.map((space) => (space.total / space.live).toFixed(1)).join(', ')} after loading and after each cycle (what is retired stays for at least 15 minutes); at the end ${mib(last?.total ?? 0)}: ${Object.entries(
      last?.kinds ?? {},
    )
      .sort((a, b) => b[1] - a[1])
      .map(([kind, size]) => `${kind} ${(size / (last?.live ?? 1)).toFixed(1)}`)
      .join(', ')}.`,
    `Recall@10 beside exact comparison, by share of the first rows replaced or deleted: ${recalls.map(({ churn, recall }) => `${recall.toFixed(3)} at ${Math.round(churn * 100)} %`).join(', ')}; ${spread(halfway.map(({ recall }) => recall))} from half on (goal: at least 0.95). ${Math.round((recalls.at(-1)?.byGraph ?? 0) * 100)} % of the rows were searched by graph at the end.`,
    `Resident: ${mib(found.emptyBytes)} empty, ${mib(found.loadPeakBytes)} at the most while loading, ${mib(found.peakBytes)} at the most under the mixed load, ${mib(Math.max(...found.resident))} between; the caches may take 256 MiB of sections and 2 GiB of graphs, the vectors are ${mib(plan.rows * plan.dim * 4)}.`,
    `Writes took ${quantile(found.writeMs, 0.5).toFixed(1)} ms in the median, p99 ${quantile(found.writeMs, 0.99).toFixed(1)} ms.`,
    `The server took ${(spent / seconds).toFixed(2)} of a processor, other work on the machine ${(others / seconds).toFixed(2)} of ${cpus().length}; load average ${spread(found.loads)}.`,
  ];
}

const sumOf = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0);
const share = (lengthsMs: readonly number[], seconds: number): string =>
  `${((lengthsMs.reduce((sum, ms) => sum + ms, 0) / seconds / 1000) * 100).toFixed(1)} %`;
