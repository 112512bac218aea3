/** Which IAM actions the requests of a function need, read off the wire between it and the emulators. */
import { createServer, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { Call } from './policy.ts';

export type Recorder = Readonly<{
  endpoint: string;
  calls: () => readonly Call[];
  close: () => Promise<void>;
}>;

/** The resources that a request names, as ARNs of the deployment that the template describes. */
export type Arns = Readonly<{
  table: (name: string) => string;
  stream: string;
  bucket: string;
  secret: string;
}>;

/** Passes everything on to the emulator and takes down what it would need permission for. */
export async function startRecorder(target: string, arns: Arns): Promise<Recorder> {
  const calls: Call[] = [];
  const server = createServer((incoming, outgoing) => {
    void buffer(incoming).then((body) => {
      const { hostname, port } = new URL(target);
      const { method, url: path, headers } = incoming;
      const passed = request({ hostname, port, method, path, headers }, (answer) => {
        calls.push(...callsOf(incoming, body, answer.statusCode ?? 500, arns));
        outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(outgoing);
      });
      passed.on('error', () => incoming.socket.destroy());
      passed.end(body);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  // A server that listens on a port has an address of this kind.
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    calls: () => calls,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function callsOf(
  incoming: IncomingMessage,
  body: Buffer,
  status: number,
  arns: Arns,
): readonly Call[] {
  const target = incoming.headers['x-amz-target'];
  if (typeof target !== 'string') return objectCalls(incoming, body, status, arns.bucket);
  const [service = '', action = ''] = target.split('.');
  if (service.startsWith('DynamoDB')) return [tableCall(action, body, arns)];
  if (service.startsWith('Kinesis')) {
    return [{ action: `kinesis:${action}`, resource: arns.stream }];
  }
  return [{ action: `secretsmanager:${action}`, resource: arns.secret }];
}

type TableRequest = Readonly<{
  TableName: string;
  Key?: Readonly<{ p: Readonly<{ S: string }> }>;
  ExpressionAttributeValues?: Readonly<Record<string, Readonly<{ S?: string }>>>;
}>;

function tableCall(action: string, body: Buffer, arns: Arns): Call {
  const given = JSON.parse(body.toString()) as TableRequest;
  const partition = given.Key?.p.S ?? given.ExpressionAttributeValues?.[':p']?.S;
  if (partition === undefined) throw new Error(`${action} of no partition`);
  return {
    action: `dynamodb:${action}`,
    resource: arns.table(given.TableName),
    leadingKeys: [partition],
  };
}

/** After "Required permissions for Amazon S3 API operations" of S3's user guide. */
function objectCalls(
  { method, url = '/', headers }: IncomingMessage,
  body: Buffer,
  status: number,
  bucket: string,
): readonly Call[] {
  const { pathname, searchParams } = new URL(url, 'http://s3');
  const [, , ...parts] = pathname.split('/');
  const object = (key: string) => `${bucket}/${key}`;
  const key = object(decodeURIComponent(parts.join('/')));
  // Who may not list is told of a missing object that it may not be read.
  const list: Call = { action: 's3:ListBucket', resource: bucket };
  const missing = status === 404 ? [list] : [];
  if (parts.join('') === '') {
    if (!searchParams.has('delete')) return [list];
    return [...body.toString().matchAll(/<Key>([^<]+)<\/Key>/g)].map(([, name = '']) => ({
      action: 's3:DeleteObject',
      resource: object(name),
    }));
  }
  switch (method) {
    case 'GET':
    case 'HEAD':
      return [{ action: 's3:GetObject', resource: key }, ...missing];
    case 'DELETE':
      return [
        {
          action: searchParams.has('uploadId') ? 's3:AbortMultipartUpload' : 's3:DeleteObject',
          resource: key,
        },
      ];
    default: {
      const from = headers['x-amz-copy-source'];
      const read =
        typeof from === 'string' ? [{ action: 's3:GetObject', resource: object(from) }] : [];
      return [{ action: 's3:PutObject', resource: key }, ...read];
    }
  }
}
