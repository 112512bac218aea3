/**
 * Pins: the one place where whoever keeps objects alive registers (DESIGN 4.6; ADR 0013).
 *
 * A pin is one row of the regional table. It is opened before its holder looks at any head, and
 * completed with the object that lists what it holds; until then it holds everything. Every change is
 * one conditional put. Rows are not deleted while they may be made again: a version that started
 * over at 1 would let a process that was frozen for long change a newer pin of the same name.
 */
import * as z from 'zod';
import { toHex, utf8 } from '#base/bytes.ts';
import { isStoreError, StoreError } from '#base/errors.ts';
import { canonicalJson, type Json } from '#base/json.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Condition, Row, RowKey, Table } from '#ports/table.ts';

const Id = z.int().min(1);
const Millis = z.int().min(0);

const StoredPin = z.object({
  format: z.literal(1),
  /** `dropped`: holds nothing, and its name is free. */
  state: z.enum(['open', 'complete', 'dropped']),
  /** Tells two pins apart that had one name, one after the other. */
  pinId: z.hex(),
  source: z.object({ collectionId: Id, dbName: z.string(), collectionName: z.string() }),
  /** Absent for a pin without a name, such as a clone's. */
  name: z.string().exactOptional(),
  description: z.string(),
  openedMs: Millis,
  /** The object that lists what is held, and the log time it was cut at; `complete` only. */
  cut: z.object({ key: z.string(), logTimeMs: Millis }).exactOptional(),
  /** Collections whose manifests share the objects. */
  holders: z.array(Id),
  /** Those who asked that it may not be dropped before a time. */
  guards: z.array(z.object({ guardId: z.int().min(1), expiresAtMs: Millis })),
});

export type Pin = Readonly<z.output<typeof StoredPin>>;
export type PinCut = NonNullable<Pin['cut']>;

/** A pin as it stands in the table: its row's version is the handle of the next change. */
export type PinRow = Readonly<{ key: RowKey; version: number; pin: Pin }>;

export type NewPin = Pick<Pin, 'source' | 'name' | 'description'>;

const PARTITION = 'pins';
const PAGE_ROWS = 1000;
/** 64,000 pins, of about 400 bytes: what one look of collect reads at most. */
const PAGES_MAX = 64;
/** 64 random bits. */
const PIN_ID_BYTES = 8;
const ATTEMPTS_MAX = 16;

/** Taking a cut waits for apply, seconds as a rule. A pin that is open for longer was abandoned. */
export const OPEN_MS_MAX = 15 * 60_000;

const pinKey = (collectionId: number, name: string | undefined, pinId: string): RowKey => ({
  partition: PARTITION,
  sort: `c${collectionId}/${name === undefined ? `a/${pinId}` : `n/${name}`}`,
});

/**
 * Opens a pin. From when this returns until it is completed or given up, collect deletes nothing.
 *
 * An open pin of the name is taken over: its maker may have died, and its name must not be taken for that.
 * A maker that lives cannot complete it any more, by the version of the row, and says so.
 *
 * @throws StoreError `ALREADY_EXISTS` where a complete pin has the name; `NOT_READY` where somebody else
 *   opened one at the same moment; `UNCERTAIN`
 */
export async function openPin(
  { table, clock, entropy }: Readonly<{ table: Table; clock: Clock; entropy: Entropy }>,
  wanted: NewPin,
): Promise<PinRow> {
  const pinId = toHex(entropy.bytes(PIN_ID_BYTES));
  const { source, name } = wanted;
  const key = pinKey(source.collectionId, name, pinId);
  const openedMs = clock.nowMs();
  const pin: Pin = {
    ...{ format: 1, state: 'open', pinId, openedMs, holders: [], guards: [] },
    ...wanted,
  };
  const before = await table.get(key);
  if (before !== undefined && decodePin(before).state === 'complete') throw taken(name ?? pinId);
  const version =
    (await swapped(table, key, pin, before?.version ?? 'absent')) ??
    (await versionWhere(table, key, (now) => now.pinId === pinId));
  if (version !== undefined) return { key, version, pin };
  throw new StoreError('NOT_READY', `snapshot ${name ?? pinId} is being taken; try again`);
}

const taken = (name: string): StoreError =>
  new StoreError('ALREADY_EXISTS', `snapshot ${name} already exists`);

/**
 * Completes an opened pin: from here on it holds what its cut lists.
 *
 * @throws StoreError `NOT_READY` where it was open for too long, or was given up by somebody else:
 *   what it would hold may be deleted already; `UNCERTAIN`
 */
