/**
 * Clients that write and read while faults land: each writes keys of its own, one request at a time,
 * tells the oracle what it was told, and reads its own keys in between.
 *
 * Half of the writes carry a RequestId and are repeated, unchanged, until the answer is definite: then
 * they took effect exactly once. The others are sent once; where the answer was lost their effect is
 * unknown, and the client goes on, now and then with the same keys.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Content, type Oracle, type Row, rowOf } from './oracle.ts';

export type Reply = Readonly<Record<string, unknown>>;

export type ClientOptions = Readonly<{
  url: string;
  collectionName: string;
  oracle: Oracle;
  /** Keys from `firstKey` on, `keys` of them, belong to this client. */
  firstKey: number;
  keys: number;
  /** 0 to 1, from the seed. */
  next: () => number;
  /** Larger with each call, over all clients. */
  stamp: () => number;
  /** Share of the writes that carry a RequestId. */
  withIds: number;
  counts: ClientCounts;
}>;

export type ClientCounts = {
  writes: number;
  repeats: number;
  reads: number;
  readsRepeated: number;
  rowsChecked: number;
  /** Why requests were not answered with success, and how often. */
  reasons: Map<string, number>;
};

export const newCounts = (): ClientCounts => ({
  writes: 0,
  repeats: 0,
  reads: 0,
  readsRepeated: 0,
  rowsChecked: 0,
  reasons: new Map(),
});

const ATTEMPTS_MAX = 40;
const PAUSE_MS = 100;
const REASON_CHARS = 400;
const BATCH_MAX = 12;
/** The most that a query may return. */
const LIMIT = 16_384;

/** Undefined where no answer came, or none of ours: the function behind the front failed. */
export async function ask(
  url: string,
  verb: string,
  body: object,
  headers: Readonly<Record<string, string>> = {},
  reasons?: ClientCounts['reasons'],
): Promise<Reply | undefined> {
  try {
    const response = await fetch(`${url}/v2/vectordb/${verb}`, {
      method: 'POST',
      headers: { authorization: 'Bearer root:Milvus', ...headers },
      body: JSON.stringify(body),
    });
    // What our functions answer has a code; what the front says for itself has none.
    const reply = (await response.json()) as Reply;
    if (reply['code'] === 0) return reply;
    const said = `${verb}: ${response.status} ${reply['code'] ?? ''} ${reply['message'] ?? ''}`;
    // Numbers differ each time.
    count(reasons, said.replaceAll(/\d{4,}/g, '#').slice(0, REASON_CHARS));
    return typeof reply['code'] === 'number' ? reply : undefined;
  } catch (error) {
    count(reasons, `${verb}: ${String(error)}`);
    return undefined;
  }
}

const count = (reasons: ClientCounts['reasons'] | undefined, reason: string): unknown =>
  reasons?.set(reason, (reasons.get(reason) ?? 0) + 1);

/** The reasons, the most frequent first. */
export const reasonsOf = ({ reasons }: ClientCounts): readonly string[] =>
  [...reasons].sort(([, a], [, b]) => b - a).map(([reason, times]) => `${times} x ${reason}`);

/** Repeats a request that changes nothing until it succeeds. @throws after {@link ATTEMPTS_MAX} */
export async function read(
  { url, counts }: Pick<ClientOptions, 'url' | 'counts'>,
  verb: string,
  body: object,
): Promise<Reply> {
  let last: Reply | undefined;
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    last = await ask(url, verb, body, {}, counts.reasons);
    if (last?.['code'] === 0) {
      counts.reads += 1;
      return last;
    }
    counts.readsRepeated += 1;
    await delay(PAUSE_MS);
  }
  throw new Error(`${verb} failed ${ATTEMPTS_MAX} times, last ${JSON.stringify(last)}`);
}

/** The columns of rows that the oracle looks at. */
export const OUTPUT_FIELDS = ['id', 'stamp', 'text', 'vector'];

export async function readRows(
  options: Pick<ClientOptions, 'url' | 'counts' | 'collectionName'>,
  filter: string,
): Promise<readonly Row[]> {
  const { collectionName, counts } = options;
  const body = { collectionName, filter, outputFields: OUTPUT_FIELDS, limit: LIMIT };
  const { data } = await read(options, 'entities/query', body);
  // The output fields of the collection under test are those of a row.
  const rows = data as readonly Row[];
  counts.rowsChecked += rows.length;
  return rows;
}

