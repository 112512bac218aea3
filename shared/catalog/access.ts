/**
 * Who may speak: users in the global table, their passwords as scrypt hashes.
 *
 * `root` with the given password is created when absent. Verified credentials are remembered, as keyed
 * digests and never in plain text, since scrypt takes about 40 ms by design. They are believed for
 * {@link BELIEVED_MS} at a time: then the user's row is read again, and they hold only while it is the
 * same. So a password that is changed somewhere ends here within that time, and at once where it is
 * changed. Comparisons take constant time, and an unknown user costs as much as a wrong password.
 */
import { hash, timingSafeEqual } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import pLimit from 'p-limit';
import { compareBytes, concatBytes, toHex, utf8 } from '#base/bytes.ts';
import { isStoreError, StoreError } from '#base/errors.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { Row, Table } from '#ports/table.ts';
import { Attempts } from './attempts.ts';
import {
  decodeUser,
  decoyUser,
  encodeUser,
  HASH_BYTES,
  isPassword,
  isUserName,
  newSecret,
  type StoredUser,
  userKey,
} from './user-row.ts';

export const ROOT_USER = 'root';

/**
 * How long verified credentials are believed without a look at the user's row, counted from before the
 * look: what is changed anywhere is known within 10 s. A look is one read unit, so a busy process pays
 * 8,640 a day for each user, a tenth of a cent.
 */
export const BELIEVED_MS = 10_000;
/** Users with a remembered password: digest and row, some 300 bytes each. */
const REMEMBERED_MAX = 1000;
/** Hashes under way at once: 16 MB and a thread of the pool each. */
const HASHES_AT_ONCE = 2;
/** Waiting verifications, at 40 ms each and two at a time: 2 s of waiting. */
const WAITING_MAX = 100;
/** Lost races and answers in a row of one change; each but the last means that somebody else's went through. */
const SWAPS_MAX = 8;

/** A header is at most this long: user names have 255 characters, passwords 72. */
const HEADER_CHARS_MAX = 1024;

export type Credentials = Readonly<{ user: string; password: string }>;

export type PasswordChange = Credentials &
  Readonly<{
    newPassword: string;
    /** Replaces the user's description; left out, it stays. */
    description?: string | undefined;
  }>;

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
  readonly #decoy: StoredUser;
  /** By user. */
  readonly #remembered = new LRUCache<string, Remembered>({ max: REMEMBERED_MAX });
  /**
   * By digest, until when: clients that go on sending an old password cost neither a hash nor an
   * attempt, so that they do not keep out those who know the new one.
   */
  readonly #refused = new LRUCache<string, number>({ max: REMEMBERED_MAX });
  readonly #attempts: Attempts;
  readonly #hashing = pLimit(HASHES_AT_ONCE);
  /** Changes made here: what was looked up before the latest is not remembered behind it. */
  #changes = 0;

  constructor(ports: Ports) {
    this.#ports = ports;
    this.#digestKey = ports.entropy.bytes(HASH_BYTES);
    this.#decoy = decoyUser(ports.entropy);
    this.#attempts = new Attempts(ports.clock);
  }

  /**
   * The user a header speaks for.
   *
   * @throws StoreError `UNAUTHENTICATED`; `OVERLOADED` where too many passwords wait to be verified,
   *   or were wrong for this user
   */
  async authenticate(header: string | undefined): Promise<string> {
    const credentials = readCredentials(header);
    if (credentials === undefined || !isUserName(credentials.user)) throw unauthenticated();
    const { user } = credentials;
    const digest = this.#digest(credentials);
    if (await this.#isRemembered(user, digest)) return user;
    const name = toHex(digest);
    if ((this.#refused.get(name) ?? 0) > this.#ports.clock.nowMs()) throw unauthenticated();
    const changes = this.#changes;
    const atMs = this.#ports.clock.nowMs();
    const row = await this.#ports.global.get(userKey(user));
    const right = await this.#verify(credentials, row);
    if (right && row !== undefined) {
      this.#remember(user, { digest, stored: row.value, untilMs: atMs + BELIEVED_MS }, changes);
      return user;
    }
    if (changes === this.#changes) this.#refused.set(name, atMs + BELIEVED_MS);
    throw unauthenticated();
  }

  /**
   * Replaces a user's password, by compare-and-set on the user's row. Whoever changes it must know
   * the old one. Credentials of before are refused here when this returns or throws, and within
   * {@link BELIEVED_MS} by every other process.
   *
   * @throws StoreError
   *   - `WRONG_PASSWORD` where the old password is not the user's, or there is no such user
   *   - `OVERLOADED` where too many were wrong, or wait to be verified
   *   - `UNCERTAIN` where the table did not answer: either password may be the user's now
   */
  async changePassword(change: PasswordChange): Promise<void> {
    const { user, password, newPassword, description } = change;
    let secret: Awaited<ReturnType<typeof newSecret>> | undefined;
    let verified: Uint8Array | undefined;
    let unheard: unknown;
    try {
      for (let swap = 1; swap <= SWAPS_MAX; swap++) {
        const row = isUserName(user) ? await this.#ports.global.get(userKey(user)) : undefined;
        const current = row && decodeUser(row.value, user);
        // A salt is used once: this is ours, whose answer was lost.
        if (secret !== undefined && current?.salt === secret.salt) return;
        const known = row !== undefined && verified !== undefined && same(row.value, verified);
        if (!known && !(await this.#verify({ user, password }, row))) {
          // Ours may have been in effect until somebody replaced it.
          throw unheard === undefined ? wrongPassword(user) : unknownChange(user, unheard);
        }
        if (row === undefined || current === undefined) throw wrongPassword(user);
        verified = row.value;
        secret ??= await this.#queued(() => newSecret(this.#ports.entropy, newPassword));
        const described = description === undefined ? {} : { description };
        const next = encodeUser({ ...current, ...secret, ...described });
        try {
          const version = await this.#ports.global.put(userKey(user), next, row.version);
          if (version !== undefined) return;
        } catch (error) {
          if (!isStoreError(error, 'UNCERTAIN')) throw error;
          unheard = error;
        }
      }
      throw unknownChange(user, unheard);
    } finally {
      // Last, so that what was looked up while the change was under way is not remembered either.
      if (secret !== undefined) this.#forget(user);
    }
  }

  /** Believed for a while; then only if the user's row is still the one they were verified against. */
  async #isRemembered(user: string, digest: Uint8Array): Promise<boolean> {
    const known = this.#remembered.get(user);
    if (known === undefined || !timingSafeEqual(known.digest, digest)) return false;
    const atMs = this.#ports.clock.nowMs();
    if (atMs < known.untilMs) return true;
    const changes = this.#changes;
    const row = await this.#ports.global.get(userKey(user));
    // Versions start anew for a user who was dropped and created again; salts do not.
    if (row === undefined || !same(row.value, known.stored)) return false;
    this.#remember(user, { ...known, untilMs: atMs + BELIEVED_MS }, changes);
    return true;
  }

  #remember(user: string, credentials: Remembered, changes: number): void {
    if (changes === this.#changes) this.#remembered.set(user, credentials);
  }

  #forget(user: string): void {
    this.#changes += 1;
    this.#remembered.delete(user);
    this.#refused.clear();
  }

  #digest({ user, password }: Credentials): Uint8Array {
    return hash('sha256', concatBytes([this.#digestKey, utf8(`${user}:${password}`)]), 'buffer');
  }

  async #verify({ user, password }: Credentials, row: Row | undefined): Promise<boolean> {
    const stored = row === undefined ? this.#decoy : decodeUser(row.value, user);
    const right = await this.#queued(() => {
      this.#attempts.begin(user);
      return isPassword(password, stored);
    });
    if (!right || row === undefined) return false;
    this.#attempts.right(user);
    return true;
  }

  async #queued<T>(work: () => Promise<T>): Promise<T> {
    if (this.#hashing.pendingCount >= WAITING_MAX) {
      throw new StoreError('OVERLOADED', 'too many passwords wait to be verified');
    }
    return this.#hashing(work);
  }
}

