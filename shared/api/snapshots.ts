/** snapshots/*, jobs/snapshot/* and collections/clone: names, and how long a guard lasts. */
import * as z from 'zod';
import {
  CollectionName,
  CollectionScope,
  Description,
  Int,
  KnownName,
  refuse,
  Scope,
  SnapshotName,
} from './names.ts';

/** A guard's time to live: from a second to 30 days, as long as automatic backups are kept at most. */
const GUARD_SECONDS_MAX = 30 * 24 * 3600;

/** Ids that were given out are exact in JSON, and positive. */
const Id = z
  .int()
  .transform((id, context) =>
    id >= 1 ? id : refuse(context, 'INVALID_ARGUMENT', `an id is positive, found ${id}`, id),
  );

export const CreateSnapshotRequest = z.object({
  ...CollectionScope,
  snapshotName: SnapshotName,
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
  ttlSeconds: Int.transform((seconds, context) =>
    seconds >= 1 && seconds <= GUARD_SECONDS_MAX
      ? seconds
      : refuse(
          context,
          'INVALID_ARGUMENT',
          `from 1 to ${GUARD_SECONDS_MAX} seconds, found ${seconds}`,
          seconds,
        ),
  ),
});

export const UnpinSnapshotRequest = z.object({ ...Scope, pinId: Id });

export const RestoreSnapshotRequest = z.object({
  ...Scope,
  snapshotName: KnownName,
  sourceCollectionName: KnownName,
  targetCollectionName: CollectionName,
});

export const SnapshotJobRequest = z.object({ ...Scope, jobId: Id });
export const SnapshotJobsRequest = z.object({ ...Scope, collectionName: KnownName.optional() });

export const CloneRequest = z.object({
  ...CollectionScope,
  targetCollectionName: CollectionName,
});
