/**
 * S3 as a process of its own: s3rver's HTTP side over a store in memory, on a free loopback port that
 * is printed as a line. It ends when its standard input does, so that it cannot outlive a test.
 *
 * s3rver lacks UploadPartCopy, AbortMultipartUpload and ListMultipartUploads; they are added here in
 * front of it after the Amazon S3 API Reference, as far as the contract needs them. It checks neither
 * signatures nor checksums, and knows no permissions, encryption or throttling.
 */
import { createRequire } from 'node:module';
import { MemoryS3Store } from './s3-memory.ts';

/** What is used of the context of Koa, on which s3rver is built. */
type Context = {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string | undefined>>;
  get(header: string): string;
  status: number;
  type: string;
  body: string;
};
type Middleware = (context: Context, next: () => Promise<void>) => Promise<void>;
type Server = Readonly<{
  middleware: Middleware[];
  context: { store: unknown };
  run: () => Promise<{ port: number }>;
}> & { store: unknown };

// s3rver has no types; it exports one class, which extends Koa.
const S3rver = createRequire(import.meta.url)('s3rver') as new (
  options: Readonly<Record<string, unknown>>,
) => Server;

const store = new MemoryS3Store();

const additions: Middleware = async (context, next) => {
  const { method, query } = context;
  const [, bucket = '', ...key] = context.path.split('/');
  const { uploadId: id, partNumber } = query;
  if (method === 'GET' && key.join('') === '' && 'uploads' in query) {
    const uploads = store
      .openUploads(bucket)
      .map((open) => `<Upload><Key>${open.key}</Key><UploadId>${open.id}</UploadId></Upload>`);
    context.type = 'application/xml';
    context.body = `<ListMultipartUploadsResult>${uploads.join('')}</ListMultipartUploadsResult>`;
  } else if (method === 'DELETE' && id !== undefined) {
    store.abortUpload(id);
    context.status = 204;
  } else if (method === 'PUT' && id !== undefined && context.get('x-amz-copy-source') !== '') {
    const [fromBucket = '', ...from] = context.get('x-amz-copy-source').split('/');
    const range = /^bytes=(\d+)-(\d+)$/.exec(context.get('x-amz-copy-source-range'));
    const etag = store.copyPart(
      {
        bucket: fromBucket,
        key: from.join('/'),
        first: Number(range?.[1]),
        last: Number(range?.[2]),
      },
      { id, part: Number(partNumber) },
    );
    context.type = 'application/xml';
    context.body = `<CopyPartResult><ETag>"${etag}"</ETag></CopyPartResult>`;
  } else {
    await next();
  }
};

const server = new S3rver({
  address: '127.0.0.1',
  port: 0,
  silent: true,
  allowMismatchedSignatures: true,
  vhostBuckets: false,
});
server.store = store;
server.context.store = store;
server.middleware.unshift(additions);
const { port } = await server.run();
process.stdout.write(`${port}\n`);
process.stdin.resume().on('end', () => process.exit(0));
