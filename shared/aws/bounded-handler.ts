import { Readable } from 'node:stream';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import pLimit from 'p-limit';
import { StoreError } from '#base/errors.ts';

type Handle = NodeHttpHandler['handle'];

/**
 * As many requests at a time as there are sockets; the others wait here. The SDK's own queue is in
 * front of the sockets but behind its clock, so that in a burst requests would be given up, as if
 * nobody answered, that were never sent.
 */
export class BoundedHandler extends NodeHttpHandler {
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #waitingMax: number;

  constructor(
    options: ConstructorParameters<typeof NodeHttpHandler>[0],
    bounds: Readonly<{ socketsMax: number; waitingMax: number }>,
  ) {
    super(options);
    this.#limit = pLimit(bounds.socketsMax);
    this.#waitingMax = bounds.waitingMax;
  }

  /** @throws StoreError `OVERLOADED` where too many wait already; nothing was sent */
  override handle(...request: Parameters<Handle>): ReturnType<Handle> {
    if (this.#limit.pendingCount >= this.#waitingMax) {
      const message = `${this.#waitingMax} requests to AWS wait for a socket`;
      return Promise.reject(new StoreError('OVERLOADED', message));
    }
    return new Promise((resolve, reject) => {
      this.#limit(async () => {
        const answer = await super.handle(...request);
        resolve(answer);
        await bodyClosed(answer.response.body);
      }).catch(reject);
    });
  }
}

/** A body keeps its socket until it was read to the end or destroyed. */
const bodyClosed = (body: unknown): Promise<void> =>
  new Promise((resolve) => {
    if (body instanceof Readable && !body.closed) body.once('close', resolve);
    else resolve();
  });