export async function completePin(
  { table, clock }: Readonly<{ table: Table; clock: Clock }>,
  { key, version, pin }: PinRow,
  cut: PinCut,
  holders: readonly number[] = [],
): Promise<PinRow> {
  const next: Pin = { ...pin, state: 'complete', cut, holders: [...holders] };
  if (isAbandoned(pin, clock.nowMs())) throw notMade('taking it took too long');
  const put =
    (await swapped(table, key, next, version)) ??
    (await versionWhere(table, key, (now) => now.cut?.key === cut.key));
  if (put !== undefined) return { key, version: put, pin: next };
  throw notMade('another request took it over, or it was given up, since it took too long');
}

const notMade = (why: string): StoreError =>
  new StoreError('NOT_READY', `the snapshot was not taken: ${why}; try again`);

/** After an answer that was lost: did our put happen? */
async function versionWhere(
  table: Table,
  key: RowKey,
  isOurs: (pin: Pin) => boolean,
): Promise<number | undefined> {
  const row = await table.get(key);
  return row !== undefined && isOurs(decodePin(row)) ? row.version : undefined;
}

/** Lets go of everything that a collection holds in the pins of others. */
export async function releaseHolder(table: Table, collectionId: number): Promise<void> {
  for (const row of await readPins(table)) {
    if (!row.pin.holders.includes(collectionId)) continue;
    await changePin(table, row, (pin) => {
      const holders = pin.holders.filter((holder) => holder !== collectionId);
      return holders.length < pin.holders.length ? { ...pin, holders } : undefined;
    });
  }
}

/**
 * Deletes the spent pins of a collection whose id is never used again, and says how many others are left.
 */
export async function forgetPins(table: Table, collectionId: number): Promise<number> {
  let left = 0;
  for (const { key, pin } of await scan(table, `c${collectionId}/`)) {
    if (pin.state !== 'dropped' && isWorthKeeping(pin)) left += 1;
    else await table.delete(key);
  }
  return left;
}

/** Every pin that is not dropped, in order of their keys. */
export async function readPins(table: Table): Promise<PinRow[]> {
  return (await scan(table, '')).filter(({ pin }) => pin.state !== 'dropped');
}

/** The pins of one collection that are not dropped. */
export async function pinsOf(table: Table, collectionId: number): Promise<PinRow[]> {
  return (await scan(table, `c${collectionId}/`)).filter(({ pin }) => pin.state !== 'dropped');
}

/** The complete pin of that name; undefined where there is none. */
export async function namedPin(
  table: Table,
  collectionId: number,
  name: string,
): Promise<PinRow | undefined> {
  // Keys of rows are printable ASCII; a name that is not names nothing.
  if (!/^[\x21-\x7e]{1,255}$/.test(name)) return undefined;
  const row = await table.get(pinKey(collectionId, name, ''));
  if (row === undefined) return undefined;
  const found = pinRow(row);
  return found.pin.state === 'complete' ? found : undefined;
}

/** The pin of a row as it is by now; undefined where it is gone, or another has its name. */
export async function pinNow(
  table: Table,
  { key, pin: { pinId } }: PinRow,
): Promise<Pin | undefined> {
  const row = await table.get(key);
  const pin = row === undefined ? undefined : decodePin(row);
  return pin?.pinId === pinId ? pin : undefined;
}

/**
 * Changes a pin by compare-and-set until it holds, and returns it; undefined where the pin is gone
 * or `change` has nothing to change any more. `change` must recognise its own effect, and refuse by throwing.
 *
 * @throws StoreError `UNCERTAIN` after {@link ATTEMPTS_MAX} lost races
 */
export async function changePin(
  table: Table,
  { key, pin: { pinId } }: PinRow,
  change: (current: Pin) => Pin | undefined,
): Promise<PinRow | undefined> {
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const row = await table.get(key);
    if (row === undefined) return undefined;
    const current = decodePin(row);
    const next = current.pinId === pinId ? change(current) : undefined;
    if (next === undefined) return undefined;
    const version = await swapped(table, key, next, row.version);
    if (version !== undefined) return { key, version, pin: next };
  }
  throw new StoreError('UNCERTAIN', `pin ${key.sort}: lost ${ATTEMPTS_MAX} races; try again`);
}

/**
 * Takes the name from a pin. Where clones still hold its objects they stay pinned without a name:
 * that row is written first, so that there is no moment without one.
 *
 * @param check refuses by throwing; asked of the pin as it is when it is dropped
 * @throws StoreError `UNCERTAIN`; calling again is safe
 */
