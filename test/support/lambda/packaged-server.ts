/**
 * A deployment of the packaged functions in the place of the embedded server: for each server that a
 * test starts one of its own, since a test may expect that nothing is there yet.
 */
import { type ServerStarter, type TestServer, talkersOf } from '../server.ts';
import { deploy, portsOf } from './deployed.ts';
import type { Stack } from './stack.ts';

/** Nobody waits for a batch to fill in a test, as with the embedded server. */
const EAGER = { pollMs: 20, windowMs: 20 } as const;

/** @throws where a test asks for something that no deployment can do */
export const startPackaged: ServerStarter = async ({ heldAcks, ...options }) => {
  const given = Object.keys(options);
  if (given.length > 0) throw new Error(`the packaged functions take no ${given.join(', ')}`);
  const stack = await deploy(EAGER);
  // The log has the record, and its writer does not know that yet.
  stack.watch.onCall(undefined, async ({ operation, side }) => {
    if (operation === 'PutRecord' && side === 'after') await heldAcks?.until;
    return undefined;
  });
  return serverOf(stack);
};

function serverOf(stack: Stack): TestServer {
  const ports = portsOf(stack);
  return {
    url: stack.url,
    dir: '',
    ports,
    ...talkersOf(stack.url),
    // What a deployment has instead: none of the environments lives on.
    restart: async () => {
      for (const each of Object.values(stack.functions)) {
        await each.settled();
        await each.retire();
      }
      return serverOf(stack);
    },
    close: async () => {
      ports.close();
      await stack.close();
    },
  };
}
