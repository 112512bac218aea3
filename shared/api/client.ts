/**
 * A small client of the HTTP surface, exact to 64-bit integers both ways.
 *
 * It is what the command line speaks; a Milvus client works just as well.
 */
import { isStoreError, StoreError } from '#base/errors.ts';
import { type Json, type JsonObject, type JsonOut, parseJson, stringifyJson } from '#base/json.ts';

export type ClientOptions = Readonly<{
  /** The server's address, e.g. `http://127.0.0.1:19530`. */
  url: string;
  /** `user:password` or an API key. */
  token: string;
}>;

export type Reply = JsonObject & Readonly<{ code: Json; data?: Json }>;

export interface Client {
  /**
   * Calls `POST path`, e.g. `/v2/vectordb/collections/list`.
   *
   * @throws RefusedError where the server answers with a code other than 0
   * @throws StoreError `UNCERTAIN` where nothing answers; `MALFORMED_BODY` where the answer is no envelope
   */
  call(
    path: string,
    body: Readonly<Record<string, JsonOut | undefined>>,
    requestId?: string,
  ): Promise<Reply>;
}

/** The server understood and said no. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
  readonly code: number;
  readonly retry: string;
  readonly effect: string;

  constructor(reply: JsonObject) {
    super(typeof reply['message'] === 'string' ? reply['message'] : 'the server gave no reason');
    this.code = Number(reply['code']);
    this.retry = String(reply['retry'] ?? 'never');
    this.effect = String(reply['effect'] ?? 'unknown');
  }
}

export function openClient({ url, token }: ClientOptions): Client {
  const base = url.replace(/\/+$/, '');
  return {
    async call(path, body, requestId) {
      const text = await post(`${base}${path}`, token, stringifyJson(body), requestId);
      const reply = parseReply(text, `${base}${path}`);
      if (Number(reply['code']) !== 0) throw new RefusedError(reply);
      return reply;
    },
  };
}

async function post(url: string, token: string, body: string, requestId?: string): Promise<string> {
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    authorization: `Bearer ${token}`,
  };
  if (requestId !== undefined) headers['requestid'] = requestId;
  try {
    const response = await fetch(url, { method: 'POST', headers, body });
    return await response.text();
  } catch (cause) {
    throw new StoreError('UNCERTAIN', `nothing answers at ${url}: is the server running?`, {
      cause,
    });
  }
}

function parseReply(text: string, url: string): Reply {
  const refuse = (cause?: unknown): never => {
    const shown = text.slice(0, 200);
    throw new StoreError('MALFORMED_BODY', `${url} is no Sterna address: ${shown}`, { cause });
  };
  try {
    const value = parseJson(text);
    if (typeof value === 'object' && value !== null && 'code' in value) {
      // It has `code`, and arrays do not: an envelope.
      return value as Reply;
    }
  } catch (error) {
    if (!isStoreError(error, 'MALFORMED_BODY')) throw error;
    return refuse(error);
  }
  return refuse();
}
