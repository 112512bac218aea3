/**
 * Random filters and rows for the differential test of the filter engine: every operator over every
 * type, numbers at the edges of 64 bits and of doubles, nulls, missing keys, nested JSON.
 */
import * as fc from 'fast-check';
import { canonicalJson } from '#base/json.ts';
import type { CompareOp } from '#filter/ast.ts';
import { bitmapOf, type Column, setBit } from '#schema/column.ts';
import type { CollectionSchema, Field, Json } from '#schema/field.ts';
import type {
  NaiveConstant,
  NaiveFilter,
  NaiveRow,
  NaiveSubject,
  NaiveType,
} from './naive-filter.ts';

const field = (id: number, name: string, type: NaiveType, extra: Partial<Field> = {}): Field => ({
  id,
  name,
  type,
  description: '',
  primaryKey: false,
  autoId: false,
  nullable: true,
  dynamic: false,
  ...extra,
});

const COLUMNS: readonly Field[] = [
  field(100, 'id', 'Int64', { primaryKey: true, nullable: false }),
  field(101, 'b', 'Bool'),
  field(102, 'i8', 'Int8'),
  field(103, 'i16', 'Int16'),
  field(104, 'i32', 'Int32'),
  field(105, 'i64', 'Int64'),
  field(106, 'f', 'Float'),
  field(107, 'd', 'Double'),
  field(108, 's', 'VarChar', { maxLength: 100 }),
  field(109, 'j', 'JSON'),
  field(110, 's2', 'VarChar', { maxLength: 100 }),
];

/** With every type that is filtered, a vector, and the dynamic field. */
export const CASE_SCHEMA: CollectionSchema = {
  version: 1,
  fields: [
    ...COLUMNS,
    { ...field(111, 'v', 'JSON'), type: 'FloatVector', dim: 2, nullable: false },
    field(112, '$meta', 'JSON', { dynamic: true, nullable: false }),
  ],
};

const EDGES = [
  0n,
  1n,
  -1n,
  2n,
  3n,
  -3n,
  7n,
  100n,
  127n,
  -128n,
  32767n,
  2147483647n,
  -2147483648n,
  2n ** 53n,
  2n ** 53n - 1n,
  2n ** 53n + 1n,
  -(2n ** 53n) - 1n,
  2n ** 63n - 1n,
  2n ** 63n - 2n,
  -(2n ** 63n),
  4294967296n,
];
const FLOATS = [
  0,
  0.5,
  -0.5,
  1.5,
  2,
  -3,
  0.1,
  1e300,
  -1e300,
  2 ** 53,
  2 ** 63,
  -(2 ** 63),
  1e-300,
  16777217,
  100.25,
];
const TEXTS = [
  '',
  'a',
  'ab',
  'abc',
  'b',
  'ba',
  'é',
  '中',
  '\u{1f600}',
  '\uffee',
  'a%b',
  'a_b',
  'a\\b',
  '"',
  "'",
  'a\nb',
  '10',
];
const KEYS = ['a', 'b', 'c', '0', 'é"'];

const integer = fc.oneof(fc.constantFrom(...EDGES), fc.bigInt({ min: -10n, max: 10n }));
const float = fc.oneof(
  fc.constantFrom(...FLOATS),
  fc.integer({ min: -40, max: 40 }).map((n) => n / 4),
);
const number = fc.oneof(integer, float);
const text = fc.oneof(
  fc.constantFrom(...TEXTS),
  fc.string({ maxLength: 4, unit: fc.constantFrom('a', 'b', '%', '_', '中') }),
);
const intIn = (bits: bigint) => integer.map((value) => BigInt.asIntN(Number(bits), value));

const jsonNumber: fc.Arbitrary<Json> = number.map((value) =>
  typeof value === 'bigint' && value > -(2n ** 53n) && value < 2n ** 53n ? Number(value) : value,
);
const json: fc.Arbitrary<Json> = fc.letrec<{ any: Json }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.oneof(fc.constant(null), fc.boolean(), jsonNumber, text),
    fc.array(tie('any'), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom(...KEYS), tie('any'), { maxKeys: 4, noNullPrototype: true }),
  ),
})).any;
/** Few enough to meet again in the lists of `json_contains`. */
const common = fc.constantFrom<boolean | bigint | number | string>(
  true,
  0n,
  1n,
  2n,
  1.5,
  'a',
  'ab',
);
const asJson = (value: boolean | bigint | number | string): Json =>
  typeof value === 'bigint' ? Number(value) : value;

