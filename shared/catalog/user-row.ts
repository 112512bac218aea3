/**
 * A user as a row of the global table: the password's scrypt hash with its salt and cost.
 *
 * Canonical JSON with a format number. Members that this Sterna does not know are kept when the row is
 * written again: a newer one may have put them there while both run side by side.
 */
import { scrypt, timingSafeEqual } from 'node:crypto';
import * as z from 'zod';
import { toHex, utf8 } from '#base/bytes.ts';
import { StoreError } from '#base/errors.ts';
import { canonicalJson, type Json } from '#base/json.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { RowKey } from '#ports/table.ts';

/** scrypt's cost: 128 * 16,384 * 8 = 16 MB and about 40 ms. */
const COST = { N: 16_384, r: 8, p: 1 } as const;
export const HASH_BYTES = 32;
const SALT_BYTES = 16;
const FORMAT = 1;

const StoredUser = z.looseObject({
  format: z.literal(FORMAT),
  salt: z.hex(),
  hash: z.hex(),
  cost: z.object({ N: z.int(), r: z.int(), p: z.int() }),
  description: z.string().exactOptional(),
});
export type StoredUser = z.output<typeof StoredUser>;

const USER_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,254}$/;

/** Whether there can be a user of this name at all; only then it is a row's key. */
export const isUserName = (user: string): boolean => USER_NAME.test(user);

export const userKey = (user: string): RowKey => ({ partition: 'users', sort: user });

/** Salt, hash and cost for a new password. */
export async function newSecret(
  entropy: Entropy,
  password: string,
): Promise<Pick<StoredUser, 'salt' | 'hash' | 'cost'>> {
  const salt = entropy.bytes(SALT_BYTES);
  const hash = await hashPassword(password, salt, COST);
  return { salt: toHex(salt), hash: toHex(hash), cost: { ...COST } };
}

/** A user that nobody can be: a wrong name then costs as much time as a wrong password. */
export const decoyUser = (entropy: Entropy): StoredUser => ({
  format: FORMAT,
  salt: toHex(entropy.bytes(SALT_BYTES)),
  hash: toHex(new Uint8Array(HASH_BYTES)),
  cost: { ...COST },
});

/** Compares in constant time. */
export async function isPassword(password: string, user: StoredUser): Promise<boolean> {
  const hash = await hashPassword(password, Buffer.from(user.salt, 'hex'), user.cost);
  const stored = Buffer.from(user.hash, 'hex');
  return stored.length === hash.length && timingSafeEqual(hash, stored);
}

export const encodeUser = (user: Omit<StoredUser, 'format'>): Uint8Array =>
  // Parsed from JSON, or made of texts and numbers here.
  utf8(canonicalJson({ ...user, format: FORMAT } as Json));

/** @throws StoreError `DATA_CORRUPT`, `FORMAT_TOO_NEW` */
export function decodeUser(bytes: Uint8Array, user: string): StoredUser {
  const json = readJson(bytes);
  const parsed = StoredUser.safeParse(json);
  if (parsed.success) return parsed.data;
  const newer = z.object({ format: z.number().gt(FORMAT) }).safeParse(json);
  throw newer.success
    ? new StoreError(
        'FORMAT_TOO_NEW',
        `the row of user ${user}: format ${newer.data.format} of a newer Sterna`,
      )
    : new StoreError('DATA_CORRUPT', `the row of user ${user} is damaged`);
}

/** Undefined where it is no JSON: no row of a user is. */
function readJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}

function hashPassword(
  password: string,
  salt: Uint8Array,
  cost: StoredUser['cost'],
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    // Twice what the cost takes, as headroom for scrypt's own buffers.
    const maxmem = 256 * cost.N * cost.r;
    scrypt(password, salt, HASH_BYTES, { ...cost, maxmem }, (error, hash) =>
      error === null ? resolve(hash) : reject(error),
    );
  });
}
