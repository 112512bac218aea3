/**
 * What s3rver keeps its objects in, instead of its own files. s3rver 3.7.1 answers a PUT before the
 * bytes are written, shows readers half-replaced objects, answers `bytes=0-0` with the whole object,
 * lists in the order of its folders, and loses races between a delete and a put in one folder; S3
 * does none of it (Amazon S3 API Reference: GetObject, ListObjectsV2; User Guide: "Amazon S3 data
 * consistency model"). Its HTTP side, which reads what the SDK sends, is used as it is.
 */
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { crc32 } from 'node:zlib';

type Headers = Readonly<Record<string, unknown>>;
/** s3rver's own class, the form in which a store hands out what it has. */
type Handed = {
  range?: { start: number; end: number };
  metadata: Record<string, string>;
  content: unknown;
};
type Put = Readonly<{ bucket: string; key: string; content: Readable; metadata: Headers }>;
type Kept = Readonly<{ bytes: Buffer; md5: string; atMs: number }>;
type Upload = Readonly<{ bucket: string; key: string; parts: Map<number, Buffer> }>;
type Stored = Readonly<{ size: number; md5: string }>;
type ListOptions = Readonly<{ startAfter?: string; prefix?: string; maxKeys?: number }>;

const require = createRequire(import.meta.url);
// s3rver has no types; these are the constructors in the files named.
const S3Object = require('s3rver/lib/models/object.js') as new (
  bucket: string,
  key: string,
  content: unknown,
  metadata: Headers,
) => Handed;
const S3Error = require('s3rver/lib/models/error.js') as new (code: string, text: string) => Error;
const S3Bucket = require('s3rver/lib/models/bucket.js') as new (name: string, at: Date) => object;

export class MemoryS3Store {
  readonly #buckets = new Map<string, Map<string, Kept>>();
  readonly #uploads = new Map<string, Upload>();

  reset(): void {
    this.#buckets.clear();
  }

  async getBucket(name: string): Promise<object | null> {
    return this.#buckets.has(name) ? new S3Bucket(name, new Date(0)) : null;
  }

