/**
 * What every door opens, whatever the platform: the ports, the caches that live as long as the process,
 * the catalog and the reader.
 */
import { type Catalog, openCatalog } from '#catalog/collections.ts';
import { Admission } from '#ingest/admission.ts';
import { KeyAllocator } from '#ingest/keys.ts';
import { RecordIds } from '#ingest/record-ids.ts';
import type { WritePorts } from '#ingest/write-shard.ts';
import { ManifestCache } from '#manifest/head.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Log } from '#ports/log.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import type { Telemetry } from '#ports/telemetry.ts';
import { Reader } from '#query/reader.ts';

/** What the engine asks of the world. `table` is the regional one. */
export type EnginePorts = Readonly<{
  objects: ObjectStore;
  log: Log;
  table: Table;
  global: Table;
  clock: Clock;
  entropy: Entropy;
  telemetry: Telemetry;
}>;

/** What work in the background needs as well: everything but reading rows for somebody. */
export type EngineBase = Readonly<{
  ports: EnginePorts & WritePorts & Readonly<{ manifests: ManifestCache }>;
  catalog: Catalog;
}>;

export type EngineCore = EngineBase & Readonly<{ reader: Reader }>;

export type CoreOptions = Readonly<{
  /** An existing folder that graphs pass through on their way into memory. */
  scratchDir: string;
  /** Decoded columns kept; a column larger than a share of it is read in pieces (segment/cache). */
  cacheBytes?: number | undefined;
  /** Graphs kept; 0 where this process searches none. */
  graphBytes?: number | undefined;
  /** Whether another process builds graphs, whatever this one can do. */
  graphsAreBuilt?: boolean | undefined;
}>;

const CACHE_BYTES = 256 * 1024 * 1024;

export const openCore = (world: EnginePorts, options: CoreOptions): EngineCore =>
  withReader(openBase(world), options);

export function openBase(world: EnginePorts): EngineBase {
  const ports = {
    ...world,
    manifests: new ManifestCache(),
    admission: new Admission(),
    keys: new KeyAllocator(world),
    recordIds: new RecordIds(),
  };
  return { ports, catalog: openCatalog(ports) };
}

export function withReader(base: EngineBase, options: CoreOptions): EngineCore {
  const { cacheBytes = CACHE_BYTES } = options;
  return { ...base, reader: new Reader({ ...base.ports, ...options, cacheBytes }) };
}
