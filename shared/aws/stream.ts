/** One Kinesis stream: how requests name it, and how those that change nothing are asked. */
import type { KinesisClient } from '@aws-sdk/client-kinesis';
import { StoreError } from '#base/errors.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import { retry } from '#ports/retry.ts';
import { toStoreError } from './errors.ts';

/**
 * `address`: what every request about the stream has in it. An ARN also names streams of other
 * accounts. `ask`: sends a request that changes nothing, a few times if need be; `action` is AWS's
 * name of the call and `resource` what it is about, in words.
 */
export type Stream = Readonly<{
  client: KinesisClient;
  name: string;
  address: Readonly<{ StreamName: string } | { StreamARN: string }>;
  ask: <T>(action: string, resource: string, send: () => Promise<T>) => Promise<T>;
}>;

/** One of the two. */
export type StreamId = Readonly<{ streamName: string } | { streamArn: string }>;

/**
 * A stream shard gives five answers a second, so a refused reader has its turn within a second
 * unless there are many: pauses of 250 + 500 + 1,000 ms at most, before the fourth attempt.
 */
const ATTEMPTS = { attemptsMax: 4, firstDelayMs: 250, delayMaxMs: 1_000 } as const;

export function openStream(
  client: KinesisClient,
  id: StreamId,
  ports: Readonly<{ clock: Clock; entropy: Entropy }>,
): Stream {
  const isArn = 'streamArn' in id;
  const name = isArn ? nameIn(id.streamArn) : id.streamName;
  return {
    client,
    name,
    address: isArn ? { StreamARN: id.streamArn } : { StreamName: id.streamName },
    ask: (action, resource, send) =>
      retry(ports, { ...ATTEMPTS, codes: ['OVERLOADED', 'UNCERTAIN'] }, async () => {
        try {
          return await send();
        } catch (error) {
          const about = `${resource} in stream ${name}`;
          throw toStoreError(error, {
            service: 'kinesis',
            action,
            resource: about,
            idempotent: true,
          });
        }
      }),
  };
}

/** `arn:aws:kinesis:<region>:<account>:stream/<name>` */
function nameIn(streamArn: string): string {
  const match = /^arn:[^:]+:kinesis:[^:]+:[^:]+:stream\/([a-zA-Z0-9_.-]{1,128})$/.exec(streamArn);
  const name = match?.[1];
  if (name !== undefined) return name;
  throw new StoreError('INVALID_ARGUMENT', `${streamArn} is not the ARN of a Kinesis stream`);
}