/** Half of the documents look alike, as real ones do: so that paths lead somewhere. */
const jsonObject: fc.Arbitrary<Json> = fc.oneof(
  fc.dictionary(fc.constantFrom(...KEYS), json, { maxKeys: 5, noNullPrototype: true }),
  fc.record(
    {
      a: jsonNumber,
      b: text,
      c: fc.array(fc.oneof(common.map(asJson), json), { maxLength: 5 }),
    },
    { requiredKeys: [], noNullPrototype: true },
  ),
);

const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> =>
  fc.option(value, { nil: null, freq: 4 });

export const caseRow: fc.Arbitrary<NaiveRow> = fc.record({
  id: intIn(64n),
  b: maybe(fc.boolean()),
  i8: maybe(intIn(8n).map(Number)),
  i16: maybe(intIn(16n).map(Number)),
  i32: maybe(intIn(32n).map(Number)),
  i64: maybe(intIn(64n)),
  f: maybe(float.map((value) => (Math.abs(value) > 1e38 ? 1 : Math.fround(value)))),
  d: maybe(float),
  s: maybe(text),
  j: maybe(fc.oneof(json, jsonObject)),
  s2: maybe(text),
  $meta: jsonObject,
});

const step = fc.oneof(fc.constantFrom<string | number>(...KEYS), fc.integer({ min: 0, max: 2 }));
const path: fc.Arbitrary<readonly (string | number)[]> = fc.oneof(
  fc.array(step, { minLength: 1, maxLength: 3 }),
  fc.constantFrom<(string | number)[][]>(['a'], ['b'], ['c'], ['c', 0]),
);
const jsonPath: fc.Arbitrary<NaiveSubject> = fc
  .tuple(fc.constantFrom('j', '$meta'), path)
  .map(([name, steps]) => ({ field: name, type: 'JSON', path: steps }));
const columnOf = (...types: readonly NaiveType[]): fc.Arbitrary<NaiveSubject> =>
  fc.constantFrom(
    ...COLUMNS.filter(({ type }) => types.includes(type as NaiveType)).map(
      ({ name, type }): NaiveSubject => ({ field: name, type: type as NaiveType, path: [] }),
    ),
  );

const INTEGERS = ['Int8', 'Int16', 'Int32', 'Int64'] as const;
const NUMBERS = [...INTEGERS, 'Float', 'Double'] as const;
const order = fc.constantFrom<CompareOp>('==', '!=', '<', '<=', '>', '>=');
const equality = fc.constantFrom<CompareOp>('==', '!=');
const scalar = fc.oneof(fc.boolean(), number, text);
const list: fc.Arbitrary<NaiveConstant> = fc.array(
  fc.oneof(scalar, fc.array(scalar, { maxLength: 2 })),
  { maxLength: 3 },
);

/** A subject with a constant that it may be ordered by. */
const ordered: fc.Arbitrary<[NaiveSubject, NaiveConstant]> = fc.oneof(
  fc.tuple(columnOf(...NUMBERS), number),
  fc.tuple(columnOf('VarChar'), text),
  fc.tuple(jsonPath, fc.oneof(number, text)),
);

const compare: fc.Arbitrary<NaiveFilter> = fc.oneof(
  fc
    .tuple(ordered, order)
    .map(([[subject, value], op]) => ({ is: 'compare' as const, subject, op, value })),
  fc
    .tuple(
      fc.oneof(
        fc.tuple(columnOf('Bool'), fc.boolean()),
        fc.tuple(jsonPath, fc.oneof(fc.boolean(), list)),
      ),
      equality,
    )
    .map(([[subject, value], op]) => ({ is: 'compare' as const, subject, op, value })),
);

const edge = fc.constantFrom<'<' | '<='>('<', '<=');
const isBelow = (a: NaiveConstant, b: NaiveConstant): boolean =>
  typeof a === 'string' ? Buffer.compare(Buffer.from(a), Buffer.from(b as string)) <= 0 : a <= b;
