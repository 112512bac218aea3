/**
 * What lies in the object store and nothing names: work for collect, and no damage. Told so that an
 * operator sees whether collect keeps up.
 */
import type { Catalog } from '#catalog/collections.ts';
import type { Manifest } from '#manifest/format.ts';
import { readManifest } from '#manifest/head.ts';
import { reachableKeys } from '#manifest/history.ts';
import type { Clock } from '#ports/clock.ts';
import type { ObjectInfo, ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import { collectionPrefix, objectPrefix, type ShardId } from '#wal/shard.ts';
import { isPayloadDone } from './collect.ts';
import { HeldCuts } from './held.ts';
import type { ScrubReads } from './scrub-findings.ts';
import type { Orphans } from './scrub-progress.ts';

const PAGE = 1_000;
/** 256,000 objects of one prefix: four times what collect looks at in one run. */
const PAGES_MAX = 256;

type OrphanPorts = Readonly<{
  objects: ObjectStore;
  table: Table;
  clock: Clock;
  held?: Pick<HeldCuts, 'read'> | undefined;
}>;

/** Of one shard; undefined where an open pin holds whatever there is. Four listings of its objects. */
export async function orphansOf(
  objects: ScrubReads,
  ports: OrphanPorts,
  shard: ShardId,
  { version, logTimeMs }: Manifest,
): Promise<Orphans | undefined> {
  const listed: ObjectInfo[] = [];
  for (const kind of ['segment', 'graph', 'manifest', 'payload'] as const) {
    listed.push(...(await listAll(objects, objectPrefix(shard, kind))));
  }
  // After the listing: what is put and committed meanwhile is named by then.
  const head = await readManifest(ports, shard);
  const held = await (ports.held ?? new HeldCuts(ports)).read();
  if (held === undefined) return undefined;
  const named = new Set([...reachableKeys(head.manifest), ...held.keys]);
  for (const { key } of head.manifest.retired) named.add(key);
  if (head.objectKey !== undefined) named.add(head.objectKey);
  const manifests = objectPrefix(shard, 'manifest');
  const payloads = objectPrefix(shard, 'payload');
  const orphans = listed.filter(({ key }) => {
    if (key.startsWith(payloads)) return isPayloadDone(key, { logTimeMs });
    // One of the head that was read first is an orphan only since.
    if (key.startsWith(manifests) && head.manifest.version !== version) return false;
    return !named.has(key);
  });
  return summary(orphans);
}

export async function listAll(
  objects: Pick<ObjectStore, 'list'>,
  prefix: string,
): Promise<readonly ObjectInfo[]> {
  const listed: ObjectInfo[] = [];
  for (let page = 1; page <= PAGES_MAX; page++) {
    const last = listed.at(-1)?.key;
    const from = last === undefined ? {} : { after: last };
    const infos = await objects.list(prefix, { limit: PAGE, ...from });
    listed.push(...infos);
    if (infos.length < PAGE) break;
  }
  return listed;
}

export function summary(orphans: readonly ObjectInfo[]): Orphans {
  const bytes = orphans.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const counts = { objects: orphans.length, bytes };
  if (orphans.length === 0) return counts;
  return { ...counts, oldestMs: Math.min(...orphans.map(({ modifiedMs }) => modifiedMs)) };
}

/** More ids than collections there may be, dropped ones included. */
const IDS_MAX = 100_000;
const ROOT = 'collections/';

/**
 * Objects below ids of which the catalog knows nothing: put by somebody who was frozen until everything
 * of the collection was collected, or the catalog is not the one of these objects. Two listings an id,
 * whatever lies below it.
 */
export async function unknownCollections(
  objects: Pick<ObjectStore, 'list'>,
  catalog: Pick<Catalog, 'getCollection'>,
): Promise<readonly (Orphans & Readonly<{ collectionId: number }>)[]> {
  const unknown: (Orphans & Readonly<{ collectionId: number }>)[] = [];
  let after: string | undefined;
  for (let count = 0; count < IDS_MAX; count++) {
    const from = after === undefined ? {} : { after };
    const [first] = await objects.list(ROOT, { limit: 1, ...from });
    if (first === undefined) break;
    const id = first.key.slice(ROOT.length).split('/', 1)[0] ?? '';
    // `0` comes right behind `/`, so this is right behind everything below the id.
    after = `${ROOT}${id}0`;
    const collectionId = Number(id);
    // Asked after its object was seen: the row is made before any object.
    if (Number.isSafeInteger(collectionId) && (await catalog.getCollection(collectionId))) continue;
    const listed = await listAll(objects, collectionPrefix(collectionId));
    unknown.push({ collectionId, ...summary(listed) });
  }
  return unknown;
}
