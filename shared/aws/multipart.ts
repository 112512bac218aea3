/**
 * Objects made of parts: many in flight, and the object appears wholly with the last call or never.
 *
 * A crash in between leaves parts under no key: they are invisible and are paid for until the
 * bucket's lifecycle rule aborts the upload, which `serverless.yml` therefore has to contain.
 */
import { crc32 } from 'node:zlib';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import pLimit from 'p-limit';
import { must } from '#base/assert.ts';
import { addressOf, ask, type Bucket, copySource, nameObject } from './bucket.ts';

/** S3's own limits: all parts but the last have at least 5 MiB, and there are at most 10,000. */
export const PART_BYTES_MIN = 5 * 1024 * 1024;
const PARTS_MAX = 10_000;

/**
 * One connection carries about 80 MB/s and a function's network 75 MiB/s after its first burst of
 * 1.2 GiB/s, so four keep it full; parts are views, and cost no memory beside the object.
 */
const PARTS_IN_FLIGHT = 4;

/** Where a part lies in the object. */
type Span = Readonly<{ number: number; offset: number; length: number }>;
type SentPart = Readonly<{ PartNumber: number; ETag: string; ChecksumCRC32?: string }>;
type Upload = Readonly<{ id: string; signal: AbortSignal }>;

export async function putInParts(
  bucket: Bucket,
  key: string,
  bytes: Uint8Array,
  partBytes: number,
): Promise<void> {
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(bytes));
  await uploadInParts(
    bucket,
    key,
    { sizeBytes: bytes.length, partBytes, crc32: checksum.toString('base64') },
    async (span, { id, signal }) => {
      const answer = await bucket.client.send(
        new UploadPartCommand({
          ...addressOf(bucket, key),
          UploadId: id,
          PartNumber: span.number,
          Body: Buffer.from(bytes.buffer, bytes.byteOffset + span.offset, span.length),
          ChecksumAlgorithm: 'CRC32',
        }),
        { abortSignal: signal },
      );
      return { ETag: answer.ETag, ChecksumCRC32: answer.ChecksumCRC32 };
    },
  );
}

/** `etag`: of the source when its size was read, so that no part comes from a replaced object. */
export async function copyInParts(
  bucket: Bucket,
  from: Readonly<{ key: string; sizeBytes: number; etag: string | undefined }>,
  to: string,
  partBytes: number,
): Promise<void> {
  const { key, sizeBytes, etag } = from;
  await uploadInParts(bucket, to, { sizeBytes, partBytes }, async (span, { id, signal }) => {
    const answer = await bucket.client.send(
      new UploadPartCopyCommand({
        ...addressOf(bucket, to),
        UploadId: id,
        PartNumber: span.number,
        CopySource: copySource(bucket, key),
        CopySourceRange: `bytes=${span.offset}-${span.offset + span.length - 1}`,
        ...(etag === undefined ? {} : { CopySourceIfMatch: etag }),
      }),
      { abortSignal: signal },
    );
    return answer.CopyPartResult ?? {};
  });
}

type Whole = Readonly<{ sizeBytes: number; partBytes: number; crc32?: string }>;
type SendPart = (
  span: Span,
  upload: Upload,
) => Promise<{ ETag?: string | undefined; ChecksumCRC32?: string | undefined }>;

async function uploadInParts(
  bucket: Bucket,
  key: string,
  whole: Whole,
  sendPart: SendPart,
): Promise<void> {
  const name = nameObject(key);
  const created = await ask('CreateMultipartUpload', name, () =>
    bucket.client.send(
      new CreateMultipartUploadCommand({
        ...addressOf(bucket, key),
        ...bucket.encryption,
        ChecksumAlgorithm: 'CRC32',
        ChecksumType: 'FULL_OBJECT',
      }),
    ),
  );
  const id = must(created.UploadId, 'S3 names the upload that it creates');
  try {
    const parts = await sendParts(name, whole, id, sendPart);
    // S3 compares the size, and where it is given the checksum, with what the parts add up to.
    await ask('CompleteMultipartUpload', name, () =>
      bucket.client.send(
        new CompleteMultipartUploadCommand({
          ...addressOf(bucket, key),
          UploadId: id,
          MultipartUpload: { Parts: parts },
          MpuObjectSize: whole.sizeBytes,
          ChecksumType: 'FULL_OBJECT',
          ...(whole.crc32 === undefined ? {} : { ChecksumCRC32: whole.crc32 }),
        }),
      ),
    );
  } catch (error) {
    // No part is under way any more, so that none can arrive behind the abort. Where the abort
    // fails as well, the lifecycle rule does it; the first failure is the one to report.
    const abort = new AbortMultipartUploadCommand({ ...addressOf(bucket, key), UploadId: id });
    await bucket.client.send(abort).catch(() => undefined);
    throw error;
  }
}

/** The parts in order. Returns or throws only when no part is under way. */
async function sendParts(
  name: string,
  whole: Whole,
  id: string,
  sendPart: SendPart,
): Promise<SentPart[]> {
  const limit = pLimit(PARTS_IN_FLIGHT);
  const stop = new AbortController();
  let failure: Readonly<{ error: unknown }> | undefined;
  const sent = spansOf(whole).map((span) =>
    limit(async () => {
      if (failure !== undefined) return undefined;
      try {
        const part = await sendPart(span, { id, signal: stop.signal });
        const ETag = must(part.ETag, 'S3 gives every part an ETag');
        const { ChecksumCRC32 } = part;
        const sum = ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 };
        return { PartNumber: span.number, ETag, ...sum };
      } catch (error) {
        failure ??= { error };
        stop.abort();
        return undefined;
      }
    }),
  );
  const parts = (await Promise.all(sent)).filter((part) => part !== undefined);
  if (failure === undefined) return parts;
  const { error } = failure;
  return ask('UploadPart', name, () => Promise.reject(error));
}

/** Parts of `partBytes`, larger where there would be too many. */
function spansOf({ sizeBytes, partBytes }: Whole): Span[] {
  const size = Math.max(partBytes, Math.ceil(sizeBytes / PARTS_MAX));
  return Array.from({ length: Math.ceil(sizeBytes / size) }, (_, index) => ({
    number: index + 1,
    offset: index * size,
    length: Math.min(size, sizeBytes - index * size),
  }));
}