const range: fc.Arbitrary<NaiveFilter> = fc
  .tuple(
    fc.oneof(
      fc.tuple(fc.oneof(columnOf(...NUMBERS), jsonPath), number, number),
      fc.tuple(fc.oneof(columnOf('VarChar'), jsonPath), text, text),
    ),
    edge,
    edge,
  )
  .map(([[subject, one, other], lowOp, highOp]) => {
    const [low, high] = isBelow(one, other) ? [one, other] : [other, one];
    return { is: 'range' as const, subject, low, lowOp, high, highOp };
  });

const lists = <T>(member: fc.Arbitrary<T>) => fc.array(member, { maxLength: 5 });
const membership: fc.Arbitrary<NaiveFilter> = fc
  .tuple(
    fc.constantFrom<'in' | 'not in'>('in', 'not in'),
    fc.oneof(
      fc.tuple(columnOf(...INTEGERS), lists(integer)),
      fc.tuple(columnOf('Float', 'Double'), lists(number)),
      fc.tuple(columnOf('VarChar'), lists(text)),
      fc.tuple(columnOf('Bool'), lists(fc.boolean())),
      fc.tuple(jsonPath, lists(scalar)),
    ),
  )
  .map(([is, [subject, values]]) => ({ is, subject, values }));

const strings = fc.oneof(columnOf('VarChar'), jsonPath);
const likePattern = fc.array(
  fc.constantFrom('%', '_', 'a', 'b', 'ab', '\\%', '\\_', '\\\\', '中', '\u{1f600}'),
  { maxLength: 5 },
);
const regexPattern = fc.array(
  fc.constantFrom(
    'a',
    'b',
    'a+',
    '(ab)*',
    '[a-c]',
    '[^a]',
    '.',
    '中',
    '(a|b)',
    '^',
    '$',
    'b?',
    '\\\\',
    '\\d',
    '(?:a|中){1,2}',
  ),
  { maxLength: 4 },
);
const match: fc.Arbitrary<NaiveFilter> = fc.oneof(
  fc
    .tuple(strings, likePattern)
    .map(([subject, parts]) => ({ is: 'like' as const, subject, pattern: parts.join('') })),
  fc
    .tuple(strings, regexPattern, fc.constantFrom<'=~' | '!~'>('=~', '!~'))
    .map(([subject, parts, is]) => ({ is, subject, pattern: parts.join('') })),
);

const isZero = (value: bigint | number): boolean => Number(value) === 0;
const arithmetic: fc.Arbitrary<NaiveFilter> = fc
  .tuple(
    fc.oneof(columnOf(...NUMBERS), jsonPath),
    fc.constantFrom<'+' | '-' | '*' | '/' | '%'>('+', '-', '*', '/', '%'),
    number,
    order,
    number,
  )
  .map(([subject, op, operand, comparison, value]) => {
    const floats =
      subject.type === 'Float' || subject.type === 'Double' || typeof operand === 'number';
    const chosen = op === '%' && floats ? '+' : op;
    const safe = (chosen === '/' || chosen === '%') && isZero(operand) ? 3n : operand;
    return {
      is: 'arithmetic' as const,
      subject,
      with: chosen,
      operand: safe,
      op: comparison,
      value,
    };
  });

const arrayPath: fc.Arbitrary<NaiveSubject> = fc.oneof(
  jsonPath,
  fc
    .constantFrom('j', '$meta')
    .map((name): NaiveSubject => ({ field: name, type: 'JSON', path: ['c'] })),
);
const lengthOrContains: fc.Arbitrary<NaiveFilter> = fc.oneof(
  fc
    .tuple(arrayPath, fc.oneof(common, scalar, list))
    .map(([subject, value]) => ({ is: 'contains' as const, how: 'one' as const, subject, value })),
  fc
    .tuple(
      arrayPath,
      fc.constantFrom<'all' | 'any'>('all', 'any'),
      fc.oneof(fc.array(common, { maxLength: 3 }), list),
    )
    .map(([subject, how, value]) => ({ is: 'contains' as const, how, subject, value })),
  fc
    .tuple(arrayPath, order, fc.bigInt({ min: 0n, max: 4n }))
    .map(([subject, op, value]) => ({ is: 'length' as const, subject, op, value })),
);

