import type { S3Client } from '@aws-sdk/client-s3';
import { toStoreError } from './errors.ts';

/** A bucket, or the part of one below `prefix`, which is empty or ends with a slash. */
export type Bucket = Readonly<{
  client: S3Client;
  name: string;
  prefix: string;
  /** Headers of every call that creates an object; empty where the bucket's default applies. */
  encryption: Encryption;
}>;

export type Encryption = Readonly<
  | { ServerSideEncryption: 'aws:kms'; SSEKMSKeyId: string; BucketKeyEnabled: true }
  | Record<never, never>
>;

/** A bucket key spares a call to KMS, and its price, for nearly every object. */
export const encryptionWith = (kmsKeyId: string | undefined): Encryption =>
  kmsKeyId === undefined
    ? {}
    : { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: kmsKeyId, BucketKeyEnabled: true };

/** Bucket and key of an object as the SDK wants them. */
export const addressOf = (bucket: Bucket, key: string) => ({
  Bucket: bucket.name,
  Key: bucket.prefix + key,
});

/** As the header of a copy wants it. Keys need no escapes; a prefix cannot hold any either. */
export const copySource = (bucket: Bucket, key: string): string =>
  `${bucket.name}/${bucket.prefix}${key}`;

/**
 * How messages name an object: by its key alone. The bucket's name holds the number of the account, and
 * messages reach clients; whoever reads the log knows which bucket its function has.
 */
export const nameObject = (key: string): string => `object ${key}`;

/** Whose name is no matter: a listing, or many of them. */
export const OBJECTS = 'objects';

/** Runs a call; its failure comes out as a StoreError that names the action and the resource. */
export async function ask<T>(action: string, resource: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    // Every call of this store may be repeated: a key always gets the same bytes.
    throw toStoreError(error, { service: 's3', action, resource, idempotent: true });
  }
}
