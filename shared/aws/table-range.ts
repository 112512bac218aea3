/** The bounds of a query as the one sort condition that DynamoDB allows: BETWEEN, both ends included. */
type Bounds = Readonly<{ low: string; high: string }>;

/** Sorts have at most 512 bytes (`ports/arguments.ts`); DynamoDB takes up to 1,024 in a condition. */
const SORT_BYTES_MAX = 512;

/**
 * The first and the last text to ask for, so that among texts of 1 to 512 printable ASCII characters
 * exactly those with `low <= sort && sort < high` lie between them; undefined where there are none.
 */
export function sortRange({
  low,
  high,
}: Bounds): Readonly<{ first: string; last: string }> | undefined {
  // The first printable character is a space, and DynamoDB has no empty key.
  const first = comparable(low) || ' ';
  const last = lastBelow(comparable(high));
  return first <= last ? { first, last } : undefined;
}

/**
 * Compares with every sort as `bound` does, in bytes as in characters. What is outside ASCII is
 * beyond every sort that shares what stands before it, as U+007F is; and where a bound goes on
 * behind the longest sort, that sort lies below it and everything else decides earlier.
 */
function comparable(bound: string): string {
  const ascii = bound.replace(/\P{ASCII}.*$/su, '\x7f');
  return ascii.length <= SORT_BYTES_MAX ? ascii : `${ascii.slice(0, SORT_BYTES_MAX)}\0`;
}

/**
 * A text at or above all sorts below `bound`, and below all others. No sort has a character below a
 * space or U+007F, so a bound that ends in one excludes itself. Below `ab` the last are `aa` and
 * everything that begins with it; below `a ` the last is `a`.
 */
function lastBelow(bound: string): string {
  const end = bound.length - 1;
  const code = bound.charCodeAt(end);
  if (end < 0 || code < 0x20 || code === 0x7f) return bound;
  return `${bound.slice(0, end)}${String.fromCharCode(code - 1)}\x7f`;
}
