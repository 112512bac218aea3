/**
 * Kinesis in this process: kinesalite, in memory, on a free loopback port. What it lacks and tests
 * bring along where they need it, with answers of their own (`faulty-proxy.ts`): pages of a listing, throttling,
 * empty answers in mid-stream, `MillisBehindLatest`. It knows no streams by ARN.
 */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  CreateStreamCommand,
  DeleteStreamCommand,
  type KinesisClient,
  MergeShardsCommand,
  SplitShardCommand,
  waitUntilStreamExists,
} from '@aws-sdk/client-kinesis';
// @ts-expect-error kinesalite has no types: it exports one function, which returns a server of node:http.
import kinesalite from 'kinesalite';

export type KinesisEmulator = Readonly<{ endpoint: string; close: () => Promise<void> }>;

export async function startKinesis(): Promise<KinesisEmulator> {
  const instant = { createStreamMs: 0, deleteStreamMs: 0, updateStreamMs: 0, shardLimit: 1_000 };
  // The module is untyped; what it returns is the server of `http.createServer`.
  const server = kinesalite(instant) as Server;
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
        server.close((error) => (error === undefined ? resolve() : reject(error)));
        // Clients keep their sockets for the next request, and the server waits for sockets.
        server.closeAllConnections();
      }),
  };
}

export async function createStream(
  client: KinesisClient,
  streamName: string,
  shards = 1,
): Promise<void> {
  await client.send(new CreateStreamCommand({ StreamName: streamName, ShardCount: shards }));
  await untilActive(client, streamName);
}

export async function deleteStream(client: KinesisClient, streamName: string): Promise<void> {
  await client.send(new DeleteStreamCommand({ StreamName: streamName }));
}

/** `at`: the first hash of the second child, as a decimal number below 2^128. */
export async function splitShard(
  client: KinesisClient,
  streamName: string,
  shard: string,
  at: bigint,
): Promise<void> {
  const request = { StreamName: streamName, ShardToSplit: shard, NewStartingHashKey: `${at}` };
  await client.send(new SplitShardCommand(request));
  await untilActive(client, streamName);
}

export async function mergeShards(
  client: KinesisClient,
  streamName: string,
  shard: string,
  adjacent: string,
): Promise<void> {
  const request = { StreamName: streamName, ShardToMerge: shard, AdjacentShardToMerge: adjacent };
  await client.send(new MergeShardsCommand(request));
  await untilActive(client, streamName);
}

async function untilActive(client: KinesisClient, streamName: string): Promise<void> {
  await waitUntilStreamExists(
    { client, minDelay: 1, maxDelay: 2, maxWaitTime: 120 },
    { StreamName: streamName },
  );
}
