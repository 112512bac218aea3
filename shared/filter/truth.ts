/**
 * Three-valued verdicts over rows, as bitmaps, and Kleene's connectives.
 *
 * A row is true where `yes` has its bit, unknown where `unknown` has it, else false; never both.
 * Bits beyond the last row are zero in either.
 */
import { type Bitmap, bitmapOf } from '#schema/column.ts';

/** `unknown` is left out where no row is unknown. */
export type Verdict = Readonly<{ count: number; yes: Bitmap; unknown?: Bitmap | undefined }>;

export function constantVerdict(count: number, value: boolean): Verdict {
  const yes = bitmapOf(count);
  if (value) {
    yes.fill(0xff);
    clearTail(yes, count);
  }
  return { count, yes };
}

/** The verdict of a test that ran over every row, where rows outside `valid` have no value. */
export function amongPresent(count: number, yes: Bitmap, valid: Bitmap | undefined): Verdict {
  if (valid === undefined) return { count, yes };
  const unknown = bitmapOf(count);
  let some = 0;
  for (let byte = 0; byte < yes.length; byte++) {
    const present = valid[byte]!;
    yes[byte]! &= present;
    unknown[byte] = ~present;
    some |= unknown[byte]!;
  }
  clearTail(unknown, count);
  return some === 0 ? { count, yes } : { count, yes, unknown };
}

export function negate({ count, yes, unknown }: Verdict): Verdict {
  const no = bitmapOf(count);
  for (let byte = 0; byte < no.length; byte++) no[byte] = ~(yes[byte]! | (unknown?.[byte] ?? 0));
  clearTail(no, count);
  return { count, yes: no, unknown };
}

/** False wins over unknown, unknown over true. */
export function conjoin(a: Verdict, b: Verdict): Verdict {
  const { count } = a;
  const yes = bitmapOf(count);
  for (let byte = 0; byte < yes.length; byte++) yes[byte] = a.yes[byte]! & b.yes[byte]!;
  if (a.unknown === undefined && b.unknown === undefined) return { count, yes };
  const unknown = bitmapOf(count);
  for (let byte = 0; byte < yes.length; byte++) {
    const notFalse =
      (a.yes[byte]! | (a.unknown?.[byte] ?? 0)) & (b.yes[byte]! | (b.unknown?.[byte] ?? 0));
    unknown[byte] = notFalse & ~yes[byte]!;
  }
  return { count, yes, unknown };
}

/** True wins over unknown, unknown over false. */
export function disjoin(a: Verdict, b: Verdict): Verdict {
  const { count } = a;
  const yes = bitmapOf(count);
  for (let byte = 0; byte < yes.length; byte++) yes[byte] = a.yes[byte]! | b.yes[byte]!;
  if (a.unknown === undefined && b.unknown === undefined) return { count, yes };
  const unknown = bitmapOf(count);
  for (let byte = 0; byte < yes.length; byte++) {
    unknown[byte] = ((a.unknown?.[byte] ?? 0) | (b.unknown?.[byte] ?? 0)) & ~yes[byte]!;
  }
  return { count, yes, unknown };
}

function clearTail(bitmap: Bitmap, count: number): void {
  const used = count & 7;
  if (used !== 0) bitmap[bitmap.length - 1]! &= (1 << used) - 1;
}

/**
 * The rows of `wanted` that another operand of a run can still change: those not false in an `and`,
 * not true in an `or`. Undefined where there are none.
 */
export function undecidedAfter(
  kind: 'and' | 'or',
  { count, yes, unknown }: Verdict,
  wanted: Bitmap | undefined,
): Bitmap | undefined {
  const rows = bitmapOf(count);
  let some = 0;
  for (let byte = 0; byte < rows.length; byte++) {
    const open = kind === 'and' ? yes[byte]! | (unknown?.[byte] ?? 0) : ~yes[byte]!;
    rows[byte] = open & (wanted?.[byte] ?? 0xff);
    some |= rows[byte]!;
  }
  clearTail(rows, count);
  return some === 0 ? undefined : rows;
}
