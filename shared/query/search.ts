/** Nearest rows over the sources of some views, for several query vectors at once. */
import pLimit from 'p-limit';
import { must } from '#base/assert.ts';
import type { Bitmap } from '#schema/column.ts';
import { hasBit } from '#schema/column.ts';
import type { Field, Metric } from '#schema/field.ts';
import { keyAt } from '#schema/gather.ts';
import { compareScores, type Scorer, scorerOf } from '#segment/distance.ts';
import type { Ranked } from '#segment/exact.ts';
import type { Graph } from '#segment/graph.ts';
import { positionAt } from '#segment/stamps.ts';
import { type Allowed, allowedRows, type Scope } from './allowed.ts';
import { searchExact } from './exact-search.ts';
import { type Hit, mergeHits } from './merge.ts';
import { type Method, planSearch, type SearchFacts, type SearchPlan, widen } from './plan.ts';
import type { SourceView } from './view.ts';

/** Sources in work at a time: each may hold two runs of 8 MiB of vectors, 64 MiB together. */
const SOURCES_AT_ONCE = 4;
/** Query vectors in work at a time; each has a heap of limit + offset rows per source. */
const QUERIES_AT_ONCE = 64;

/** A graph search takes about a millisecond; other requests wait for eight of them at most. */
const GRAPH_SEARCHES_BETWEEN_PAUSES = 8;

export type Nearest = Scope &
  Readonly<{
    field: Field;
    metric: Metric;
    vectors: readonly Float32Array[];
    /** Rows wanted per vector: those after the first `offset`. */
    limit: number;
    offset: number;
    /** Width of graph searches. */
    ef: number;
    range: Range | undefined;
    /** The loaded graph of a source, to be used before the next await. */
    graphOf: (view: SourceView) => Graph | undefined;
    pause: () => Promise<void>;
  }>;

/** Which scores count at all (API.md 3.1). */
export type Range = Readonly<{
  accepts: (score: number) => boolean;
  /** True where near rows are cut off as well. */
  cutsNear: boolean;
}>;

/** How a source was searched. */
export type SourceReport = {
  readonly view: SourceView;
  method: Method;
  /** Why it was skipped. */
  reason?: string;
  /** Rows compared by exact scans or returned by graph searches, over all query vectors. */
  candidates: number;
  /** Rows that the filter, the partitions and their being alive allow. */
  allowed: number;
  /** Query vectors that a graph was asked for in vain, so that the source was scanned after all. */
  fallbacks: number;
};

export type Found = Readonly<{
  /** Per query vector, nearest first. `source` numbers the views given. */
  hits: readonly (readonly Hit[])[];
  reports: readonly SourceReport[];
}>;

/** A source with rows that may be shown. */
type Candidate = Readonly<{
  index: number;
  view: SourceView;
  rows: Bitmap | undefined;
  count: number;
  report: SourceReport;
}>;

export async function searchSources(
  views: readonly SourceView[],
  nearest: Nearest,
): Promise<Found> {
  const limit = pLimit(SOURCES_AT_ONCE);
  const allowed = await Promise.all(views.map((view) => limit(() => allowedRows(view, nearest))));
  const reports = views.map((view, index) => reportOf(view, allowed[index]));
  const candidates = views.flatMap((view, index): Candidate[] => {
    const some = allowed[index];
    const report = reports[index];
    if (some?.is !== 'some' || report === undefined) return [];
    return [{ index, view, rows: some.rows, count: some.count, report }];
  });
  const hits: Hit[][] = [];
  for (let from = 0; from < nearest.vectors.length; from += QUERIES_AT_ONCE) {
    const scorers = nearest.vectors
      .slice(from, from + QUERIES_AT_ONCE)
      .map((vector) => scorerOf(nearest.metric, vector));
    const rankings = await Promise.all(
      candidates.map((candidate) => limit(() => rank(candidate, nearest, scorers, from))),
    );
    for (let query = 0; query < scorers.length; query++) {
      const perSource = rankings.map((ranked) => must(ranked[query], 'a ranking per query'));
      hits.push(await best(candidates, perSource, nearest));
    }
  }
  return { hits, reports };
}

function reportOf(view: SourceView, allowed: Allowed | undefined): SourceReport {
  const report: SourceReport = { view, method: 'skipped', candidates: 0, allowed: 0, fallbacks: 0 };
  if (allowed?.is === 'some') report.allowed = allowed.count;
  else if (allowed !== undefined) report.reason = allowed.reason;
  return report;
}

