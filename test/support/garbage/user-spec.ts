/** What API.md says about users: names, passwords, and who may change them (root may, for everybody). */
import { FINE, isAbsent, optional, refused, request, type Spec } from './spec.ts';

export const KNOWN_USER = 'ann';
export const KNOWN_PASSWORD = 'first-secret';

const bytesOf = (text: string): number => Buffer.byteLength(text);

/** Whoever is not there, and whatever is not the password, gets the same words. */
const compared =
  (known: string, bytesMax: number): Spec =>
  (value, name) => {
    if (isAbsent(value)) return refused(1802, name);
    if (typeof value !== 'string') return refused(1801, name);
    if (value === '') return refused(1802, name);
    if (value.length > bytesMax) return refused([1100, 1400], name, 'not authenticated');
    return value === known ? FINE : refused(1400, 'not authenticated');
  };

const newPassword: Spec = (value, name) => {
  if (isAbsent(value)) return refused(1802, name);
  if (typeof value !== 'string') return refused(1801, name);
  if (value === '') return refused([1802, 1100], name);
  return bytesOf(value) >= 6 && bytesOf(value) <= 72 ? FINE : refused(1100, name);
};

export const updatePasswordSpec: Spec = request({
  userName: compared(KNOWN_USER, 255),
  password: compared(KNOWN_PASSWORD, 72),
  newPassword,
  description: optional((value, name) => {
    if (typeof value !== 'string') return refused(1801, name);
    return bytesOf(value) <= 1024 ? FINE : refused(1100, name);
  }),
});

export const USER_TEXTS: Readonly<Record<string, readonly string[]>> = {
  userName: [
    '"root "',
    '"ANN"',
    '"a b"',
    '"größe"',
    '""',
    `"${'u'.repeat(255)}"`,
    `"${'u'.repeat(256)}"`,
  ],
  password: [
    '"first-secret "',
    '"FIRST-SECRET"',
    '""',
    '"Zmlyc3Qtc2VjcmV0"',
    `"${'p'.repeat(5000)}"`,
  ],
  newPassword: [
    '"12345"',
    '"123456"',
    `"${'p'.repeat(72)}"`,
    `"${'p'.repeat(73)}"`,
    '"ööö"',
    '"öö1"',
    `"${'ö'.repeat(37)}"`,
    '"a:b c"',
    '"first-secret"',
    '""',
  ],
};
