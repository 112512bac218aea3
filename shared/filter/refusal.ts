/** How an expression is turned down: one manner of speaking for lexer, parser and types. */
import { StoreError } from '#base/errors.ts';

/** Enough of an expression to recognise it by; a list of 200,000 keys does not belong in a reply. */
const SHOWN_MAX = 200;
/** A sentence about the offence; only a name or literal of the expression makes it longer than this. */
const REASON_MAX = 500;

/** Characters beyond the basic plane count as one this near before the offence: it bounds the copy. */
const COLUMN_SCAN_MAX = 10_000;

/** The 1-based column of an offset, counted in characters. */
function columnOf(expression: string, at: number): number {
  const near = Math.max(0, at - COLUMN_SCAN_MAX);
  return near + [...expression.slice(near, at)].length + 1;
}

/** Half a character cannot be sent as UTF-8. */
export const printable = (text: string): string => text.replace(/\p{Surrogate}/gu, '?');

const shorten = (text: string, charsMax = SHOWN_MAX): string =>
  text.length <= charsMax ? printable(text) : `${printable(text.slice(0, charsMax))}...`;

/** @throws StoreError `INVALID_ARGUMENT`, always. */
export function refuse(expression: string, at: number, what: string): never {
  const where = columnOf(expression, at);
  throw new StoreError(
    'INVALID_ARGUMENT',
    `failed to create query plan: cannot parse expression: ${shorten(expression)}, error: ${shorten(what, REASON_MAX)} (column ${where})`,
  );
}

/** @throws StoreError `UNSUPPORTED`, always: the construct is in the grammar and is not built. */
export function unsupported(expression: string, at: number, construct: string): never {
  const where = columnOf(expression, at);
  throw new StoreError(
    'UNSUPPORTED',
    `filter construct not supported: ${shorten(construct, REASON_MAX)} (column ${where}) in expression: ${shorten(expression)}`,
  );
}
