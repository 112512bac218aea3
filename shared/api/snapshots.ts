/** snapshots/*, jobs/snapshot/* and collections/clone: names, and how long a guard lasts. */
import * as z from 'zod';
import { CollectionName, CollectionScope, Description, Int, KnownName, Scope } from './names.ts';

/** A guard's time to live: from a second to 30 days, as long as automatic backups are kept at most. */
const GUARD_SECONDS_MAX = 30 * 24 * 3600;

export const CreateSnapshotRequest = z.object({
  ...CollectionScope,
  snapshotName: CollectionName,
  description: Description.default(''),
  /** Accepted as Milvus does; a snapshot of ours is protected for as long as it exists. */
  compactionProtectionSeconds: Int.optional(),
});

/** Without a collection: the snapshots of the whole database. */
export const ListSnapshotsRequest = z.object({ ...Scope, collectionName: KnownName.optional() });

export const SnapshotRequest = z.object({ ...CollectionScope, snapshotName: KnownName });

export const PinSnapshotRequest = z.object({
  ...CollectionScope,
  snapshotName: KnownName,
  ttlSeconds: z.int32().min(1).max(GUARD_SECONDS_MAX),
});

export const UnpinSnapshotRequest = z.object({ ...Scope, pinId: z.int().min(1) });

export const RestoreSnapshotRequest = z.object({
  ...Scope,
  snapshotName: KnownName,
  sourceCollectionName: KnownName,
  targetCollectionName: CollectionName,
});

export const SnapshotJobRequest = z.object({ ...Scope, jobId: z.int().min(1) });
export const SnapshotJobsRequest = z.object({ ...Scope, collectionName: KnownName.optional() });

export const CloneRequest = z.object({
  ...CollectionScope,
  targetCollectionName: CollectionName,
});
