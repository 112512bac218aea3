/**
 * The contract of object stores on S3: always against the emulator, which this file starts and stops,
 * and against a bucket of yours with
 *
 *     STERNA_CONTRACT_AWS=us-east-1 STERNA_CONTRACT_BUCKET=my-bucket npx vitest run \
 *       test/contract/aws-object-store.test.ts --testTimeout 600000 --hookTimeout 600000
 *
 * under the credentials that the SDK finds (`AWS_PROFILE`, `AWS_ACCESS_KEY_ID`, ...); add
 * `STERNA_CONTRACT_KMS_KEY` to encrypt with a key of yours. Each test works below a prefix of its
 * own, `sterna-contract/<random>/`, and deletes what it put; a run makes about 4,500 requests.
 */
import { randomUUID } from 'node:crypto';
import {
  GetObjectCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { s3Client } from '#aws/clients.ts';
import { openS3ObjectStore, type S3ObjectStoreOptions } from '#aws/object-store.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import { type S3Emulator, startS3 } from '../support/emulators/s3.ts';
import { objectStoreContract } from './object-store.ts';
import { type OpenSubject, patternBytes } from './subject.ts';

const MIB = 1024 * 1024;

type Place = Readonly<{ client: S3Client; bucket: string; kmsKeyId?: string }>;

/** A store below a prefix that no other test has, emptied at the end. */
const below =
  (
    place: () => Promise<Place>,
    options: Partial<S3ObjectStoreOptions> = {},
  ): OpenSubject<ObjectStore> =>
  async () => {
    const prefix = `sterna-contract/${randomUUID()}/`;
    const found = await place();
    const open = () => openS3ObjectStore({ ...found, prefix, ...options });
    const port = open();
    return {
      port,
      reopen: async () => open(),
      close: async () => {
        for (;;) {
          const page = await port.list('');
          if (page.length === 0) return;
          await port.delete(page.map(({ key }) => key));
        }
      },
    };
  };

/** What the port's contract does not ask, because only S3 has it. */
function s3Extras(name: string, place: () => Promise<Place>): void {
  describe(`object store: ${name}, in parts`, () => {
    const parts = { multipartBytes: 5 * MIB, copyBytes: 5 * MIB };
    const inParts = below(place, parts);

    it('puts a large object in parts, and reads it and ranges across parts', async () => {
      const { port, close } = await inParts();
      const bytes = patternBytes(23 * MIB + 7);
      await port.put('large', bytes);
      expect(await port.head('large')).toMatchObject({ sizeBytes: bytes.length });
      expect(Buffer.compare(await port.get('large'), bytes)).toBe(0);
      const range = { offset: 5 * MIB - 3, length: 5 * MIB + 6 };
      const across = await port.get('large', range);
      expect(
        Buffer.compare(across, bytes.subarray(range.offset, range.offset + range.length)),
      ).toBe(0);
      await close();
    });

    it('copies a large object in parts', async () => {
      const { port, close } = await inParts();
      const bytes = patternBytes(11 * MIB + 1);
      await port.put('from/large', bytes);
      await port.copy('from/large', 'to/large');
      await port.delete(['from/large']);
      expect(Buffer.compare(await port.get('to/large'), bytes)).toBe(0);
      await close();
    });

    it('leaves no parts behind', async () => {
      const { client, bucket } = await place();
      const { port, close } = await inParts();
      await port.put('large', patternBytes(6 * MIB));
      await port.copy('large', 'copy');
      const open = await client.send(
        new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: 'sterna-contract/' }),
      );
      expect(open.Uploads ?? []).toEqual([]);
      await close();
    });
  });

  describe(`object store: ${name}, beside others`, () => {
    it('sees nothing outside of its prefix, nor what is no key of the port', async () => {
      const { client, bucket } = await place();
      const prefix = `sterna-contract/${randomUUID()}/`;
      const store = openS3ObjectStore({ client, bucket, prefix });
      const foreign = [`${prefix}folder/`, `${prefix}Upper`, `${prefix.slice(0, -1)}-beside`];
      for (const key of foreign) {
        await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: 'x' }));
      }
      for (const key of ['a', 'folder/a', 'z']) await store.put(key, patternBytes(1));
      expect((await store.list('')).map(({ key }) => key)).toEqual(['a', 'folder/a', 'z']);
      expect((await store.list('', { limit: 2 })).map(({ key }) => key)).toEqual(['a', 'folder/a']);
      const raw = await client.send(new GetObjectCommand({ Bucket: bucket, Key: `${prefix}a` }));
      expect(raw.ContentLength).toBe(1);
      await store.delete(['a', 'folder/a', 'z']);
      const whole = openS3ObjectStore({ client, bucket });
      expect(await whole.list(`${prefix}`)).toEqual([]);
    });

    it('deletes more keys than one call takes', async () => {
      const { port, close } = await below(place)();
      const keys = Array.from({ length: 1_001 }, (_, index) => `k/${1_000 + index}`);
      await Promise.all(keys.map((key) => port.put(key, patternBytes(1))));
      await port.delete([...keys, 'k/missing']);
      expect(await port.list('')).toEqual([]);
      await close();
    });
  });
}

let emulator: S3Emulator;
let emulated: Place;
beforeAll(async () => {
  emulator = await startS3();
  emulated = { client: emulator.client, bucket: await emulator.newBucket() };
});
afterAll(() => emulator.close());

const EMULATED =
  's3rver over HTTP (its own files replaced by a store of ours, since they tear, mis-sort and lose objects; no signatures, checksums, KMS or throttling)';
objectStoreContract(
  EMULATED,
  below(async () => emulated),
  { durable: true },
);
s3Extras(EMULATED, async () => emulated);

const region = process.env['STERNA_CONTRACT_AWS'];
const bucket = process.env['STERNA_CONTRACT_BUCKET'];
if (region !== undefined && bucket !== undefined) {
  const kmsKeyId = process.env['STERNA_CONTRACT_KMS_KEY'];
  const place = {
    client: s3Client({ region }),
    bucket,
    ...(kmsKeyId === undefined ? {} : { kmsKeyId }),
  };
  objectStoreContract(
    'Amazon S3',
    below(async () => place),
    { durable: true },
  );
  s3Extras('Amazon S3', async () => place);
}
