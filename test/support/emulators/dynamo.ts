/**
 * DynamoDB in this process: dynalite, in memory, on a free loopback port. What it lacks and matters
 * to nobody here: transactions, streams, time to live, throttling.
 */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  CreateTableCommand,
  DeleteTableCommand,
  type DynamoDBClient,
  waitUntilTableExists,
} from '@aws-sdk/client-dynamodb';
// @ts-expect-error dynalite has no types: it exports one function, which returns a server of node:http.
import dynalite from 'dynalite';

export type DynamoEmulator = Readonly<{ endpoint: string; close: () => Promise<void> }>;

export async function startDynamo(): Promise<DynamoEmulator> {
  // The module is untyped; what it returns is the server of `http.createServer`.
  const server = dynalite({ createTableMs: 0, deleteTableMs: 0 }) as Server;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  // A server that listens on a port has an address of this kind.
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve, reject) => {
        // Dynalite hands over null where all went well.
        server.close((error) => (error instanceof Error ? reject(error) : resolve()));
        // Clients keep their sockets for the next request, and the server waits for sockets.
        server.closeAllConnections();
      }),
  };
}

/** A table as `serverless.yml` describes it: two string keys, paid per request. */
export async function createTable(client: DynamoDBClient, tableName: string): Promise<void> {
  await client.send(
    new CreateTableCommand({
      TableName: tableName,
      BillingMode: 'PAY_PER_REQUEST',
      KeySchema: [
        { AttributeName: 'p', KeyType: 'HASH' },
        { AttributeName: 's', KeyType: 'RANGE' },
      ],
      AttributeDefinitions: [
        { AttributeName: 'p', AttributeType: 'S' },
        { AttributeName: 's', AttributeType: 'S' },
      ],
    }),
  );
  await waitUntilTableExists(
    { client, minDelay: 1, maxDelay: 2, maxWaitTime: 120 },
    { TableName: tableName },
  );
}

export async function deleteTable(client: DynamoDBClient, tableName: string): Promise<void> {
  await client.send(new DeleteTableCommand({ TableName: tableName }));
}
