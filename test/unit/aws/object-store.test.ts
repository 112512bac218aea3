import { crc32 } from 'node:zlib';
import { ListMultipartUploadsCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type AwsSettings, s3Client } from '#aws/clients.ts';
import { openS3ObjectStore, type S3ObjectStoreOptions } from '#aws/object-store.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import { patternBytes } from '../../contract/subject.ts';
import { emulatorSettings, type S3Emulator, startS3 } from '../../support/emulators/s3.ts';
import { type Fate, type S3Proxy, startS3Proxy } from '../../support/emulators/s3-proxy.ts';

const MIB = 1024 * 1024;

let emulator: S3Emulator;
let proxy: S3Proxy;
let bucket: string;
beforeAll(async () => {
  emulator = await startS3();
  proxy = await startS3Proxy(emulator.endpoint);
});
afterAll(async () => {
  await proxy.close();
  await emulator.close();
});
beforeEach(async () => {
  bucket = await emulator.newBucket();
  proxy.decide(() => 'pass');
});

/** A store behind the proxy. */
function open(
  options: Partial<S3ObjectStoreOptions> = {},
  waits: NonNullable<AwsSettings['waits']> = {},
): ObjectStore {
  const client = s3Client(emulatorSettings(proxy.endpoint, waits));
  return openS3ObjectStore({ client, bucket, ...options });
}

/** The first requests meet these fates, and the others pass. */
const first = (...fates: readonly Fate[]) => proxy.decide(({ nth }) => fates[nth - 1] ?? 'pass');

const always = (fate: Fate) => proxy.decide(() => fate);

const query = (path: string) => new URL(path, 'http://s3').searchParams;

