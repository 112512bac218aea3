/**
 * Between functions and emulators: an HTTP proxy that knows which environment calls which operation of
 * which service, and lets a test act at that very spot. A call is held until the test is done with it.
 *
 * Each environment has addresses of its own: its id is the first part of the path, which goes no further.
 */
import {
  Agent,
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

export type Call = Readonly<{
  environment: string;
  /** As in STERNA_AWS_ENDPOINTS: s3, kinesis, dynamodb, secretsmanager. */
  service: string;
  /** `PutRecord`, `PutItem`, `PutObject` and so on. */
  operation: string;
  /** Before the service gets it, or after the service did it and before the function learns of it. */
  side: 'before' | 'after';
}>;

/** `drop`: the connection is cut instead; a call that was held before the service never gets there. */
type See = (call: Call) => Seen | Promise<Seen>;
type Seen = 'drop' | undefined;

export type CallWatch = Readonly<{
  /** STERNA_AWS_ENDPOINTS of an environment. */
  endpointsOf: (environment: string) => string;
  /** Calls of one environment, or of all (undefined); gives the end of it. */
  onCall: (environment: string | undefined, see: See) => () => void;
  /** `service operation` → calls so far. */
  counts: ReadonlyMap<string, number>;
  close: () => Promise<void>;
}>;

type Seer = Readonly<{ environment: string | undefined; see: See }>;

/** @param targets service → the emulator's URL */
export async function startWatch(targets: Readonly<Record<string, string>>): Promise<CallWatch> {
  const seers = new Set<Seer>();
  const counts = new Map<string, number>();
  const agent = new Agent({ keepAlive: true });
  const tell = async (call: Call): Promise<Seen> => {
    let seen: Seen;
    for (const { environment, see } of [...seers]) {
      if (environment !== undefined && environment !== call.environment) continue;
      seen = (await see(call)) ?? seen;
    }
    return seen;
  };
  const servers = await Promise.all(
    Object.entries(targets).map(async ([service, target]) => {
      const server = createServer((incoming, outgoing) => {
        const [, environment = '', ...rest] = (incoming.url ?? '').split('/');
        const path = `/${rest.join('/')}`;
        const operation = operationOf(service, incoming.method ?? '', path, incoming.headers);
        const key = `${service} ${operation}`;
        counts.set(key, (counts.get(key) ?? 0) + 1);
        const call = { environment, service, operation };
        const hop = { target, path, agent };
        // A function that is killed in the midst of a call leaves an open end on both sides.
        pass(hop, incoming, outgoing, (side) => tell({ ...call, side })).catch(() => {
          outgoing.destroy();
        });
      });
      return { service, server, url: await listen(server) };
    }),
  );
  return {
    endpointsOf: (id) => servers.map(({ service, url }) => `${service}=${url}/${id}`).join(','),
    onCall: (environment, see) => {
      const seer = { environment, see };
      seers.add(seer);
      return () => void seers.delete(seer);
    },
    counts,
    close: async () => {
      agent.destroy();
      await Promise.all(
        servers.map(
          ({ server }) =>
            new Promise<void>((resolve) => {
              server.close(() => resolve());
              server.closeAllConnections();
            }),
        ),
      );
    },
  };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  // A server that listens on a port has an address of this kind.
  const { port } = server.address() as AddressInfo;
  return `http://127.0.0.1:${port}`;
}

type Hop = Readonly<{ target: string; path: string; agent: Agent }>;

async function pass(
  { target, path, agent }: Hop,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  tell: (side: Call['side']) => Promise<Seen>,
): Promise<void> {
  if ((await tell('before')) === 'drop') return void incoming.destroy();
  const { hostname, port } = new URL(target);
  const { method, headers } = incoming;
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const passed = request({ hostname, port, method, path, headers, agent }, resolve);
    passed.on('error', reject);
    incoming.on('error', reject);
    incoming.pipe(passed);
  });
  if ((await tell('after')) === 'drop') {
    answer.destroy();
    return void incoming.destroy();
  }
  outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
  answer.on('error', () => outgoing.destroy());
  answer.pipe(outgoing);
}

/** JSON services name the operation in a header; S3's follows from method, path and query. */
function operationOf(
  service: string,
  method: string,
  path: string,
  headers: IncomingHttpHeaders,
): string {
  const target = headers['x-amz-target'];
  if (typeof target === 'string') return target.slice(target.indexOf('.') + 1);
  if (service !== 's3') return method;
  const { pathname, searchParams } = new URL(path, 'http://s3');
  const hasKey = /^\/[^/]+\/./.test(pathname);
  if (!hasKey) return method === 'GET' ? 'ListObjectsV2' : `${method} bucket`;
  const isCopy = headers['x-amz-copy-source'] !== undefined;
  if (searchParams.has('uploads')) return 'CreateMultipartUpload';
  if (searchParams.has('uploadId')) {
    if (method === 'PUT') return isCopy ? 'UploadPartCopy' : 'UploadPart';
    return method === 'POST' ? 'CompleteMultipartUpload' : 'AbortMultipartUpload';
  }
  if (method === 'PUT') return isCopy ? 'CopyObject' : 'PutObject';
  return { GET: 'GetObject', HEAD: 'HeadObject', DELETE: 'DeleteObject' }[method] ?? method;
}
