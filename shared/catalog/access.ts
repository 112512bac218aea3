/**
 * Who may speak: users in the global table, their passwords as scrypt hashes.
 *
 * `root` with the given password is created when absent. Verified credentials are remembered for a
 * minute, as keyed digests and never in plain text, since scrypt takes about 40 ms by design; so a
 * changed password ends old sessions within that minute. Comparisons take constant time, and an
 * unknown user costs as much as a wrong password.
 */
import { hash, scrypt, timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import pLimit from 'p-limit';
import * as z from 'zod';
import { concatBytes, toHex, utf8 } from '#base/bytes.ts';
import { StoreError } from '#base/errors.ts';
import { canonicalJson } from '#base/json.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { RowKey, Table } from '#ports/table.ts';

export const ROOT_USER = 'root';

/** How long a verified password is believed without asking again. */
const REMEMBERED_MS = 60_000;
/** Users with a remembered password: 32 bytes of digest each. */
const REMEMBERED_MAX = 1000;
/** Hashes under way at once: 16 MB and a thread of the pool each. */
const HASHES_AT_ONCE = 2;
/** Waiting verifications, at 40 ms each and two at a time: 2 s of waiting. */
const WAITING_MAX = 100;

/** scrypt's cost: 128 * 16,384 * 8 = 16 MB and about 40 ms. */
const COST = { N: 16_384, r: 8, p: 1 } as const;
const HASH_BYTES = 32;
const SALT_BYTES = 16;
const USER_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,254}$/;
/** A header is at most this long: user names have 255 characters, passwords 72. */
const HEADER_CHARS_MAX = 1024;

const StoredUser = z.object({
  format: z.literal(1),
  salt: z.hex(),
  hash: z.hex(),
  cost: z.object({ N: z.int(), r: z.int(), p: z.int() }),
});

export type Credentials = Readonly<{ user: string; password: string }>;

/**
 * User and password of an `Authorization` header: `Bearer user:password` or `Basic base64`. An API
 * key (`Bearer` without a colon) names nobody here.
 */
export function readCredentials(header: string | undefined): Credentials | undefined {
  if (header === undefined || header.length > HEADER_CHARS_MAX) return undefined;
  const match = /^(bearer|basic) +(\S.*)$/i.exec(header.trim());
  const [, scheme = '', value = ''] = match ?? [];
  const text =
    scheme.toLowerCase() === 'basic' ? Buffer.from(value, 'base64').toString('utf8') : value;
  const colon = text.indexOf(':');
  if (colon < 1) return undefined;
  return { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

type Ports = Readonly<{ global: Table; clock: Clock; entropy: Entropy }>;

export class Access {
  readonly #ports: Ports;
  /** Goes before what is digested, so that digests mean nothing outside this process. */
  readonly #digestKey: Uint8Array;
  readonly #decoy: StoredHash;
  readonly #remembered = new LRUCache<string, Remembered>({ max: REMEMBERED_MAX });
  readonly #hashing = pLimit(HASHES_AT_ONCE);

  constructor(ports: Ports) {
    this.#ports = ports;
    this.#digestKey = ports.entropy.bytes(HASH_BYTES);
    this.#decoy = {
      salt: ports.entropy.bytes(SALT_BYTES),
      hash: new Uint8Array(HASH_BYTES),
      cost: COST,
    };
  }

  /**
   * The user a header speaks for.
   *
   * @throws StoreError `UNAUTHENTICATED`; `OVERLOADED` where too many passwords wait to be verified
   */
  async authenticate(header: string | undefined): Promise<string> {
    const credentials = readCredentials(header);
    if (credentials === undefined || !USER_NAME.test(credentials.user)) throw unauthenticated();
    const digest = this.#digest(credentials);
    if (this.#isRemembered(credentials.user, digest)) return credentials.user;
    if (!(await this.#verify(credentials))) throw unauthenticated();
    const untilMs = this.#ports.clock.nowMs() + REMEMBERED_MS;
    this.#remembered.set(credentials.user, { digest, untilMs });
    return credentials.user;
  }

  #isRemembered(user: string, digest: Uint8Array): boolean {
    const known = this.#remembered.get(user);
    if (known === undefined || known.untilMs <= this.#ports.clock.nowMs()) return false;
    return timingSafeEqual(known.digest, digest);
  }

  #digest({ user, password }: Credentials): Uint8Array {
    return hash('sha256', concatBytes([this.#digestKey, utf8(`${user}:${password}`)]), 'buffer');
  }

  async #verify({ user, password }: Credentials): Promise<boolean> {
    if (this.#hashing.pendingCount >= WAITING_MAX) {
      throw new StoreError('OVERLOADED', 'too many passwords wait to be verified');
    }
    const row = await this.#ports.global.get(userKey(user));
    const stored = row === undefined ? this.#decoy : decodeUser(row.value, user);
    const hash = await this.#hashing(() => hashPassword(password, stored));
    return row !== undefined && timingSafeEqual(hash, stored.hash);
  }
}

type Remembered = Readonly<{ digest: Uint8Array; untilMs: number }>;
type StoredHash = Readonly<{
  salt: Uint8Array;
  hash: Uint8Array;
  cost: Readonly<{ N: number; r: number; p: number }>;
}>;

/** Opens the users of a deployment; `root` exists afterwards, with `rootPassword` if it is new. */
export async function openAccess(ports: Ports, rootPassword: string): Promise<Access> {
  if ((await ports.global.get(userKey(ROOT_USER))) === undefined) {
    await createUser(ports, { user: ROOT_USER, password: rootPassword });
  }
  return new Access(ports);
}

/** False where there is such a user already, whose password stays. */
export async function createUser(ports: Ports, credentials: Credentials): Promise<boolean> {
  if (!USER_NAME.test(credentials.user)) {
    throw new StoreError(
      'INVALID_ARGUMENT',
      `user name ${JSON.stringify(credentials.user.slice(0, 64))}: letters, digits and underscores, no digit first`,
    );
  }
  const salt = ports.entropy.bytes(SALT_BYTES);
  const hash = await hashPassword(credentials.password, { salt, cost: COST });
  const stored = { format: 1, salt: toHex(salt), hash: toHex(hash), cost: COST };
  const value = utf8(canonicalJson(stored));
  return (await ports.global.put(userKey(credentials.user), value, 'absent')) !== undefined;
}

const userKey = (user: string): RowKey => ({ partition: 'users', sort: user });

const unauthenticated = (): StoreError =>
  new StoreError('UNAUTHENTICATED', "user hasn't authenticated");

function decodeUser(bytes: Uint8Array, user: string): StoredHash {
  try {
    const { salt, hash, cost } = StoredUser.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
    return { salt: Buffer.from(salt, 'hex'), hash: Buffer.from(hash, 'hex'), cost };
  } catch (cause) {
    throw new StoreError('DATA_CORRUPT', `the row of user ${user} is damaged`, { cause });
  }
}

function hashPassword(
  password: string,
  { salt, cost }: Pick<StoredHash, 'salt' | 'cost'>,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    // Twice what the cost takes, as headroom for scrypt's own buffers.
    const maxmem = 256 * cost.N * cost.r;
    scrypt(password, salt, HASH_BYTES, { ...cost, maxmem }, (error, hash) =>
      error === null ? resolve(hash) : reject(error),
    );
  });
}
