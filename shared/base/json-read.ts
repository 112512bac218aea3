/**
 * The reader behind `parseJson`: recursive descent over the text, with the native parser for flat
 * arrays of numbers.
 */
import { StoreError } from './errors.ts';
import type { Json } from './json.ts';

export type JsonLimits = Readonly<{
  /** Arrays and objects within each other; default {@link DEPTH_MAX}. */
  depthMax?: number;
  /** Digits of one integer; default {@link INTEGER_DIGITS_MAX}. */
  integerDigitsMax?: number;
}>;

/** Recursion: a frame is about 150 bytes, so 100 levels take 15 KB of a stack of 1 MB. */
export const DEPTH_MAX = 100;
/** A double's integers have up to 309 digits, 64-bit ones 20: more is garbage that only costs time. */
export const INTEGER_DIGITS_MAX = 400;
/** Keys in error messages are cut here: a path of 100 levels stays below 7 KB. */
const PATH_KEY_CHARS_MAX = 64;

const EXACT_BELOW = 2 ** 53;
const I64_MIN = -(1n << 63n);
const U64_MAX = (1n << 64n) - 1n;
/** 2^64 as a double: below or at it, a literal with an exponent may be an exact 64-bit integer. */
const U64_END_NUMBER = 2 ** 64;
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * Objects that inherit nothing: neither `constructor` nor `toString` is a member of them, and
 * `__proto__` is a key like any other. (`Object.create(null)` would do the same, but V8 keeps such
 * objects as hash tables, three times slower to fill.)
 */
const Bare: { new (): Record<string, Json>; prototype: object } = Object.assign(
  // A function used as constructor is untyped in TypeScript; its instances start empty.
  function bare() {} as unknown as new () => Record<string, Json>,
  { prototype: Object.create(null) },
);

/** An empty object that inherits no names, to be filled with members. */
export const bareObject = (): Record<string, Json> => new Bare();

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;

/** One reading of one text; see `parseJson`. */
export class JsonReader {
  readonly #text: string;
  readonly #depthMax: number;
  readonly #integerDigitsMax: number;
  /** Key or index of the current element per open level; only the first `#depth` entries count. */
  readonly #path: (string | number)[] = [];
  #depth = 0;
  #at = 0;
  /** No array that opens before this is tried as a flat one: keeps the work linear. */
  #notFlatBefore = 0;

  constructor(text: string, limits: JsonLimits) {
    this.#text = text;
    this.#depthMax = limits.depthMax ?? DEPTH_MAX;
    this.#integerDigitsMax = limits.integerDigitsMax ?? INTEGER_DIGITS_MAX;
  }

  document(): Json {
    const value = this.#value();
    this.#skip();
    if (this.#at < this.#text.length) this.#fail('text after the end of the value');
    return value;
  }

  #fail(what: string): never {
    let path = '';
    for (const step of this.#path.slice(0, this.#depth)) {
      if (typeof step === 'number') path += `[${step}]`;
      else if (/^[A-Za-z_$][\w$]*$/.test(step)) path += path === '' ? step : `.${step}`;
      else path += `[${JSON.stringify(step)}]`;
    }
    const place = path === '' ? '' : `, in ${path}`;
    throw new StoreError(
      'MALFORMED_BODY',
      `not valid JSON: ${what} at character ${this.#at}${place}`,
    );
  }

