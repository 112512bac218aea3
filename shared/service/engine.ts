/** What the routes ask of an engine; `runtime/embedded.ts` opens one. */
import type { Collection } from '#catalog/collection.ts';
import type { Catalog } from '#catalog/collections.ts';
import type { WritePorts } from '#ingest/write-shard.ts';
import type { ManifestCache } from '#manifest/head.ts';
import type { Reader } from '#query/reader.ts';
import { databaseOf, type RequestContext } from './route.ts';

export type EngineParts = Readonly<{
  catalog: Catalog;
  reader: Reader;
  ports: WritePorts & Readonly<{ manifests: ManifestCache }>;
}>;

/** @throws StoreError `COLLECTION_NOT_FOUND`, `DATABASE_NOT_FOUND` */
export const findCollection = (
  { catalog }: Pick<EngineParts, 'catalog'>,
  request: Readonly<{ dbName?: string | undefined; collectionName: string }>,
  context: RequestContext,
): Promise<Collection> =>
  catalog.findCollection(databaseOf(request, context), request.collectionName);
