import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import pLimit from 'p-limit';
import { StoreError } from '#base/errors.ts';

type Handle = NodeHttpHandler['handle'];
type Answer = Awaited<ReturnType<Handle>>;

/**
 * `answerMs`: from sending until the answer begins. `idleMs`: as long without a byte, for what is sent
 * at once and in the midst of the answer's body.
 */
export type Patience = Readonly<{ answerMs: number; idleMs: number }>;

/** A body is sent at this pace at least, 1 MiB/s; a function has 75. */
const BYTES_PER_MS_MIN = 1024;

/**
 * As many requests at a time as there are sockets; the others wait here. The SDK's own queue is in
 * front of the sockets but behind its clock, so that in a burst requests would be given up, as if
 * nobody answered, that were never sent.
 *
 * The clocks are ours for another reason too: where a process was frozen in the midst of a call, all
 * its timers are over when it thaws, and run before the answer that has long arrived is read. Ours
 * look for it before they give up.
 */
export class BoundedHandler extends NodeHttpHandler {
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #waitingMax: number;
  readonly #patience: Patience;

  constructor(
    options: Readonly<{ connectionTimeout: number; httpAgent: object; httpsAgent: object }>,
    bounds: Readonly<{ socketsMax: number; waitingMax: number }>,
    patience: Patience,
  ) {
    super({ ...options, requestTimeout: 0, socketTimeout: 0 });
    this.#limit = pLimit(bounds.socketsMax);
    this.#waitingMax = bounds.waitingMax;
    this.#patience = patience;
  }

  /** @throws StoreError `OVERLOADED` where too many wait already; nothing was sent */
  override handle(...request: Parameters<Handle>): ReturnType<Handle> {
    if (this.#limit.pendingCount >= this.#waitingMax) {
      const message = `${this.#waitingMax} requests to AWS wait for a socket`;
      return Promise.reject(new StoreError('OVERLOADED', message));
    }
    return new Promise((resolve, reject) => {
      this.#limit(async () => {
        const answer = await this.#answered(...request);
        const { body } = answer.response;
        if (isMessage(body)) watchIdle(body, this.#patience.idleMs);
        resolve(answer);
        await bodyClosed(body);
      }).catch(reject);
    });
  }

  async #answered(...[request, options]: Parameters<Handle>): Promise<Answer> {
    const giveUp = new AbortController();
    // The SDK's own type of a signal has less than Node's, and only `aborted` and `onabort` are used.
    const given = options?.abortSignal as AbortSignal | undefined;
    const abortSignal =
      given === undefined ? giveUp.signal : AbortSignal.any([given, giveUp.signal]);
    const answering = super.handle(request, { ...options, abortSignal });
    const limitMs = answerLimitMs(request.body, this.#patience);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, limitMs);
    });
    try {
      const inTime = await Promise.race([answering, late]);
      if (inTime !== undefined) return inTime;
      await pollOnce();
      const arrived = await Promise.race([answering, undefined]);
      if (arrived !== undefined) return arrived;
    } finally {
      clearTimeout(timer);
    }
    // It ends with the abort, which nobody needs to hear of.
    answering.catch(() => undefined);
    giveUp.abort();
    throw timedOut(`no answer within ${limitMs} ms`);
  }
}

/** What fits the buffers of a socket is sent at once, and then nothing moves until the answer comes. */
function answerLimitMs(body: unknown, { answerMs, idleMs }: Patience): number {
  const sizeBytes =
    typeof body === 'string' || body instanceof Uint8Array ? body.length : undefined;
  if (sizeBytes === undefined) return body == null ? Math.min(answerMs, idleMs) : answerMs;
  return Math.min(answerMs, idleMs + sizeBytes / BYTES_PER_MS_MIN);
}

/** As the SDK names it, which makes it a failure that may be tried again where that is safe. */
const timedOut = (message: string): Error =>
  Object.assign(new Error(message), { name: 'TimeoutError', code: 'ETIMEDOUT' });

/** Lets the event loop hand over what has arrived. */
const pollOnce = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const isMessage = (body: unknown): body is IncomingMessage =>
  body instanceof Readable && 'socket' in body && !body.closed;

/** Ends a body in which nothing moves any more. */
function watchIdle(body: IncomingMessage, idleMs: number): void {
  const { socket } = body;
  const onIdle = async (): Promise<void> => {
    const readBytes = socket.bytesRead;
    await pollOnce();
    if (socket.bytesRead !== readBytes || body.complete) return;
    body.destroy(timedOut(`no byte within ${idleMs} ms`));
  };
  socket.setTimeout(idleMs);
  socket.on('timeout', onIdle);
  body.once('close', () => socket.removeListener('timeout', onIdle));
}

/** A body keeps its socket until it was read to the end or destroyed. */
const bodyClosed = (body: unknown): Promise<void> =>
  new Promise((resolve) => {
    if (body instanceof Readable && !body.closed) body.once('close', resolve);
    else resolve();
  });