  #unexpected(wanted: string): never {
    const found = this.#text.codePointAt(this.#at);
    if (found === undefined) return this.#fail(`the text ends where ${wanted} should be`);
    const shown =
      found > 0x20 && found < 0x7f
        ? `'${String.fromCodePoint(found)}'`
        : `U+${found.toString(16).padStart(4, '0')}`;
    return this.#fail(`found ${shown} where ${wanted} should be`);
  }

  /** Passes over white space; the code of the next character, NaN at the end. */
  #skip(): number {
    const text = this.#text;
    let at = this.#at;
    let code = text.charCodeAt(at);
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) {
      code = text.charCodeAt(++at);
    }
    this.#at = at;
    return code;
  }

  #value(): Json {
    const code = this.#skip();
    if (code === 0x22) return this.#string();
    if (code === 0x2d || isDigit(code)) return this.#number();
    if (code === 0x7b) return this.#object();
    if (code === 0x5b) return this.#array();
    if (code === 0x74) return this.#word('true', true);
    if (code === 0x66) return this.#word('false', false);
    if (code === 0x6e) return this.#word('null', null);
    return this.#unexpected('a value');
  }

  #word<T extends Json>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) this.#unexpected('a value');
    this.#at += word.length;
    return value;
  }

  #enter(): number {
    if (this.#depth === this.#depthMax) this.#fail(`more than ${this.#depthMax} levels of nesting`);
    this.#at += 1;
    return this.#depth++;
  }

  #object(): Json {
    const level = this.#enter();
    const object = bareObject();
    this.#path[level] = '';
    if (this.#skip() === 0x7d) return this.#leave(object);
    for (;;) {
      if (this.#skip() !== 0x22) this.#unexpected('a key in double quotes');
      const start = this.#at;
      const key = this.#string();
      this.#path[level] =
        key.length > PATH_KEY_CHARS_MAX ? `${key.slice(0, PATH_KEY_CHARS_MAX)}...` : key;
      if (object[key] !== undefined) {
        this.#at = start;
        this.#fail(`the key ${JSON.stringify(this.#path[level])} is given twice`);
      }
      if (this.#skip() !== 0x3a) this.#unexpected("':'");
      this.#at += 1;
      object[key] = this.#value();
      const code = this.#skip();
      if (code === 0x7d) return this.#leave(object);
      if (code !== 0x2c) this.#unexpected("',' or '}'");
      this.#at += 1;
    }
  }

  #array(): Json {
    const start = this.#at;
    const level = this.#enter();
    this.#path[level] = 0;
    const first = this.#skip();
    const array: Json[] = [];
    if (first === 0x5d) return this.#leave(array);
    if ((first === 0x2d || isDigit(first)) && start >= this.#notFlatBefore) {
      const flat = this.#flatArray(start);
      if (flat !== undefined) return this.#leave(flat);
    }
    for (;;) {
      this.#path[level] = array.length;
      array.push(this.#value());
      const code = this.#skip();
      if (code === 0x5d) return this.#leave(array);
      if (code !== 0x2c) this.#unexpected("',' or ']'");
      this.#at += 1;
    }
  }

  /** Steps over the closing bracket. */
  #leave<T>(value: T): T {
    this.#at += 1;
    this.#depth -= 1;
    return value;
  }

  /**
   * A vector goes through the native parser, ten times faster than through ours: what stands before
   * the next `]` is a flat array of numbers exactly if it parses and holds nothing but numbers, and
   * it lost no digit of an integer if all of them are below 2^53. Everything else is undefined and
   * is read again by the exact way; no array inside the stretch is tried again, so that nested ones
   * cannot make the work quadratic.
   */
  #flatArray(start: number): readonly number[] | undefined {
    const close = this.#text.indexOf(']', start);
    this.#notFlatBefore = close < 0 ? this.#text.length : close;
    if (close < 0) return undefined;
    let values: unknown;
    try {
      values = JSON.parse(this.#text.slice(start, close + 1));
    } catch {
      return undefined;
    }
    if (!isExactNumbers(values)) return undefined;
    this.#at = close;
    return values;
  }

  #string(): string {
    const text = this.#text;
    const start = this.#at;
    let at = start + 1;
    let escaped = false;
    let wide = false;
    for (;;) {
      const code = text.charCodeAt(at);
      if (code === 0x22) break;
      if (code === 0x5c) {
        escaped = true;
        at += 1;
      } else if (!(code >= 0x20)) {
        this.#at = Math.min(at, text.length);
        this.#fail(
          at < text.length ? 'a control character in a string' : 'a string without an end',
        );
      } else if (code >= 0xd800 && code <= 0xdfff) {
        wide = true;
      }
      at += 1;
    }
    const value = escaped ? this.#unescape(start, at + 1) : text.slice(start + 1, at);
    if ((wide || escaped) && LONE_SURROGATE.test(value)) this.#fail('a lone surrogate in a string');
    this.#at = at + 1;
    return value;
  }

  #unescape(start: number, end: number): string {
    try {
      // The slice is one string literal: it starts with a quote and ends at the next unescaped one.
      return JSON.parse(this.#text.slice(start, end)) as string;
    } catch {
      return this.#fail('a bad escape in a string');
    }
  }

  #digits(): void {
    if (!isDigit(this.#text.charCodeAt(this.#at))) this.#unexpected('a digit');
    while (isDigit(this.#text.charCodeAt(this.#at))) this.#at += 1;
  }

  #number(): number | bigint {
    const text = this.#text;
    const start = this.#at;
    if (text.charCodeAt(start) === 0x2d) this.#at += 1;
    const lead = this.#at;
    this.#digits();
    if (text.charCodeAt(lead) === 0x30 && this.#at > lead + 1) {
      this.#at = lead;
      this.#fail('a number with a leading zero');
    }
    const integerEnd = this.#at;
    if (text.charCodeAt(this.#at) === 0x2e) {
      this.#at += 1;
      this.#digits();
    }
    const exponent = text.charCodeAt(this.#at);
    if (exponent === 0x65 || exponent === 0x45) {
      const sign = text.charCodeAt(++this.#at);
      if (sign === 0x2b || sign === 0x2d) this.#at += 1;
      this.#digits();
    }
    const literal = text.slice(start, this.#at);
    const value = Number(literal);
    if (value > -EXACT_BELOW && value < EXACT_BELOW) return value;
    if (this.#at > integerEnd) return wholeBehind(literal, value) ?? this.#finite(value, start);
    if (integerEnd - lead > this.#integerDigitsMax) {
      this.#at = start;
      this.#fail(`an integer of more than ${this.#integerDigitsMax} digits`);
    }
    return BigInt(literal);
  }

  #finite(value: number, start: number): number {
    if (Number.isFinite(value)) return value;
    this.#at = start;
    return this.#fail('a number beyond the range of a double');
  }
}

function isExactNumbers(values: unknown): values is readonly number[] {
  if (!Array.isArray(values)) return false;
  for (let index = 0; index < values.length; index++) {
    const value: unknown = values[index];
    if (typeof value !== 'number' || value >= EXACT_BELOW || value <= -EXACT_BELOW) return false;
  }
  return true;
}

/**
 * The integer that a literal with fraction or exponent stands for, if it is one of 64 bits, signed
 * or unsigned. `value` is the literal as a double; the digits are shifted as text, never computed.
 */
function wholeBehind(literal: string, value: number): bigint | undefined {
  if (Math.abs(value) > U64_END_NUMBER) return undefined;
  const [mantissa = '', power = '0'] = literal.toLowerCase().split('e');
  const [units = '', fraction = ''] = mantissa.replace('-', '').split('.');
  const digits = (units + fraction).replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  const zeros = Number(power) - fraction.length + (digits.length - significant.length);
  if (zeros < 0) return undefined;
  const magnitude = BigInt(significant + '0'.repeat(zeros));
  const whole = value < 0 ? -magnitude : magnitude;
  return whole >= I64_MIN && whole <= U64_MAX ? whole : undefined;
}