/** The best rows of one source for each of some queries. */
async function rank(
  candidate: Candidate,
  nearest: Nearest,
  scorers: readonly Scorer[],
  from: number,
): Promise<Ranked[]> {
  const { view, rows, count, report } = candidate;
  const ranked: Ranked[] = new Array(scorers.length);
  const exactly: number[] = [];
  for (let query = 0; query < scorers.length; query++) {
    const found = rankByGraph(candidate, nearest, must(nearest.vectors[from + query], 'a query'));
    if (found === undefined) exactly.push(query);
    else ranked[query] = found;
    if ((query + 1) % GRAPH_SEARCHES_BETWEEN_PAUSES === 0) await nearest.pause();
  }
  if (exactly.length === 0) return ranked;
  if (report.method === 'graph') report.fallbacks += exactly.length;
  else report.method = 'exact';
  report.candidates += count * exactly.length;
  const exact = await searchExact({
    source: view.source,
    field: nearest.field,
    allowed: rows,
    allowedCount: count,
    scorers: exactly.map((query) => must(scorers[query], 'a scorer')),
    wanted: nearest.limit + nearest.offset,
    accepts: nearest.range?.accepts,
    pause: nearest.pause,
  });
  exactly.forEach((query, at) => {
    ranked[query] = must(exact[at], 'a ranking per scorer');
  });
  return ranked;
}

/** Undefined where the graph is not the way, or found too few rows that may be shown. */
function rankByGraph(
  { view, rows, count, report }: Candidate,
  nearest: Nearest,
  vector: Float32Array,
): Ranked | undefined {
  const graph = nearest.graphOf(view);
  const facts: SearchFacts = {
    rows: view.source.rows,
    allowedRows: count,
    graph: graph !== undefined,
    wanted: nearest.limit + nearest.offset,
    ef: nearest.ef,
    exactOnly: nearest.range?.cutsNear === true,
  };
  const isAllowed = (row: number): boolean => rows === undefined || hasBit(rows, row);
  let plan: SearchPlan = planSearch(facts);
  while (plan.method === 'graph' && graph !== undefined) {
    report.method = 'graph';
    const found = graph.search(
      vector,
      plan.candidates,
      plan.ef,
      plan.filtered ? isAllowed : undefined,
    );
    report.candidates += found.rows.length;
    const kept = keep(found, isAllowed);
    // Rows without a vector are not in the graph: all that it holds is all there is.
    const all = found.rows.length >= graph.facts.rows;
    if (kept.rows.length >= Math.min(facts.wanted, count) || all) {
      return nearest.range === undefined ? kept : keep(kept, (_, score) => accepts(nearest, score));
    }
    plan = widen(plan, facts);
  }
  return undefined;
}

const accepts = ({ range }: Nearest, score: number): boolean =>
  range === undefined || range.accepts(score);

function keep({ rows, scores }: Ranked, test: (row: number, score: number) => boolean): Ranked {
  const places: number[] = [];
  rows.forEach((row, at) => {
    if (test(row, scores[at] ?? 0)) places.push(at);
  });
  return {
    rows: Uint32Array.from(places, (at) => rows[at] ?? 0),
    scores: Float32Array.from(places, (at) => scores[at] ?? 0),
  };
}

/** One query's answer from the rankings of all sources. */
async function best(
  candidates: readonly Candidate[],
  rankings: readonly Ranked[],
  nearest: Nearest,
): Promise<Hit[]> {
  const worst = worstScore(rankings, nearest);
  const lists = await Promise.all(
    candidates.map(async ({ view: { source }, index }, at): Promise<Hit[]> => {
      const { rows, scores } = must(rankings[at], 'a ranking per source');
      if (rows.length === 0) return [];
      const [{ column }, stamps] = await Promise.all([source.keys(), source.stamps()]);
      const hits: Hit[] = [];
      for (let place = 0; place < rows.length; place++) {
        const score = scores[place] ?? 0;
        if (worst !== undefined && compareScores(nearest.metric, worst, score) < 0) break;
        const row = rows[place] ?? 0;
        hits.push({
          key: keyAt(column, row),
          position: positionAt(stamps, row),
          score,
          source: index,
          row,
        });
      }
      return hits;
    }),
  );
  return mergeHits(lists, nearest);
}

/** The last score that can be in the answer: keys are read only of rows that are no farther. */
function worstScore(
  rankings: readonly Ranked[],
  { metric, limit, offset }: Nearest,
): number | undefined {
  const total = rankings.reduce((sum, { scores }) => sum + scores.length, 0);
  if (total <= limit + offset) return undefined;
  const scores = new Float32Array(total);
  let at = 0;
  for (const ranking of rankings) {
    scores.set(ranking.scores, at);
    at += ranking.scores.length;
  }
  scores.sort();
  return metric === 'L2' ? scores[limit + offset - 1] : scores[total - limit - offset];
}