describe('what is sent', () => {
  it('names its checksum, and the KMS key where one is given', async () => {
    const bytes = patternBytes(1_000);
    await open({ kmsKeyId: 'key-1' }).put('k', bytes);
    const headers = proxy.asked[0]?.headers;
    const checksum = Buffer.alloc(4);
    checksum.writeUInt32BE(crc32(bytes));
    expect(headers).toMatchObject({
      'x-amz-checksum-crc32': checksum.toString('base64'),
      'x-amz-server-side-encryption': 'aws:kms',
      'x-amz-server-side-encryption-aws-kms-key-id': 'key-1',
      'x-amz-server-side-encryption-bucket-key-enabled': 'true',
    });
    await open().put('k', bytes);
    expect(proxy.asked[1]?.headers).not.toHaveProperty('x-amz-server-side-encryption');
  });

  it('encrypts what it puts in parts and what it copies as well', async () => {
    const store = open({ kmsKeyId: 'key-1', multipartBytes: 5 * MIB, copyBytes: 6 * MIB });
    await store.put('k', patternBytes(5 * MIB + 1));
    await store.copy('k', 'whole');
    await store.put('larger', patternBytes(7 * MIB));
    await store.copy('larger', 'parts');
    const creating = proxy.asked.filter(
      ({ path, headers }) =>
        path.endsWith('?uploads') ||
        query(path).get('uploads') !== null ||
        (headers['x-amz-copy-source'] !== undefined && query(path).get('partNumber') === null),
    );
    expect(creating).toHaveLength(4);
    for (const { headers } of creating) {
      expect(headers['x-amz-server-side-encryption-aws-kms-key-id']).toBe('key-1');
    }
  });

  it('puts one request below the bound and parts of the bound above it', async () => {
    const store = open({ multipartBytes: 5 * MIB });
    await store.put('at', patternBytes(5 * MIB));
    expect(proxy.asked.map(({ method }) => method)).toEqual(['PUT']);
    proxy.asked.length = 0;
    await store.put('above', patternBytes(12 * MIB));
    const sizes = proxy.asked
      .filter(({ method }) => method === 'PUT')
      .map(({ path, body }) => [query(path).get('partNumber'), body.length])
      .sort();
    expect(sizes).toEqual([
      ['1', 5 * MIB],
      ['2', 5 * MIB],
      ['3', 2 * MIB],
    ]);
  });

  it('deletes by thousands', async () => {
    await open().delete(Array.from({ length: 2_001 }, (_, index) => `k/${index}`));
    const keys = proxy.asked.map(({ body }) => body.toString().split('<Key>').length - 1);
    expect(keys).toEqual([1_000, 1_000, 1]);
  });

  it('refuses sizes and prefixes that S3 would', () => {
    for (const wrong of [
      { multipartBytes: 5 * MIB - 1 },
      { copyBytes: 6 * 1024 * MIB },
      { multipartBytes: Number.NaN },
      { prefix: 'no-slash' },
      { prefix: 'A/' },
    ]) {
      expect(() => open(wrong)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    }
  });
});

describe('what passes by itself', () => {
  it.each<[string, Fate]>([
    ['a reset', 'reset'],
    ['a lost answer', 'lose'],
    ['a 500', { status: 500, code: 'InternalError' }],
    ['a 503 SlowDown', { status: 503, code: 'SlowDown' }],
  ])('is asked again: %s', async (_, fate) => {
    const store = open();
    first(fate, fate);
    await store.put('k', patternBytes(10));
    expect(proxy.asked).toHaveLength(3);
    first(fate);
    expect(await store.get('k')).toEqual(patternBytes(10));
  });

  it('reads a body again that broke off, stalled or changed on the way', async () => {
    const store = open({}, { s3: { idleMs: 300 } });
    const bytes = patternBytes(100_000);
    await store.put('k', bytes);
    for (const fate of ['cut', 'stall-body', 'flip'] as const) {
      first(fate);
      expect(Buffer.compare(await store.get('k'), bytes)).toBe(0);
      expect(proxy.asked).toHaveLength(2);
    }
    first('cut', 'cut');
    expect(await store.get('k', { offset: 7, length: 900 })).toEqual(bytes.slice(7, 907));
  });

  it('waits for sockets of its own before the clock of a request runs', async () => {
    // 200 requests take 64 sockets four rounds: the last is sent after more than `connectMs`.
    const store = open({}, { s3: { connectMs: 2_000, attempts: 1 } });
    await store.put('k', patternBytes(10));
    always({ afterMs: 700 });
    const heads = await Promise.all(Array.from({ length: 200 }, () => store.head('k')));
    expect(heads.every((head) => head?.sizeBytes === 10)).toBe(true);
  });

  it('survives the death of all its sockets at once', async () => {
    const store = open();
    await store.put('k', patternBytes(10));
    first(...Array.from({ length: 64 }, () => 'reset' as const));
    const all = await Promise.all(Array.from({ length: 64 }, () => store.get('k')));
    expect(all.every((bytes) => bytes.length === 10)).toBe(true);
    expect(proxy.asked).toHaveLength(128);
  });

  it('fills a page that S3 ends early', async () => {
    const store = open();
    for (const key of ['a', 'b', 'c']) await store.put(key, patternBytes(1));
    proxy.decide((asked) => {
      // As if S3 gave one key a page, whatever it was asked for.
      expect(Number(query(asked.path).get('max-keys'))).toBeLessThanOrEqual(3);
      return 'pass';
    });
    const pages = ['a', 'b', 'c'].map((key, index) => ({
      answer: () => ({
        status: 200,
        headers: { 'content-type': 'application/xml' },
        body: Buffer.from(
          `<ListBucketResult><Contents><Key>${key}</Key><Size>1</Size>` +
            '<LastModified>2025-01-02T03:04:05.678Z</LastModified></Contents>' +
            (index < 2 ? `<NextContinuationToken>${index}</NextContinuationToken>` : '') +
            `<IsTruncated>${index < 2}</IsTruncated></ListBucketResult>`,
        ),
      }),
    }));
    first(...pages);
    const found = await store.list('', { limit: 3 });
    expect(found.map(({ key }) => key)).toEqual(['a', 'b', 'c']);
    expect(found[0]?.modifiedMs).toBe(Date.parse('2025-01-02T03:04:05Z'));
    expect(proxy.asked.map(({ path }) => query(path).get('max-keys'))).toEqual(['3', '2', '1']);
  });
});

describe('what does not pass', () => {
  const failing = async (fate: Fate, act: (store: ObjectStore) => Promise<unknown>) => {
    const store = open({}, { s3: { idleMs: 500, answerMs: 1_000, attempts: 2 } });
    await openS3ObjectStore({ client: emulator.client, bucket }).put('k', patternBytes(10));
    always(fate);
    return act(store).then(
      () => expect.unreachable('it should have failed'),
      (error: unknown) => error,
    );
  };
  const put = (store: ObjectStore) => store.put('new', patternBytes(10));
  const get = (store: ObjectStore) => store.get('k');

  it.each<[string, Fate]>([
    ['resets', 'reset'],
    ['lost answers', 'lose'],
    ['silence', 'stall'],
    ['500', { status: 500, code: 'InternalError' }],
    ['503', { status: 503, code: 'ServiceUnavailable' }],
  ])('is uncertain, for writes and reads: %s', async (_, fate) => {
    for (const act of [put, get, (s: ObjectStore) => s.list(''), (s: ObjectStore) => s.head('k')]) {
      expect(await failing(fate, act)).toMatchObject({ code: 'UNCERTAIN' });
    }
    expect(proxy.asked).toHaveLength(2);
  });

  it('is overload where S3 says so', async () => {
    for (const act of [put, get]) {
      const error = await failing({ status: 503, code: 'SlowDown' }, act);
      expect(error).toMatchObject({ code: 'OVERLOADED', advice: { effect: 'none' } });
    }
  });

  it('is a refusal that names object and action, not the bucket, and keeps its cause', async () => {
    const error = await failing({ status: 403, code: 'AccessDenied' }, put);
    expect(error).toMatchObject({
      code: 'PLATFORM_REFUSED',
      advice: { retry: 'never', effect: 'none' },
      cause: { name: 'AccessDenied', message: 'planted' },
    });
    expect(String(error)).toContain('PutObject of object new:');
    expect(String(error)).not.toContain(bucket);
    expect(String(error)).toContain('permission');
    expect(String(error)).not.toContain('planted');
    expect(proxy.asked).toHaveLength(1);
    for (const act of [get, (s: ObjectStore) => s.head('k'), (s: ObjectStore) => s.list('')]) {
      const fate = { status: 403, code: 'AccessDenied' };
      expect(await failing(fate, act)).toMatchObject({ code: 'PLATFORM_REFUSED' });
    }
  });

  it('is a refusal where there is no such bucket', async () => {
    const client = s3Client(emulatorSettings(proxy.endpoint));
    const store = openS3ObjectStore({ client, bucket: 'no-such-bucket' });
    for (const act of [put, get, (s: ObjectStore) => s.list('')]) {
      const acted = act(store);
      await expect(acted).rejects.toMatchObject({ code: 'PLATFORM_REFUSED' });
      await expect(acted).rejects.toThrow(/there is no such bucket/);
    }
  });

  it('is uncertain where nobody listens', async () => {
    const client = s3Client(emulatorSettings('http://127.0.0.1:1'));
    const got = openS3ObjectStore({ client, bucket }).get('k');
    await expect(got).rejects.toMatchObject({ code: 'UNCERTAIN' });
    await expect(got).rejects.toThrow('ECONNREFUSED');
  });

  it('is a body that breaks off again and again', async () => {
    for (const fate of ['cut', 'stall-body'] as const) {
      expect(await failing(fate, get)).toMatchObject({ code: 'UNCERTAIN' });
      expect(proxy.asked).toHaveLength(3);
    }
  });

  it('is corruption where the bytes never give their checksum', async () => {
    const error = await failing('flip', get);
    expect(error).toMatchObject({ code: 'DATA_CORRUPT' });
    expect(String(error)).toContain('object k');
  });

  it('is corruption where the range is not the one asked for', async () => {
    const wrong = (contentRange: string | undefined, length: number): Fate => ({
      answer: ({ headers: { 'content-range': _, ...headers }, body }) => ({
        status: 206,
        headers: {
          ...headers,
          'content-length': String(length),
          ...(contentRange === undefined ? {} : { 'content-range': contentRange }),
        },
        body: body.subarray(0, length),
      }),
    });
    const range = (store: ObjectStore) => store.get('k', { offset: 2, length: 5 });
    for (const fate of [
      wrong('bytes 2-5/6', 4),
      wrong('bytes 2-5/10', 4),
      wrong('bytes 0-4/10', 5),
      wrong('bytes 2-6/10', 4),
      wrong(undefined, 5),
    ]) {
      const error = await failing(fate, range);
      expect(error).toMatchObject({ code: 'DATA_CORRUPT' });
      expect(String(error)).toContain('object k');
    }
  });

  it('is a key that DeleteObjects could not delete', async () => {
    const refused = (code: string): Fate => ({
      answer: () => ({
        status: 200,
        headers: { 'content-type': 'application/xml' },
        body: Buffer.from(
          `<DeleteResult><Error><Key>a</Key><Code>${code}</Code></Error>` +
            `<Error><Key>b</Key><Code>${code}</Code></Error></DeleteResult>`,
        ),
      }),
    });
    const drop = (store: ObjectStore) => store.delete(['a', 'b', 'c']);
    const denied = await failing(refused('AccessDenied'), drop);
    expect(denied).toMatchObject({ code: 'PLATFORM_REFUSED' });
    expect(String(denied)).toMatch(/DeleteObject of object a and 1 others/);
    expect(await failing(refused('SlowDown'), drop)).toMatchObject({ code: 'OVERLOADED' });
    expect(await failing(refused('InternalError'), drop)).toMatchObject({ code: 'UNCERTAIN' });
  });
});

describe('objects in parts', () => {
  const uploads = async () => {
    const open = await emulator.client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
    return open.Uploads ?? [];
  };
  const isPart = (path: string, number: number) => query(path).get('partNumber') === String(number);

  it('sends a part again', async () => {
    const store = open({ multipartBytes: 5 * MIB });
    const bytes = patternBytes(11 * MIB);
    let failed = 0;
    proxy.decide(({ path }) => (isPart(path, 2) && failed++ === 0 ? 'reset' : 'pass'));
    await store.put('k', bytes);
    expect(Buffer.compare(await store.get('k'), bytes)).toBe(0);
    expect(failed).toBe(2);
  });

  it('aborts the upload where a part cannot be sent, and shows no object', async () => {
    const store = open({ multipartBytes: 5 * MIB }, { s3: { attempts: 1 } });
    proxy.decide(({ path }) => (isPart(path, 2) ? 'reset' : 'pass'));
    const put = store.put('k', patternBytes(60 * MIB));
    await expect(put).rejects.toMatchObject({ code: 'UNCERTAIN' });
    await expect(put).rejects.toThrow('UploadPart of object k');
    expect(await uploads()).toEqual([]);
    expect(await store.head('k')).toBeUndefined();
    const sent = proxy.asked.filter(({ path }) => query(path).get('partNumber') !== null);
    expect(sent.length).toBeLessThan(12);
    expect(proxy.asked.filter(({ method }) => method === 'DELETE')).toHaveLength(1);
  });

  it('is uncertain where the last answer is lost for good, and the object may be there', async () => {
    const store = open({ multipartBytes: 5 * MIB }, { s3: { attempts: 2 } });
    const bytes = patternBytes(6 * MIB);
    proxy.decide(({ method, path }) =>
      method === 'POST' && query(path).get('uploadId') !== null ? 'lose' : 'pass',
    );
    await expect(store.put('k', bytes)).rejects.toMatchObject({ code: 'UNCERTAIN' });
    expect(await store.head('k')).toMatchObject({ sizeBytes: bytes.length });
  });

  it('believes no 200 that carries an error', async () => {
    const store = open({ multipartBytes: 5 * MIB }, { s3: { attempts: 2 } });
    proxy.decide(({ method, path }) =>
      method === 'POST' && query(path).get('uploadId') !== null
        ? { status: 200, code: 'InternalError' }
        : 'pass',
    );
    await expect(store.put('k', patternBytes(6 * MIB))).rejects.toMatchObject({
      code: 'UNCERTAIN',
    });
    expect(await uploads()).toEqual([]);
    await store.put('small', patternBytes(1));
    proxy.decide(({ headers }) =>
      headers['x-amz-copy-source'] === undefined ? 'pass' : { status: 200, code: 'InternalError' },
    );
    await expect(store.copy('small', 'copy')).rejects.toMatchObject({ code: 'UNCERTAIN' });
  });

  it('copies parts only of the object whose size it read', async () => {
    const store = open({ multipartBytes: 5 * MIB, copyBytes: 5 * MIB });
    await store.put('k', patternBytes(11 * MIB));
    proxy.asked.length = 0;
    await store.copy('k', 'copy');
    const parts = proxy.asked.filter(({ path }) => query(path).get('partNumber') !== null);
    expect(parts.map(({ headers }) => headers['x-amz-copy-source-range']).sort()).toEqual([
      `bytes=0-${5 * MIB - 1}`,
      `bytes=${10 * MIB}-${11 * MIB - 1}`,
      `bytes=${5 * MIB}-${10 * MIB - 1}`,
    ]);
    for (const { headers } of parts) expect(headers['x-amz-copy-source-if-match']).toMatch(/^"/);
  });

  it('copies an object onto itself by leaving it alone', async () => {
    const store = open();
    await store.put('k', patternBytes(10));
    await store.copy('k', 'k');
    expect(await store.get('k')).toEqual(patternBytes(10));
  });
});