  async putBucket(name: string): Promise<object | null> {
    if (!this.#buckets.has(name)) this.#buckets.set(name, new Map());
    return this.getBucket(name);
  }

  async deleteBucket(name: string): Promise<void> {
    this.#buckets.delete(name);
  }

  /** No website, no CORS rules, no tags. */
  async getSubresource(): Promise<null> {
    return null;
  }

  async listObjects(bucket: string, options: ListOptions) {
    const { startAfter = '', prefix = '', maxKeys = 1_000 } = options;
    const objects = this.#bucket(bucket);
    const keys = [...objects.keys()]
      .filter((key) => key.startsWith(prefix) && key > startAfter)
      .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    return {
      objects: keys.slice(0, maxKeys).map((key) => this.#hand(bucket, key, null)),
      commonPrefixes: [],
      isTruncated: keys.length > maxKeys,
    };
  }

  async existsObject(bucket: string, key: string): Promise<boolean> {
    return this.#bucket(bucket).has(key);
  }

  async getObject(
    bucket: string,
    key: string,
    options: Readonly<{ start?: number; end?: number }> = {},
  ): Promise<Handed | null> {
    const kept = this.#bucket(bucket).get(key);
    if (kept === undefined) return null;
    const isRange = options.start !== undefined;
    const start = options.start ?? 0;
    const last = kept.bytes.length - 1;
    const end = Math.min(options.end ?? last, last);
    const isOutside = isRange && start > last;
    const content = isOutside ? null : Readable.from([kept.bytes.subarray(start, end + 1)]);
    const object = this.#hand(bucket, key, content);
    if (isRange) object.range = { start, end };
    else object.metadata['x-amz-checksum-crc32'] = crc32Text(kept.bytes);
    return object;
  }

  async putObject(put: Put): Promise<Stored> {
    return this.#keep(put.bucket, put.key, await buffer(put.content));
  }

  async copyObject(fromBucket: string, from: string, toBucket: string, to: string) {
    const kept = this.#bucket(fromBucket).get(from);
    if (kept === undefined) throw new S3Error('NoSuchKey', from);
    this.#keep(toBucket, to, kept.bytes);
    return this.#hand(toBucket, to, null).metadata;
  }

  async deleteObject(bucket: string, key: string): Promise<void> {
    this.#bucket(bucket).delete(key);
  }

  async initiateUpload(bucket: string, key: string, id: string): Promise<void> {
    this.#uploads.set(id, { bucket, key, parts: new Map() });
  }

  async putPart(_bucket: string, id: string, part: string, content: Readable): Promise<Stored> {
    const bytes = await buffer(content);
    this.#upload(id).parts.set(Number(part), bytes);
    return { size: bytes.length, md5: md5Of(bytes) };
  }

  /** The part's ETag. @throws an S3 error where the range does not lie within the source */
  copyPart(
    source: Readonly<{ bucket: string; key: string; first: number; last: number }>,
    to: Readonly<{ id: string; part: number }>,
  ): string {
    const kept = this.#bucket(source.bucket).get(source.key);
    if (kept === undefined) throw new S3Error('NoSuchKey', source.key);
    if (source.last >= kept.bytes.length) throw new S3Error('InvalidArgument', 'range');
    const bytes = kept.bytes.subarray(source.first, source.last + 1);
    this.#upload(to.id).parts.set(to.part, bytes);
    return md5Of(bytes);
  }

  async putObjectMultipart(
    bucket: string,
    id: string,
    listed: readonly Readonly<{ number: number; etag: string }>[],
  ): Promise<Stored> {
    const { key, parts } = this.#upload(id);
    const bytes = listed.map(({ number, etag }, index) => {
      const part = parts.get(number);
      if (part === undefined || md5Of(part) !== etag) throw new S3Error('InvalidPart', 'part');
      const isLast = index === listed.length - 1;
      if (!isLast && part.length < 5 * 1024 * 1024) throw new S3Error('EntityTooSmall', 'part');
      return part;
    });
    this.#uploads.delete(id);
    return this.#keep(bucket, key, Buffer.concat(bytes));
  }

  abortUpload(id: string): void {
    this.#upload(id);
    this.#uploads.delete(id);
  }

  /** Keys and ids of the uploads of a bucket that were neither completed nor aborted. */
  openUploads(bucket: string): readonly Readonly<{ key: string; id: string }>[] {
    return [...this.#uploads]
      .filter(([, upload]) => upload.bucket === bucket)
      .map(([id, { key }]) => ({ key, id }));
  }

  #keep(bucket: string, key: string, bytes: Buffer): Stored {
    const md5 = md5Of(bytes);
    this.#bucket(bucket).set(key, { bytes, md5, atMs: Date.now() });
    return { size: bytes.length, md5 };
  }

  #hand(bucket: string, key: string, content: unknown): Handed {
    const kept = this.#bucket(bucket).get(key);
    if (kept === undefined) throw new S3Error('NoSuchKey', key);
    return new S3Object(bucket, key, content, {
      etag: JSON.stringify(kept.md5),
      'last-modified': new Date(kept.atMs).toUTCString(),
      'content-length': String(kept.bytes.length),
    });
  }

  #bucket(name: string): Map<string, Kept> {
    const found = this.#buckets.get(name);
    if (found === undefined) throw new S3Error('NoSuchBucket', name);
    return found;
  }

  #upload(id: string): Upload {
    const found = this.#uploads.get(id);
    if (found === undefined) throw new S3Error('NoSuchUpload', id);
    return found;
  }
}

const md5Of = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');

function crc32Text(bytes: Uint8Array): string {
  const text = Buffer.alloc(4);
  text.writeUInt32BE(crc32(bytes));
  return text.toString('base64');
}