const presence: fc.Arbitrary<NaiveFilter> = fc.oneof(
  fc
    .tuple(
      fc.oneof(columnOf('Bool', ...NUMBERS, 'VarChar', 'JSON'), jsonPath),
      fc.constantFrom<'null' | 'not null'>('null', 'not null'),
    )
    .map(([subject, is]) => ({ is, subject })),
  jsonPath.map((subject) => ({ is: 'exists' as const, subject })),
);

const columns: fc.Arbitrary<NaiveFilter> = fc
  .oneof(
    fc.tuple(columnOf(...NUMBERS), order, columnOf(...NUMBERS)),
    fc.tuple(columnOf('VarChar'), order, columnOf('VarChar')),
    fc.tuple(columnOf('Bool'), equality, columnOf('Bool')),
  )
  .map(([left, op, right]) => ({ is: 'columns' as const, left, op, right }));

export const caseFilter: fc.Arbitrary<NaiveFilter> = fc.letrec<{ any: NaiveFilter }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.oneof(
      compare,
      compare,
      range,
      membership,
      match,
      arithmetic,
      lengthOrContains,
      presence,
      columns,
    ),
    fc
      .tuple(
        fc.constantFrom<'and' | 'or'>('and', 'or'),
        fc.array(tie('any'), { minLength: 2, maxLength: 3 }),
      )
      .map(([is, parts]) => ({ is, parts })),
    tie('any').map((part) => ({ is: 'not' as const, part })),
  ),
})).any;

/** Rows as the engine reads them. A slot without a value holds rubbish: nothing may look at it. */
export function caseColumns(rows: readonly NaiveRow[]): ReadonlyMap<number, Column> {
  return new Map(
    CASE_SCHEMA.fields
      .filter(({ type }) => type !== 'FloatVector')
      .map((each) => [
        each.id,
        columnFor(
          each,
          rows.map((row) => row[each.name] ?? null),
        ),
      ]),
  );
}

function columnFor({ type, nullable }: Field, values: readonly Json[]): Column {
  const bitmap = bitmapOf(values.length);
  for (const [row, value] of values.entries()) if (value !== null) setBit(bitmap, row);
  const valid = nullable && values.includes(null) ? { valid: bitmap } : {};
  const numbers = values.map((value) => (typeof value === 'number' ? value : 0));
  switch (type) {
    case 'Bool':
      return {
        type,
        values: Uint8Array.from(values, (value) => (value === true ? 1 : 0)),
        ...valid,
      };
    case 'Int8':
      return { type, values: Int8Array.from(numbers), ...valid };
    case 'Int16':
      return { type, values: Int16Array.from(numbers), ...valid };
    case 'Int32':
      return { type, values: Int32Array.from(numbers), ...valid };
    case 'Int64':
      return {
        type,
        values: BigInt64Array.from(values, (value) => (typeof value === 'bigint' ? value : 0n)),
        ...valid,
      };
    case 'Float':
      return { type, values: Float32Array.from(numbers), ...valid };
    case 'Double':
      return { type, values: Float64Array.from(numbers), ...valid };
    case 'VarChar': {
      const dictionary = [
        ...new Set(values.map((value) => (typeof value === 'string' ? value : ''))),
      ].reverse();
      const codes = Uint32Array.from(values, (value) =>
        dictionary.indexOf(typeof value === 'string' ? value : ''),
      );
      return { type, dictionary, codes, ...valid };
    }
    default:
      return { ...jsonColumn(values), ...valid };
  }
}

function jsonColumn(values: readonly Json[]): Extract<Column, { type: 'JSON' }> {
  const texts = values.map((value) => Buffer.from(value === null ? '' : canonicalJson(value)));
  const offsets = new Uint32Array(texts.length + 1);
  for (const [row, each] of texts.entries()) offsets[row + 1] = (offsets[row] ?? 0) + each.length;
  return { type: 'JSON', offsets, bytes: Uint8Array.from(Buffer.concat(texts)) };
}
