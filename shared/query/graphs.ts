/**
 * Graphs on their way into memory, in the background: no answer ever waits for one. Until a graph is
 * there, and where it cannot be had, its segment is scanned exactly.
 */
import { LRUCache } from 'lru-cache';
import pLimit from 'p-limit';
import { isStoreError } from '#base/errors.ts';
import type { Clock } from '#ports/clock.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Telemetry } from '#ports/telemetry.ts';
import type { Field, Metric } from '#schema/field.ts';
import type { SectionCache } from '#segment/cache.ts';
import type { AuxiliaryEntry, SegmentEntry } from '#segment/entry.ts';
import { type Graph, graphFits, loadedGraph, openGraph } from '#segment/graph.ts';

/** Loading is mostly the disk's work; a third load would only delay the first two. */
const LOADS_AT_ONCE = 2;
/**
 * After an attempt, failed or not, a graph is asked for again so much later at the earliest: graphs
 * that do not fit beside each other would else push each other out with every search.
 */
const AGAIN_AFTER_MS = 30_000;
/** Attempts remembered: one per graph of 1,000 shards with four large segments. */
const ATTEMPTS_REMEMBERED = 4096;

export type GraphLoadPorts = Readonly<{
  objects: ObjectStore;
  clock: Clock;
  telemetry: Telemetry;
  cache: SectionCache;
  scratchDir: string;
}>;

/** The graph of a field in a segment, by the metric that it was built for. */
export const graphEntry = (
  entry: SegmentEntry,
  field: Field,
  metric: Metric | undefined,
): AuxiliaryEntry | undefined =>
  entry.auxiliary.find(
    ({ kind, fieldId, facts }) =>
      kind === 'graph' &&
      fieldId === field.id &&
      (metric === undefined || facts['metric'] === metric),
  );

export class GraphLoads {
  readonly #ports: GraphLoadPorts;
  readonly #limit = pLimit(LOADS_AT_ONCE);
  readonly #attemptedMs = new LRUCache<string, number>({ max: ATTEMPTS_REMEMBERED });
  readonly #loading = new Map<string, Promise<void>>();
  #closed = false;

  constructor(ports: GraphLoadPorts) {
    this.#ports = ports;
  }

  /** The graph if it can be searched now; else its loading is begun. Use it before the next await. */
  ask(entry: AuxiliaryEntry): Graph | undefined {
    const graph = loadedGraph(entry, this.#ports.cache);
    if (graph === undefined) this.want(entry);
    return graph;
  }

  /** Begins to load a graph that is not here. */
  want(entry: AuxiliaryEntry): void {
    const { cache, clock } = this.#ports;
    if (this.#closed || this.#loading.has(entry.key) || !graphFits(entry, cache)) return;
    const now = clock.nowMs();
    const before = this.#attemptedMs.get(entry.key);
    if (before !== undefined && now < before + AGAIN_AFTER_MS) return;
    if (loadedGraph(entry, cache) !== undefined) return;
    this.#attemptedMs.set(entry.key, now);
    const loading = this.#limit(() => this.#load(entry)).finally(() =>
      this.#loading.delete(entry.key),
    );
    this.#loading.set(entry.key, loading);
  }

  async #load(entry: AuxiliaryEntry): Promise<void> {
    if (this.#closed) return;
    const { clock, telemetry, scratchDir, cache } = this.#ports;
    const startedMs = clock.nowMs();
    try {
      await openGraph(this.#ports, entry, scratchDir, cache);
      telemetry.observe('graph_load_ms', clock.nowMs() - startedMs);
    } catch (error) {
      const code = isStoreError(error) ? error.code : 'unknown';
      const message = error instanceof Error ? error.message : String(error);
      telemetry.event('warn', 'graph-not-loaded', { object: entry.key, code, message });
      telemetry.count('graph_load_failures_total');
    }
  }

  /** Resolves when no load is under way. */
  async settle(): Promise<void> {
    while (this.#loading.size > 0) await Promise.all(this.#loading.values());
  }

  /** Begins no more loads and waits for those under way. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.settle();
  }
}
