/**
 * Objects in S3: the object `a/b` is the key `a/b` behind the store's prefix. S3 itself promises what
 * the port does: a put that was answered is durable in several zones and seen by every later read
 * and listing, and an object appears wholly or not at all.
 */
import {
  CopyObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { isStoreError, StoreError } from '#base/errors.ts';
import { checkByteRange, checkObjectKey, checkObjectPrefix, listLimit } from '#ports/arguments.ts';
import type { ByteRange, ListOptions, ObjectInfo, ObjectStore } from '#ports/object-store.ts';
import {
  addressOf,
  ask,
  type Bucket,
  copySource,
  encryptionWith,
  nameObject,
  OBJECTS,
} from './bucket.ts';
import { failureOf, toStoreError } from './errors.ts';
import { copyInParts, PART_BYTES_MIN, putInParts } from './multipart.ts';
import { BodyLost, endsEarly, rangeHeader, readBody } from './object-body.ts';

/** Below, one PUT costs one request; above, 16 MiB parts fill the network and repeat little. */
const MULTIPART_BYTES = 16 * 1024 * 1024;

/**
 * One call copies up to 5 GiB, but answers only when all is copied. Parts of 256 MiB answer within
 * seconds, and four of them at once copy the largest segment of 1 GiB.
 */
const COPY_BYTES = 256 * 1024 * 1024;
const COPY_BYTES_MAX = 5 * 1024 * 1024 * 1024;

/** S3's limit for one DeleteObjects. */
const DELETE_BATCH = 1_000;

/** The SDK repeats a request, but not a body that broke off while it was read. */
const BODY_ATTEMPTS_MAX = 3;

/** S3 may end a page early. Even pages of ten keys fill the port's limit of 1,000 in 100 calls. */
const PAGES_MAX = 100;

/**
 * `prefix`: empty or ending with a slash; the store sees nothing outside of it.
 * `kmsKeyId`: every object is encrypted with this key; default is what the bucket is set to.
 * `multipartBytes`: larger objects are put in parts of this size, default 16 MiB, at least 5 MiB.
 * `copyBytes`: larger objects are copied in parts of this size, default 256 MiB, 5 MiB to 5 GiB.
 */
export type S3ObjectStoreOptions = Readonly<{
  client: S3Client;
  bucket: string;
  prefix?: string;
  kmsKeyId?: string;
  multipartBytes?: number;
  copyBytes?: number;
}>;

/** Nothing is sent before the first call. @throws StoreError `INVALID_ARGUMENT` */
export function openS3ObjectStore(options: S3ObjectStoreOptions): ObjectStore {
  const { prefix = '', multipartBytes = MULTIPART_BYTES, copyBytes = COPY_BYTES } = options;
  checkObjectPrefix(prefix);
  if (prefix !== '' && !prefix.endsWith('/')) {
    throw new StoreError('INVALID_ARGUMENT', `prefix ${prefix} of a store has to end with a slash`);
  }
  checkPartBytes('multipartBytes', multipartBytes);
  checkPartBytes('copyBytes', copyBytes);
  const encryption = encryptionWith(options.kmsKeyId);
  const bucket = { client: options.client, name: options.bucket, prefix, encryption };
  return new S3ObjectStore(bucket, multipartBytes, copyBytes);
}

function checkPartBytes(name: string, bytes: number): void {
  if (Number.isInteger(bytes) && bytes >= PART_BYTES_MIN && bytes <= COPY_BYTES_MAX) return;
  const bounds = `${PART_BYTES_MIN} to ${COPY_BYTES_MAX}`;
  throw new StoreError(
    'INVALID_ARGUMENT',
    `${name} is a whole number of ${bounds}, found ${bytes}`,
  );
}

class S3ObjectStore implements ObjectStore {
  readonly #bucket: Bucket;
  readonly #multipartBytes: number;
  readonly #copyBytes: number;

  constructor(bucket: Bucket, multipartBytes: number, copyBytes: number) {
    this.#bucket = bucket;
    this.#multipartBytes = multipartBytes;
    this.#copyBytes = copyBytes;
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    checkObjectKey(key);
    const bucket = this.#bucket;
    if (bytes.length > this.#multipartBytes) {
      return putInParts(bucket, key, bytes, this.#multipartBytes);
    }
    await ask('PutObject', nameObject(key), () =>
      bucket.client.send(
        new PutObjectCommand({
          ...addressOf(bucket, key),
          ...bucket.encryption,
          // A Buffer can be sent again, and its checksum is a header, which look-alikes understand.
          Body: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length),
          ChecksumAlgorithm: 'CRC32',
        }),
      ),
    );
  }

  async get(key: string, range?: ByteRange): Promise<Uint8Array> {
    checkObjectKey(key);
    if (range !== undefined) checkByteRange(range);
    const name = nameObject(key);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#read(name, key, range);
      } catch (error) {
        if (!(error instanceof BodyLost)) throw error;
        if (attempt >= BODY_ATTEMPTS_MAX) throw bodyFailure(name, error);
      }
    }
  }

  async #read(name: string, key: string, range: ByteRange | undefined): Promise<Uint8Array> {
    const { client } = this.#bucket;
    const about = range === undefined ? {} : { Range: rangeHeader(range) };
    const command = new GetObjectCommand({ ...addressOf(this.#bucket, key), ...about });
    const answer = await ask('GetObject', name, () =>
      client.send(command).catch((error) => {
        if (range === undefined || failureOf(error).name !== 'InvalidRange') throw error;
        throw endsEarly(name, undefined, range);
      }),
    );
    return readBody(name, answer, range);
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    checkObjectKey(key);
    return (await this.#look(key))?.info;
  }

  async #look(key: string): Promise<{ info: ObjectInfo; etag: string | undefined } | undefined> {
    const bucket = this.#bucket;
    try {
      const answer = await ask('HeadObject', nameObject(key), () =>
        bucket.client.send(new HeadObjectCommand(addressOf(bucket, key))),
      );
      const info = infoOf(key, answer.ContentLength, answer.LastModified);
      return { info, etag: answer.ETag };
    } catch (error) {
      if (isStoreError(error, 'OBJECT_NOT_FOUND')) return undefined;
      throw error;
    }
  }

  async list(prefix: string, options?: ListOptions): Promise<readonly ObjectInfo[]> {
    checkObjectPrefix(prefix);
    const limit = listLimit(options);
    const bucket = this.#bucket;
    // An empty StartAfter is no StartAfter.
    const after = options?.after ? { StartAfter: bucket.prefix + options.after } : {};
    const infos: ObjectInfo[] = [];
    let next: { ContinuationToken?: string } = {};
    for (let pages = 0; pages < PAGES_MAX; pages++) {
      const page = await ask('ListObjectsV2', OBJECTS, () =>
        bucket.client.send(
          new ListObjectsV2Command({
            Bucket: bucket.name,
            Prefix: bucket.prefix + prefix,
            MaxKeys: limit - infos.length,
            ...after,
            ...next,
          }),
        ),
      );
      for (const { Key = '', Size, LastModified } of page.Contents ?? []) {
        const key = Key.slice(bucket.prefix.length);
        // Such as the folder that S3's console makes: an empty object whose key ends with a slash.
        if (isObjectKey(key)) infos.push(infoOf(key, Size, LastModified));
      }
      if (infos.length >= limit || page.NextContinuationToken === undefined) return infos;
      next = { ContinuationToken: page.NextContinuationToken };
    }
    const message = `the bucket gave ${infos.length} of ${limit} keys in ${PAGES_MAX} pages`;
    throw new StoreError('UNCERTAIN', `${message}: too much in it is not Sterna's`);
  }

  async delete(keys: readonly string[]): Promise<void> {
    for (const key of keys) checkObjectKey(key);
    for (let from = 0; from < keys.length; from += DELETE_BATCH) {
      await this.#deleteBatch(keys.slice(from, from + DELETE_BATCH));
    }
  }

  async #deleteBatch(keys: readonly string[]): Promise<void> {
    const bucket = this.#bucket;
    const resource = `${keys.length} ${OBJECTS}`;
    const answer = await ask('DeleteObjects', resource, () =>
      bucket.client.send(
        new DeleteObjectsCommand({
          Bucket: bucket.name,
          Delete: { Objects: keys.map((key) => ({ Key: bucket.prefix + key })), Quiet: true },
        }),
      ),
    );
    const failed = (answer.Errors ?? []).filter(({ Code }) => Code !== 'NoSuchKey');
    const [first] = failed;
    if (first === undefined) return;
    const name = nameObject((first.Key ?? '').slice(bucket.prefix.length));
    const others = failed.length === 1 ? '' : ` and ${failed.length - 1} others`;
    throw toStoreError(
      { name: first.Code ?? 'InternalError', message: first.Message },
      { service: 's3', action: 'DeleteObject', resource: `${name}${others}`, idempotent: true },
    );
  }

  async copy(from: string, to: string): Promise<void> {
    checkObjectKey(from);
    checkObjectKey(to);
    const bucket = this.#bucket;
    const source = await this.#look(from);
    if (source === undefined) {
      throw new StoreError('OBJECT_NOT_FOUND', `there is no ${nameObject(from)}`);
    }
    // S3 refuses to copy an object onto itself.
    if (from === to) return;
    const { sizeBytes } = source.info;
    if (sizeBytes > this.#copyBytes) {
      return copyInParts(bucket, { key: from, sizeBytes, etag: source.etag }, to, this.#copyBytes);
    }
    await ask('CopyObject', nameObject(from), () =>
      bucket.client.send(
        new CopyObjectCommand({
          ...addressOf(bucket, to),
          ...bucket.encryption,
          CopySource: copySource(bucket, from),
        }),
      ),
    );
  }
}

/** A header has whole seconds and a listing may have more; one object has one time. */
function infoOf(
  key: string,
  sizeBytes: number | undefined,
  modified: Date | undefined,
): ObjectInfo {
  if (sizeBytes === undefined || modified === undefined) {
    throw new StoreError('UNCERTAIN', `S3 told neither size nor time of object ${key}`);
  }
  return { key, sizeBytes, modifiedMs: Math.floor(modified.getTime() / 1000) * 1000 };
}

function isObjectKey(key: string): boolean {
  try {
    checkObjectKey(key);
    return true;
  } catch {
    return false;
  }
}

function bodyFailure(name: string, lost: BodyLost): StoreError {
  const options = { cause: lost.cause };
  return lost.isMismatch
    ? new StoreError('DATA_CORRUPT', `${name} does not match its checksum`, options)
    : new StoreError('UNCERTAIN', `${name} broke off while it was read`, options);
}
