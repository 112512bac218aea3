/** users/*: who may speak. Passwords travel as plain text inside the connection, as in Milvus. */
import * as z from 'zod';
import { Description, KnownName, refuse } from './names.ts';

/** Milvus's bounds, in bytes of UTF-8 as there. */
const PASSWORD_BYTES_MIN = 6;
const PASSWORD_BYTES_MAX = 72;

/** A password that is set; the message never shows it. */
const NewPassword = z.string().transform((password, context) => {
  if (password === '') return refuse(context, 'MISSING_FIELD', 'the password is empty', password);
  const { length } = new TextEncoder().encode(password);
  if (length >= PASSWORD_BYTES_MIN && length <= PASSWORD_BYTES_MAX) return password;
  const message = `invalid password length: expected ${PASSWORD_BYTES_MIN} to ${PASSWORD_BYTES_MAX} bytes, found ${length}`;
  return refuse(context, 'INVALID_ARGUMENT', message, undefined);
});

/** A password that is compared: whatever was never set is wrong. */
const KnownPassword = z.string().transform((password, context) => {
  if (password === '') return refuse(context, 'MISSING_FIELD', 'the password is empty', password);
  return password;
});

export const UpdatePasswordRequest = z.object({
  userName: KnownName,
  password: KnownPassword,
  newPassword: NewPassword,
  /** Of the user; left out, the description stays. */
  description: Description.optional(),
});
export type UpdatePasswordRequest = z.output<typeof UpdatePasswordRequest>;
