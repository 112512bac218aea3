/**
 * Secrets Manager's GetSecretValue as a small HTTP server in this process: AWS JSON 1.1, as its API
 * reference describes it. A secret is found by its name or its ARN.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type SecretsEmulator = Readonly<{
  endpoint: string;
  /** The ARN of each secret, by name. */
  arns: Readonly<Record<string, string>>;
  /** GetSecretValue calls so far, also for secrets that are not there. */
  calls: () => number;
  close: () => Promise<void>;
}>;

const TARGET = 'secretsmanager.GetSecretValue';
/** Requests name a secret and little else; the API allows ids of 2,048 characters. */
const BODY_BYTES_MAX = 64 * 1024;

/** @param secrets values by name */
export async function startSecrets(
  secrets: Readonly<Record<string, string>>,
): Promise<SecretsEmulator> {
  // AWS adds six characters of its own to a secret's name.
  const arns = Object.fromEntries(
    Object.keys(secrets).map((name) => [
      name,
      `arn:aws:secretsmanager:us-east-1:000000000000:secret:${name}-AbCdEf`,
    ]),
  );
  const names = new Map(Object.entries(arns).map(([name, arn]) => [arn, name]));
  let calls = 0;
  const server = createServer((incoming, outgoing) => {
    void readAll(incoming).then((body) => {
      if (incoming.headers['x-amz-target'] !== TARGET) {
        return refuse(outgoing, 'UnknownOperationException', 'only GetSecretValue is known here');
      }
      calls += 1;
      const id = secretId(body);
      if (id === undefined) {
        return refuse(outgoing, 'InvalidParameterException', 'SecretId is required');
      }
      const name = names.get(id) ?? id;
      const value = Object.hasOwn(secrets, name) ? secrets[name] : undefined;
      if (value === undefined) {
        const message = "Secrets Manager can't find the specified secret.";
        return refuse(outgoing, 'ResourceNotFoundException', message);
      }
      return answer(outgoing, 200, {
        ARN: arns[name],
        CreatedDate: 1_700_000_000,
        Name: name,
        SecretString: value,
        VersionId: '00000000-0000-4000-8000-000000000000',
        VersionStages: ['AWSCURRENT'],
      });
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
    arns,
    calls: () => calls,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function readAll(incoming: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  for await (const part of incoming) {
    sizeBytes += part.length;
    if (sizeBytes > BODY_BYTES_MAX) return '';
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

function secretId(body: string): string | undefined {
  try {
    const { SecretId: id } = JSON.parse(body) as { SecretId?: unknown };
    return typeof id === 'string' && id !== '' ? id : undefined;
  } catch {
    return undefined;
  }
}

const refuse = (outgoing: ServerResponse, type: string, message: string): void =>
  answer(outgoing, 400, { __type: type, message });

function answer(outgoing: ServerResponse, status: number, body: object): void {
  outgoing.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' });
  outgoing.end(JSON.stringify(body));
}
