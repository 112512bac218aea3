/** A role that an invoker's tests call: it does what its payload says. */
import { StoreError } from '#base/errors.ts';

type Payload = Readonly<{
  echo?: unknown;
  overwrite?: Uint8Array;
  refuse?: string;
  throw?: string;
  exit?: number;
}>;

export async function tryOut(received: unknown): Promise<unknown> {
  // Only the invoker's tests call this role.
  const payload = received as Payload;
  if (payload.refuse !== undefined) throw new StoreError('OVERLOADED', payload.refuse);
  if (payload.throw !== undefined) throw new Error(payload.throw);
  if (payload.exit !== undefined) process.exit(payload.exit);
  return payload.overwrite?.fill(0) ?? payload.echo;
}