export async function dropPin(
  table: Table,
  { key, pin: { pinId } }: PinRow,
  check: (current: Pin) => void = () => undefined,
): Promise<void> {
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const row = await table.get(key);
    if (row === undefined) return;
    const current = decodePin(row);
    if (current.pinId !== pinId || current.state === 'dropped') return;
    check(current);
    if (!(await keepForHolders(table, current))) continue;
    const gone: Pin = { ...current, state: 'dropped', holders: [], guards: [] };
    if ((await swapped(table, key, gone, row.version)) !== undefined) return;
  }
  throw new StoreError('UNCERTAIN', `pin ${key.sort}: lost ${ATTEMPTS_MAX} races; try again`);
}

/** False where somebody else changed the nameless row meanwhile. */
async function keepForHolders(table: Table, { name, ...pin }: Pin): Promise<boolean> {
  if (name === undefined || pin.holders.length === 0) return true;
  const key = pinKey(pin.source.collectionId, undefined, pin.pinId);
  const row = await table.get(key);
  const before = row === undefined ? [] : decodePin(row).holders;
  const holders = [...new Set([...before, ...pin.holders])];
  const version = await swapped(table, key, { ...pin, holders }, row?.version ?? 'absent');
  return version !== undefined;
}

/**
 * Gives up the open pins whose makers took too long, and returns the pins that hold something. Only a
 * pin that was given up by compare-and-set holds nothing: its maker may be frozen, and complete it later.
 *
 * Looks twice, and believes either look. A pin that loses its name while its holders remain moves to
 * another row, which a scan may have passed already; but then an earlier scan saw it where it was (I6).
 */
export async function holdingPins({
  table,
  clock,
}: Readonly<{ table: Table; clock: Clock }>): Promise<PinRow[]> {
  const before = await readPins(table);
  for (const row of before) {
    if (isAbandoned(row.pin, clock.nowMs())) {
      await changePin(table, row, (pin) =>
        pin.state === 'open' ? { ...pin, state: 'dropped' } : undefined,
      );
    }
  }
  const now = await readPins(table);
  const seen = new Set(now.map(({ pin }) => pin.pinId));
  const moved = before.filter(({ pin }) => pin.state === 'complete' && !seen.has(pin.pinId));
  return [...now, ...moved].filter(({ pin }) => isWorthKeeping(pin));
}

/** A pin without a name and without holders holds nothing any more. */
const isWorthKeeping = ({ name, state, holders }: Pin): boolean =>
  state === 'open' || name !== undefined || holders.length > 0;

const isAbandoned = (pin: Pin, nowMs: number): boolean =>
  pin.state === 'open' && nowMs - pin.openedMs >= OPEN_MS_MAX;

async function scan(table: Table, prefix: string): Promise<PinRow[]> {
  const found: PinRow[] = [];
  let after: string | undefined;
  for (let page = 1; page <= PAGES_MAX; page++) {
    const from = after === undefined ? {} : { after };
    const rows = await table.query(PARTITION, { prefix, limit: PAGE_ROWS, ...from });
    found.push(...rows.map(pinRow));
    if (rows.length < PAGE_ROWS) return found;
    after = rows.at(-1)?.sort;
  }
  throw new StoreError('OVERLOADED', `more than ${PAGES_MAX * PAGE_ROWS} pins`);
}

const pinRow = (row: Row): PinRow => ({
  key: { partition: row.partition, sort: row.sort },
  version: row.version,
  pin: decodePin(row),
});

/** Plain data throughout, hence JSON. */
const encodePin = (pin: Pin): Uint8Array => utf8(canonicalJson(pin as Json));

/** A pin that cannot be read must stop collect: what it holds is not known. */
function decodePin({ sort, value }: Row): Pin {
  try {
    return StoredPin.parse(JSON.parse(Buffer.from(value).toString('utf8')));
  } catch (cause) {
    throw new StoreError('DATA_CORRUPT', `the pin ${sort} is damaged`, { cause });
  }
}

/** An uncertain swap counts as lost: the next round reads what really happened. */
async function swapped(
  table: Table,
  key: RowKey,
  pin: Pin,
  condition: Condition,
): Promise<number | undefined> {
  try {
    return await table.put(key, encodePin(pin), condition);
  } catch (error) {
    if (isStoreError(error, 'UNCERTAIN')) return undefined;
    throw error;
  }
}