type Remembered = Readonly<{
  digest: Uint8Array;
  /** The row that they were verified against. */
  stored: Uint8Array;
  untilMs: number;
}>;

/** Opens the users of a deployment; `root` exists afterwards, with `rootPassword` if it is new. */
export async function openAccess(
  ports: Ports,
  rootPassword: string | (() => Promise<string>),
): Promise<Access> {
  await ensureRoot(ports, rootPassword);
  return new Access(ports);
}

/** Creates `root` where there is none; only then is a password that is a function asked for. */
export async function ensureRoot(
  ports: Ports,
  rootPassword: string | (() => Promise<string>),
): Promise<void> {
  if ((await ports.global.get(userKey(ROOT_USER))) !== undefined) return;
  const password = typeof rootPassword === 'string' ? rootPassword : await rootPassword();
  await createUser(ports, { user: ROOT_USER, password });
}

/** False where there is such a user already, whose password stays. */
export async function createUser(ports: Ports, credentials: Credentials): Promise<boolean> {
  const { user, password } = credentials;
  if (!isUserName(user)) {
    throw new StoreError(
      'INVALID_ARGUMENT',
      `user name ${JSON.stringify(user.slice(0, 64))}: letters, digits and underscores, no digit first`,
    );
  }
  const value = encodeUser(await newSecret(ports.entropy, password));
  return (await ports.global.put(userKey(user), value, 'absent')) !== undefined;
}

const same = (a: Uint8Array, b: Uint8Array): boolean => compareBytes(a, b) === 0;

const unauthenticated = (): StoreError =>
  new StoreError('UNAUTHENTICATED', "user hasn't authenticated");

/** The same words for a user who is not there: nobody learns who is. */
const wrongPassword = (user: string): StoreError =>
  new StoreError('WRONG_PASSWORD', `old password not correct for ${user.slice(0, 64)}`);

const unknownChange = (user: string, cause: unknown): StoreError =>
  new StoreError(
    'UNCERTAIN',
    `the table did not say what became of the new password of ${user.slice(0, 64)}: it or the old one is valid`,
    { cause },
  );
