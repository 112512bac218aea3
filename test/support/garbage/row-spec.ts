/** What API.md says about rows and keys (1.9, 3.1 to 3.4): every fault of a row is 1804. */
import { type Complaints, FINE, isAbsent, isObject, perhaps, refused, type Spec } from './spec.ts';

export type FieldType =
  | 'Bool'
  | 'Int8'
  | 'Int16'
  | 'Int32'
  | 'Int64'
  | 'Float'
  | 'Double'
  | 'VarChar'
  | 'JSON'
  | 'FloatVector';

export type RowField = Readonly<{
  type: FieldType;
  /** May be left out: nullable, or with a default. */
  optional?: boolean;
  /** VarChar: bytes. FloatVector: components. */
  size?: number;
}>;

export type RowShape = Readonly<{
  fields: Readonly<Record<string, RowField>>;
  dynamic: boolean;
  /** The primary key where it is generated: it must not be given. */
  generated?: string;
}>;

/** How well a value fits: `no` is 1804, `open` is said nowhere. */
type Fit = 'yes' | 'no' | 'open';

const RANGES = {
  Int8: [-(2n ** 7n), 2n ** 7n - 1n],
  Int16: [-(2n ** 15n), 2n ** 15n - 1n],
  Int32: [-(2n ** 31n), 2n ** 31n - 1n],
  Int64: [-(2n ** 63n), 2n ** 63n - 1n],
} as const;
const U64_MAX = 2n ** 64n - 1n;
const JSON_BYTES_MAX = 65_536;

const isNumber = (value: unknown): value is number | bigint =>
  typeof value === 'number' || typeof value === 'bigint';

function fits({ type, size = 0 }: RowField, value: unknown): Fit {
  switch (type) {
    case 'Bool':
      return typeof value === 'boolean' ? 'yes' : 'no';
    case 'Int8':
    case 'Int16':
    case 'Int32':
    case 'Int64':
      return fitsInteger(type, value);
    case 'Float':
      return isNumber(value) && Number.isFinite(Math.fround(Number(value))) ? 'yes' : 'no';
    case 'Double':
      return isNumber(value) && Number.isFinite(Number(value)) ? 'yes' : 'no';
    case 'VarChar':
      return fitsText(size, value);
    case 'JSON':
      return fitsJson(value);
    case 'FloatVector':
      return Array.isArray(value) && value.length === size && value.every(isFloat32) ? 'yes' : 'no';
  }
}

const isFloat32 = (value: unknown): boolean =>
  isNumber(value) && Number.isFinite(Math.fround(Number(value)));

function fitsInteger(type: keyof typeof RANGES, value: unknown): Fit {
  let whole: bigint;
  if (typeof value === 'string' && type === 'Int64') {
    if (!/^-?(0|[1-9][0-9]*)$/.test(value))
      return /^\s*[+-]?[0-9]+\s*$/.test(value) ? 'open' : 'no';
    whole = BigInt(value);
  } else if (isNumber(value) && (typeof value === 'bigint' || Number.isInteger(value))) {
    whole = BigInt(value);
  } else return 'no';
  const [least, greatest] = RANGES[type];
  return whole >= least && whole <= greatest ? 'yes' : 'no';
}

/** A bare number keeps its literal text (API.md 1.9), which is not known here to the digit. */
function fitsText(bytesMax: number, value: unknown): Fit {
  if (typeof value === 'string') return Buffer.byteLength(value) <= bytesMax ? 'yes' : 'no';
  if (!isNumber(value)) return 'no';
  return Number.isSafeInteger(value) && String(value).length <= bytesMax ? 'yes' : 'open';
}

function fitsJson(value: unknown): Fit {
  if (hasWideInteger(value)) return 'no';
  const shown = JSON.stringify(value, (_, inner) =>
    typeof inner === 'bigint' ? String(inner) : inner,
  );
  const bytes = Buffer.byteLength(shown);
  if (bytes > JSON_BYTES_MAX) return 'no';
  return bytes < JSON_BYTES_MAX - 1000 ? 'yes' : 'open';
}

function hasWideInteger(value: unknown): boolean {
  if (typeof value === 'bigint') return value < RANGES.Int64[0] || value > U64_MAX;
  return typeof value === 'object' && value !== null && Object.values(value).some(hasWideInteger);
}

/** `data` of insert and upsert: a list of rows. A refusal names the row and the field. */
export const rowsOf =
  (shape: RowShape): Spec =>
  (value, name) => {
    if (isAbsent(value)) return refused(1802, name);
    if (!Array.isArray(value)) return refused(1801, name);
    if (value.length === 0) return refused([1804, 1802], name);
    return value.flatMap((row, index) =>
      isObject(row) ? checkRow(shape, row, index) : refused([1801, 1804], `row ${index}`),
    );
  };

function checkRow(
  { fields, dynamic, generated }: RowShape,
  row: Readonly<Record<string, unknown>>,
  index: number,
): Complaints {
  const at = (name: string): string => `row ${index}, field ${JSON.stringify(name)}`;
  const found: Complaints[] = Object.entries(fields).map(([name, field]) => {
    const value = Object.hasOwn(row, name) ? row[name] : undefined;
    if (name === generated) return isAbsent(value) ? FINE : refused(1804, at(name));
    if (isAbsent(value)) return field.optional === true ? FINE : refused(1804, at(name));
    const fit = fits(field, value);
    if (fit === 'yes') return FINE;
    return fit === 'no' ? refused(1804, at(name)) : perhaps([1804], at(name));
  });
  for (const [key, value] of Object.entries(row)) {
    if (Object.hasOwn(fields, key)) continue;
    if (!dynamic) found.push(refused(1804, at(key)));
    else found.push(checkDynamic(fields, key, value, [at(key), at('$meta')]));
  }
  return found.flat();
}

function checkDynamic(
  fields: RowShape['fields'],
  key: string,
  value: unknown,
  words: string[],
): Complaints {
  if (fitsJson(value) !== 'yes') return refused(1804, ...words);
  if (key === '') return perhaps([1804], ...words);
  if (key !== '$meta') return FINE;
  if (!isObject(value)) return refused(1804, ...words);
  const takes = Object.keys(value).some(
    (inner) => inner === '$meta' || Object.hasOwn(fields, inner),
  );
  return takes ? refused(1804, ...words) : FINE;
}

/**
 * A primary key, or a list of them, as `get` and `search` take them: what cannot be a key is 1806.
 *
 * @param known keys that rows have, where a key without a row is refused with 1100
 */
export const keysOf =
  (field: RowField, known?: readonly unknown[]): Spec =>
  (value, name) => {
    const keys: readonly unknown[] = Array.isArray(value) ? value : [value];
    const words = [name, 'key'];
    if (keys.length === 0) return known ? refused(1100, ...words, 'nq') : perhaps([1100], ...words);
    if (keys.length > 16_384) return refused(1100, ...words);
    return keys.flatMap((key) => {
      const fit = typeof key === 'boolean' || isAbsent(key) ? 'no' : fits(field, key);
      if (fit === 'no') return refused(1806, ...words);
      if (fit === 'open') return perhaps([1806, 1100], ...words);
      return known?.some((each) => String(each) === String(key)) === false
        ? refused(1100, ...words)
        : FINE;
    });
  };