/** Writes and reads until `isOver` says so. */
export async function runClient(options: ClientOptions, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    const drawn = options.next();
    if (drawn < 0.7) await writeOnce(options);
    else if (drawn < 0.9) await readOwn(options);
    else await searchOwn(options);
  }
}

async function writeOnce(options: ClientOptions): Promise<void> {
  const { next, stamp, counts, oracle } = options;
  const batch = stamp();
  const ids = someKeys(options, 1 + Math.floor(next() * BATCH_MAX));
  const withId = next() < options.withIds;
  const kind = next();
  counts.writes += 1;
  if (kind < 0.7) {
    const data = ids.map((id) => rowOf(id, batch));
    const verb = kind < 0.35 ? 'entities/insert' : 'entities/upsert';
    return tell(oracle, ids, batch, batch, await write(options, verb, { data }, withId, batch));
  }
  const filter = `id in [${ids.join(',')}]${kind < 0.85 ? '' : ' and stamp > 0'}`;
  const told = await write(options, 'entities/delete', { filter }, withId, batch);
  return tell(oracle, ids, undefined, batch, told);
}

type Told = 'acknowledged' | 'refused' | 'unknown';

async function write(
  { url, collectionName, counts }: ClientOptions,
  verb: string,
  body: object,
  withId: boolean,
  batch: number,
): Promise<Told> {
  const headers: Record<string, string> = withId ? { RequestId: `batch-${batch}` } : {};
  for (let attempt = 0; attempt < (withId ? ATTEMPTS_MAX : 1); attempt++) {
    if (attempt > 0) {
      counts.repeats += 1;
      await delay(PAUSE_MS);
    }
    const reply = await ask(url, verb, { collectionName, ...body }, headers, counts.reasons);
    if (reply?.['code'] === 0) return 'acknowledged';
    if (reply?.['effect'] === 'none') {
      if (reply['retry'] !== 'later') throw new Error(`${verb}: ${JSON.stringify(reply)}`);
      // It speaks for this attempt alone: an earlier one that was lost may still be on its way.
      if (attempt === 0) return 'refused';
    }
  }
  return 'unknown';
}

function tell(
  oracle: Oracle,
  ids: readonly number[],
  content: Content,
  batch: number,
  told: Told,
): void {
  if (told === 'acknowledged') oracle.acknowledged(ids, content);
  else if (told === 'refused') oracle.refused();
  else oracle.unknown(ids, content, batch);
}

/** Some are read again and again, most of them are ones that nothing open may change. */
function someKeys({ firstKey, keys, next, oracle }: ClientOptions, count: number): number[] {
  const chosen = new Set<number>();
  const mayBeOpen = next() < 0.3;
  for (let attempt = 0; chosen.size < count && attempt < count * 4; attempt++) {
    const id = firstKey + Math.floor(next() * keys);
    if (mayBeOpen || !oracle.isOpen(id)) chosen.add(id);
  }
  if (chosen.size === 0) chosen.add(firstKey + Math.floor(next() * keys));
  return [...chosen];
}

async function readOwn(options: ClientOptions): Promise<void> {
  const { oracle, firstKey, keys, next } = options;
  const all = next() < 0.2;
  const ids = all
    ? Array.from({ length: keys }, (_, index) => firstKey + index)
    : someKeys(options, 20);
  const filter = all ? `id >= ${firstKey} and id < ${firstKey + keys}` : `id in [${ids.join(',')}]`;
  oracle.seen(ids, await readRows(options, filter));
}

/** What a search finds is what is there; that it finds the nearest is asked elsewhere. */
async function searchOwn(options: ClientOptions): Promise<void> {
  const { oracle, firstKey, keys, collectionName, counts } = options;
  const { data } = await read(options, 'entities/search', {
    collectionName,
    data: [rowOf(firstKey, options.stamp()).vector],
    filter: `id >= ${firstKey} and id < ${firstKey + keys}`,
    limit: 10,
    outputFields: OUTPUT_FIELDS,
  });
  // As in `readRows`, with a distance.
  const rows = data as readonly Row[];
  counts.rowsChecked += rows.length;
  oracle.seen(
    rows.map(({ id }) => id),
    rows,
  );
}
