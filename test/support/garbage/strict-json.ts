/**
 * Which texts a server must take for JSON, decided without the server's own reader: what the runtime's
 * parser takes, less what API.md 1.9 refuses on top.
 */

/** What a body says; undefined where it is not JSON that a server may accept. */
export type Parsed = Readonly<{ value: unknown }> | undefined;

/** Integers beyond this many digits, and more levels than these, are refused wherever they stand. */
const DIGITS_MAX = 400;
const DEPTH_MAX = 100;

/** Integers beyond 2^53 are bigints; so are literals like 9007199254740993.0 and 1e17. */
export function parseStrict(text: string): Parsed {
  if (hasEqualKeys(text)) return undefined;
  let bad = false;
  // The reviver's third argument carries the literal; the library's types do not know it yet.
  const revive = (_: string, value: unknown, context?: { source?: string }): unknown => {
    if (typeof value === 'string' && /\p{Surrogate}/u.test(value)) bad = true;
    if (typeof value === 'object' && value !== null) {
      if (Object.keys(value).some((key) => /\p{Surrogate}/u.test(key))) bad = true;
    }
    if (typeof value !== 'number') return value;
    if (!Number.isFinite(value)) bad = true;
    return exactNumber(value, context?.source ?? '');
  };
  try {
    const value: unknown = JSON.parse(text, revive);
    return bad || depthOf(text) > DEPTH_MAX ? undefined : { value };
  } catch {
    return undefined;
  }
}

function exactNumber(value: number, literal: string): number | bigint {
  if (Number.isSafeInteger(value)) return value;
  if (/^-?[0-9]+$/.test(literal)) {
    if (literal.replace('-', '').length > DIGITS_MAX) throw new Error('too many digits');
    return BigInt(literal);
  }
  const [mantissa = '', power = '0'] = literal.toLowerCase().split('e');
  const [units = '', fraction = ''] = mantissa.split('.');
  const zeros = Number(power) - fraction.length;
  if (Math.abs(value) >= 2 ** 65 || Math.abs(zeros) > 40) return value;
  const digits = BigInt(units + fraction);
  const scale = 10n ** BigInt(Math.abs(zeros));
  if (zeros >= 0) return digits * scale;
  return digits % scale === 0n ? digits / scale : value;
}

/** Strings, and the characters that open, close and separate. */
const TOKENS = /"[^"\\]*(?:\\[\s\S][^"\\]*)*"|[{}[\],:]/g;

function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === '{' || token === '[') deepest = Math.max(deepest, ++depth);
    if (token === '}' || token === ']') depth--;
  }
  return deepest;
}

/** True where one object has the same key twice, however it is escaped. */
function hasEqualKeys(text: string): boolean {
  const open: Set<string>[] = [];
  let last = '';
  for (const [token] of text.matchAll(TOKENS)) {
    if (token === '{' || token === '[') open.push(new Set());
    if (token === '}' || token === ']') open.pop();
    if (token === ':') {
      const keys = open.at(-1);
      const key = keyOf(last);
      if (keys?.has(key) === true) return true;
      keys?.add(key);
    }
    last = token;
  }
  return false;
}

function keyOf(literal: string): string {
  try {
    return String(JSON.parse(literal));
  } catch {
    return literal;
  }
}
