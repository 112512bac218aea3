/** A valid body for every built route, what API.md says about each place in it, and texts worth trying. */
import { checkIndexes, createSpec, indexParams, TYPES } from './definition-spec.ts';
import { FILTERS, filterSpec, unfilled } from './filter-spec.ts';
import { keysOf, type RowShape, rowsOf } from './row-spec.ts';
import {
  anything,
  type Complaints,
  choice,
  FINE,
  flag,
  integer,
  isAbsent,
  isObject,
  isOpen,
  list,
  type Members,
  map,
  optional,
  perhaps,
  refused,
  request,
  required,
  type Spec,
  setting,
  text,
} from './spec.ts';

/** What a body is before it is text: bigints are written as digits. */
export type Tree =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly Tree[]
  | { readonly [key: string]: Tree };

export type Subject = Readonly<{
  /** The verb, and what is special about this body of it. */
  name: string;
  verb: string;
  body: Tree;
  spec: Spec;
  /** A reply with code 0 may change what the store holds. */
  writes?: boolean;
  /** JSON texts to put where a member of this name stands. */
  texts?: Readonly<Record<string, readonly string[]>>;
  /** Members to add to the body, as JSON text. */
  extras?: Readonly<Record<string, string>>;
}>;

/** Loaded and not loaded collections of the fixture (world.ts). */
export const LOADED = ['main', 'keys', 'auto'];
export const UNLOADED = ['bare', 'indexed', 'unindexed'];
const EXISTING = [...LOADED, ...UNLOADED];

export const MAIN: RowShape = {
  dynamic: true,
  fields: {
    id: { type: 'Int64' },
    vector: { type: 'FloatVector', size: 4 },
    flag: { type: 'Bool', optional: true },
    tiny: { type: 'Int8', optional: true },
    small: { type: 'Int16', optional: true },
    medium: { type: 'Int32', optional: true },
    large: { type: 'Int64', optional: true },
    single: { type: 'Float', optional: true },
    double: { type: 'Double', optional: true },
    text: { type: 'VarChar', size: 16, optional: true },
    json: { type: 'JSON', optional: true },
    preset: { type: 'Int32', optional: true },
  },
};
export const KEYS: RowShape = {
  dynamic: false,
  fields: {
    key: { type: 'VarChar', size: 8 },
    vector: { type: 'FloatVector', size: 3 },
    note: { type: 'VarChar', size: 8 },
    small: { type: 'Int16' },
  },
};
export const AUTO: RowShape = {
  dynamic: true,
  generated: 'id',
  fields: { id: { type: 'Int64' }, vector: { type: 'FloatVector', size: 2 } },
};

const row = {
  id: 1,
  vector: [0.5, -2, 3e-5, 4],
  flag: true,
  tiny: -128,
  small: 32_767,
  medium: 5,
  large: -9223372036854775808n,
  single: 0.1,
  double: 0.1,
  text: 'größe',
  json: { a: [1, { b: null }] },
  preset: 3,
  extra: true,
};
export const MAIN_ROWS: readonly Tree[] = [row, { ...row, id: 2, text: 'x' }, { id: 3, vector: [1, 2, 3, 4] }];
export const KEYS_ROWS: readonly Tree[] = [
  { key: 'a', vector: [1, 0, 0], note: 'n', small: 1 },
  { key: 'ö', vector: [0, 1, 0], note: '', small: -1 },
];
export const AUTO_ROWS: readonly Tree[] = [{ vector: [1, 2], x: 1 }, { vector: [3, 4] }];

/** There is one database; `has` and `drop` may or may not look at its name first. */
const databaseOf =
  (strict: boolean): Spec =>
  optional((value, name) => {
    if (typeof value !== 'string') return refused(1801, name);
    if (value === '' || value === 'default') return FINE;
    return strict ? refused(800, 'database') : perhaps([800], 'database');
  });
const database = databaseOf(true);

/** A collection that is looked up; `missing` is what a name without one gets. */
const named =
  (known: readonly string[], missing: number | 'fine', unloaded: readonly string[] = []): Spec =>
  (value, name) => {
    if (isAbsent(value)) return refused(1802, name);
    if (typeof value !== 'string') return refused(1801, name);
    if (value === '') return refused(1802, name);
    if (value.length > 255) return refused(1100, name);
    if (unloaded.includes(value)) return refused(101, 'collection');
    return known.includes(value) || missing === 'fine' ? FINE : refused(missing, 'collection');
  };

const collection = named(EXISTING, 100);
const loaded = named(LOADED, 100, UNLOADED);

const partition: Spec = optional((value, name) => {
  if (typeof value !== 'string') return refused(1801, name);
  return value === '' || value === '_default' ? FINE : refused(200, 'partition');
});
const partitions: Spec = optional((value, name) =>
  Array.isArray(value) && value.length > 1024
    ? refused(1100, name)
    : list(required(partitionItem))(value, name),
);
const partitionItem: Spec = (value, name) =>
  typeof value === 'string' ? partition(value, name) : refused(1801, name);

const outputs: Spec = optional((value, name) => {
  if (!Array.isArray(value)) return refused(1801, name);
  if (value.some((each) => typeof each !== 'string')) return refused(1801, name);
  if (value.length > 1024) return refused(1100, name);
  const counts = value.some((each) => /^\s*count\s*\(\s*\*\s*\)\s*$/i.test(String(each)));
  return counts ? perhaps([1100, 1700], name) : FINE;
});

const level = choice(['Strong', 'Session', 'Bounded', 'Eventually', 'Customized']);
const token: Spec = optional((value, name) => {
  if (typeof value === 'string') return refused(1100, name);
  if (!Array.isArray(value) || value.some((each) => typeof each !== 'string')) return refused(1801, name);
  return value.length === 0 ? FINE : refused(1100, name);
});
const staleness: Spec = optional((value, name) => {
  if (typeof value !== 'number' && typeof value !== 'bigint') return refused(1801, name);
  return value >= 0 ? FINE : refused(1100, name);
});

const READ = {
  dbName: database,
  collectionName: loaded,
  consistencyLevel: level,
  token,
  maxStalenessMs: staleness,
  asOf: flag,
  outputFields: outputs,
  partitionNames: partitions,
} as const;

/** Templates: numbers for `{least}`, lists of numbers for `{gone}`. */
const exprParams: Spec = map(
  {
    least: (value) => (typeof value === 'number' ? FINE : perhaps([1100], ...PLAN)),
    gone: (value) => {
      const numbers = Array.isArray(value) && value.every((each) => Number.isSafeInteger(each));
      return numbers ? FINE : perhaps([1100], ...PLAN);
    },
  },
  () => perhaps([1100], ...PLAN),
);
const PLAN = ['exprParams', 'failed to create query plan'];

/** A value that cannot be compared with an Int64 key, where the filter does so. */
function checkTemplates(given: Members): Complaints {
  const filter = given.get('filter');
  const params = given.get('exprParams');
  if (unfilled(filter, params)) return refused(1100, ...PLAN);
  const of = (name: string): unknown => (isObject(params) ? params[name] : undefined);
  const wrongLeast = String(filter).includes('{least}') && typeof of('least') !== 'number';
  const wrongGone = String(filter).includes('{gone}') && !Array.isArray(of('gone'));
  const open = typeof of('least') === 'bigint';
  return (wrongLeast && !open) || wrongGone ? refused(1100, ...PLAN) : FINE;
}

/** What changes the answer and is not built may not be passed over (API.md 6.1). */
const unbuilt = (name: string): Readonly<Record<string, Spec>> => ({
  [name]: optional((value) =>
    value === '' || (Array.isArray(value) && value.length === 0) ? FINE : refused([3000, 1801, 1100], name),
  ),
});

const searchData: Spec = optional((value, name) => {
  if (!Array.isArray(value)) return refused(1801, name);
  if (value.length === 0) return refused(1100, name);
  const fits = value.every(
    (vector) =>
      Array.isArray(vector) &&
      vector.length === 4 &&
      vector.every(
        (each) =>
          (typeof each === 'number' || typeof each === 'bigint') &&
          Number.isFinite(Math.fround(Number(each))),
      ),
  );
  return fits ? FINE : refused(1801, name, 'vector');
});

const numberSetting: Spec = optional((value, name) => {
  if (typeof value === 'string') {
    return value.trim() !== '' && Number.isFinite(Number(value)) ? FINE : refused(1100, name);
  }
  return typeof value === 'number' || typeof value === 'bigint' ? FINE : refused(1100, name);
});
const searchMetric: Spec = optional((value, name) => {
  if (value === '' || value === 'L2') return FINE;
  if (typeof value === 'string' && value.toUpperCase() === 'L2') return perhaps([1100], 'metric');
  return refused([1100], name, 'metric');
});
const SETTINGS = {
  metricType: searchMetric,
  metric_type: searchMetric,
  ef: setting(1, 32_768),
  level: setting(1, 10),
  radius: numberSetting,
  range_filter: numberSetting,
  round_decimal: setting(-1, 6),
} as const;

/** L2: range_filter <= d < radius (API.md 3.1). */
function checkRange(settings: Members): Complaints {
  const inner = settings.get('params');
  const of = (key: string): unknown =>
    (isObject(inner) && Object.hasOwn(inner, key) ? inner[key] : undefined) ?? settings.get(key);
  const [radius, filter] = [of('radius'), of('range_filter')];
  if (isAbsent(filter)) return FINE;
  if (isAbsent(radius)) return refused(1100, 'radius', 'range_filter');
  if (Number(filter) > Number(radius)) return refused(1100, 'radius', 'range_filter');
  return Number(filter) === Number(radius) ? perhaps([1100], 'radius', 'range_filter') : FINE;
}
const searchParams: Spec = map(
  {
    ...SETTINGS,
    params: optional((value, name) =>
      isObject(value) ? map(SETTINGS)(value, name) : refused([1100, 1801], name),
    ),
  },
  anything,
  checkRange,
);

const searchSpec: Spec = request(
  {
    ...READ,
    data: searchData,
    ids: optional(keysOf({ type: 'Int64' }, [1, 2, 3])),
    annsField: optional((value, name) => {
      if (typeof value !== 'string') return refused(1801, name);
      return value === '' || value === 'vector' ? FINE : refused([1700], name);
    }),
    filter: optional(filterSpec('all rows')),
    exprParams,
    limit: integer(1, 16_384),
    offset: integer(0, 16_384),
    searchParams,
    explain: flag,
    groupSize: integer(-(2 ** 31), 2 ** 31 - 1),
    strictGroupSize: flag,
    ...unbuilt('groupingField'),
    ...unbuilt('functionScore'),
    ...unbuilt('orderByFields'),
  },
  (given) => {
    const [data, ids] = [given.get('data'), given.get('ids')];
    const sum = Number(given.get('limit') ?? 100) + Number(given.get('offset') ?? 0);
    if (data === undefined && ids === undefined) return refused(1802, 'data');
    if (data !== undefined && ids !== undefined) return refused(1100, 'data');
    if (sum > 16_384) return refused(1100, 'limit');
    return checkTemplates(given);
  },
);

const listed = request({ dbName: database });
const one = request({ dbName: database, collectionName: collection });

/** Rows that are not there once they are deleted come back as other rows: the fixture puts them again. */
const FILTER_TEXTS = FILTERS.map((filter) => JSON.stringify(filter));
const NAMES = ['"keys"', '"auto"', '"bare"', '"MAIN"', '"main "', '"nothing"', `"${'a'.repeat(255)}"`, `"${'a'.repeat(256)}"`];
const PARTITION_TEXTS = ['"_default"', '"_Default"', '"p1"', '"-"', `"${'p'.repeat(300)}"`];
const KEY_TEXTS = ['1', '"1"', '"+1"', '"01"', '" 1"', '"1.0"', '1.0', '1e0', '9223372036854775807', '-9223372036854775808', '9223372036854775808', '-9223372036854775809', '"9223372036854775807"', '"9223372036854775808"', '9007199254740993.0', '0', '-0', '[]', '[1,2]', '[[1]]', '[true]', '[null]'];
const WINDOW_TEXTS = ['0', '-1', '1', '16384', '16385', '2147483647', '2147483648', '-2147483649', '"5"', '5.5', '1e1'];
const TEXTS: Readonly<Record<string, readonly string[]>> = {
  collectionName: NAMES,
  dbName: ['"default"', '"Default"', '"other"', '"_default"'],
  partitionName: PARTITION_TEXTS,
  partitionNames: ['["_default","_default"]', '[""]', '["p1"]', '"_default"', `[${'"_default",'.repeat(1024)}"_default"]`],
  filter: FILTER_TEXTS,
  limit: WINDOW_TEXTS,
  offset: [...WINDOW_TEXTS, '16380', '16379'],
  outputFields: ['["*"]', '["*","id"]', '["nothing"]', '["$meta"]', '["$meta[\\"x\\"]"]', '["count(*)"]', '["count(*)","id"]', '[""]', '"id"', '[1]', `[${'"id",'.repeat(1024)}"id"]`],
  consistencyLevel: ['"Strong"', '"strong"', '"Eventually"', '"Customized"', '2', '"Linear"'],
  token: ['""', '"AAAA"', '["x"]', '[1]', `"${'A'.repeat(10_000)}"`, `[${'"x",'.repeat(2000)}"x"]`, '"===="'],
  maxStalenessMs: ['0', '0.5', '-1', '1e300', '9007199254740993', '"5"'],
  id: KEY_TEXTS,
  ids: KEY_TEXTS,
  data: ['[[1,2,3]]', '[[1,2,3,4,5]]', '[[1,2,3,4],[4,3,2,1]]', '[1,2,3,4]', '["[1,2,3,4]"]', '[[1,2,3,1e39]]', '[[1,2,3,"4"]]', '[[1,2,3,null]]', '[[]]', '[[1,2,3,1e-320]]', '[[1,2,3,9007199254740993]]'],
  vector: ['[1,2,3]', '[1,2,3,4,5]', '"[1,2,3,4]"', '[1,2,3,1e39]', '[1,2,3,3.4028235e38]', '[1,2,3,3.5e38]', '[1,2,3,"4"]', '[1,2,3,null]', '[1,2,3,[4]]', '[0,0,0,0]', '[-0.0,1e-45,1e-50,0]'],
  flag: ['"true"', '0', '1'],
  tiny: ['127', '128', '-129', '"1"', '1.0', '1e1'],
  small: ['32767', '32768', '-32769'],
  medium: ['2147483647', '2147483648', '-2147483649', '1.5'],
  large: KEY_TEXTS,
  single: ['3.4028235e38', '3.5e38', '1e-50', '"0.1"', '16777217', '9007199254740993'],
  double: ['1.7976931348623157e308', '5e-324', '"0.1"', '9007199254740993'],
  text: [`"${'a'.repeat(16)}"`, `"${'a'.repeat(17)}"`, `"${'ö'.repeat(8)}"`, `"${'ö'.repeat(9)}"`, '5', '"a\\u0000b"', '"\\ud83d\\ude00"'],
  note: ['"12345678"', '"123456789"', '12345678', '123456789'],
  key: ['"12345678"', '"123456789"', '1', '""'],
  json: [`"${'j'.repeat(65_600)}"`, `"${'j'.repeat(60_000)}"`, '18446744073709551615', '18446744073709551616', '{"a":-9223372036854775809}', '{"a":{"__proto__":{"b":1}}}', `${'['.repeat(90)}${']'.repeat(90)}`, '""', '"{}"'],
  extra: ['18446744073709551616', '{"id":1}', `"${'j'.repeat(65_600)}"`],
  least: ['0', '-1.5', '"0"', 'true', '[0]', 'null', '{}', '9223372036854775807', '9223372036854775808'],
  gone: ['[]', '[77]', '["a"]', '[77,"a"]', '77', 'null', '[null]', '[[77]]', `[${'77,'.repeat(20_000)}77]`],
  searchParams: ['{"ef":"64"}', '{"ef":0}', '{"params":{"ef":[]}}', '{"params":[]}', '{"params":"x"}', '{"unknown":{}}'],
  metricType: ['"L2"', '"l2"', '"IP"', '"COSINE"', '"HAMMING"', '""', '2'],
  ef: ['0', '1', '"64"', '"x"', '32768', '32769', '-1', '1.5', 'null', '[]', 'true'],
  radius: ['"100"', '"x"', '-1', '0', '1e300', 'null', '{}', '" "'],
  range_filter: ['"0"', '100', '101', '-1', '""', '[]', '1e39'],
  round_decimal: ['-1', '-2', '6', '7', '"2"', '0'],
  annsField: ['""', '"id"', '"nothing"', '"VECTOR"', '"text"'],
  dimension: ['0', '1', '2', '32768', '32769', '-2', '"4"', '4.0', '4.5', '2147483648'],
  idType: ['"Varchar"', '"VarChar"', '"int64"', '"Int32"', '""'],
  dataType: TYPES.map((type) => JSON.stringify(type)),
  fieldName: ['""', '"1a"', '"a-b"', '"a b"', '"vector"', '"id"', '"größe"', '"$meta"', '"RowID"', `"${'f'.repeat(255)}"`, `"${'f'.repeat(256)}"`, '"a.b"', '"nothing"'],
  primaryFieldName: ['""', '"1a"', '"a-b"', `"${'f'.repeat(256)}"`, '"vec"', '"$meta"'],
  vectorFieldName: ['""', '"1a"', '"a-b"', `"${'f'.repeat(256)}"`, '"pk"'],
  indexName: ['""', '"1a"', '"a-b"', '"vector_idx"', '"nothing"', `"${'i'.repeat(255)}"`, `"${'i'.repeat(256)}"`],
  indexType: ['""', '"HNSW"', '"FLAT"', '"INVERTED"', '"hnsw"', '"NOTHING"', '5'],
  dim: ['0', '1', '2', '32768', '32769', '"4"', '"four"', '4.5', 'true', '[]', '-4', '" 4 "'],
  max_length: ['0', '1', '65535', '65536', '"16"', '"x"', '1.5', '-1', 'false'],
  shardsNum: ['0', '1', '16', '17', '"2"', '"two"', '1.5', '-1', 'true', '{}'],
  ttlSeconds: ['0', '-1', '"0"', '5', '"x"'],
  description: [`"${'d'.repeat(1024)}"`, `"${'d'.repeat(1025)}"`, `"${'ö'.repeat(513)}"`],
  defaultValue: ['2147483647', '2147483648', '1.5', '"7"', 'true', '[]', '{"Data":{"LongData":7}}'],
  indexParams: ['[]', '{}', '[{}]', '[{"fieldName":"nothing"}]', '[null]', '[[]]'],
  fields: ['[]', '{}', '[null]', '[{}]', `[${'{"fieldName":"x","dataType":"Bool"},'.repeat(70)}{"fieldName":"y","dataType":"Bool"}]`],
};

const subject = (
  verb: string,
  body: Tree,
  spec: Spec,
  more: Partial<Subject> & Readonly<{ special?: string }> = {},
): Subject => ({
  name: more.special === undefined ? verb : `${verb} (${more.special})`,
  verb,
  body,
  spec,
  ...more,
  texts: { ...TEXTS, ...more.texts },
});

const writes = true;
const main = { dbName: 'default', collectionName: 'main' } as const;

const rowsSpec = (shape: RowShape, of: string): Spec =>
  request({
    dbName: database,
    collectionName: ownCollection(of),
    partitionName: partition,
    data: rowsOf(shape),
    partialUpdate: optional((value, name) =>
      typeof value === 'boolean' ? (value ? refused(3000, name) : FINE) : refused(1801, name),
    ),
    fieldOps: optional((value, name) => {
      if (!Array.isArray(value)) return refused(1801, name);
      return value.length === 0 ? FINE : refused(3000, name);
    }),
  });

/** Rows of one collection fit no other: which of them another one refuses is not asked here. */
const ownCollection =
  (own: string): Spec =>
  (value, name) => {
    if (value === own) return FINE;
    const other = EXISTING.includes(String(value));
    return other ? perhaps([1804, 1100, 1700], 'row', 'filter', 'outputFields') : collection(value, name);
  };

/** An insert does not know `partialUpdate`: it is ignored. */
const insertSpec = (shape: RowShape, of: string): Spec =>
  request({
    dbName: database,
    collectionName: ownCollection(of),
    partitionName: partition,
    data: rowsOf(shape),
  });

const CREATE_EXTRAS = {
  schema: '{"fields":[]}',
  consistencyLevel: '"Nonsense"',
  functions: '[1]',
};

export const SUBJECTS: readonly Subject[] = [
  subject(
    'collections/create',
    {
      dbName: 'default',
      collectionName: 'made',
      description: 'quick',
      dimension: 4,
      idType: 'Int64',
      autoID: false,
      metricType: 'L2',
      primaryFieldName: 'pk',
      vectorFieldName: 'vec',
      params: { shardsNum: '2', consistencyLevel: 'Strong', enableDynamicField: true, max_length: 16, 'mmap.enabled': true },
    },
    createSpec(database, EXISTING.concat('victim', 'toggled')),
    { special: 'quick form', writes, extras: CREATE_EXTRAS },
  ),
  subject(
    'collections/create',
    {
      collectionName: 'made',
      description: 'full',
      schema: {
        autoID: false,
        enableDynamicField: true,
        functions: [],
        fields: [
          { fieldName: 'id', dataType: 'Int64', isPrimary: true, autoID: false, description: 'key' },
          { fieldName: 'vector', dataType: 'FloatVector', elementTypeParams: { dim: '4' } },
          { fieldName: 'text', dataType: 'VarChar', nullable: true, elementTypeParams: { max_length: 16 } },
          { fieldName: 'preset', dataType: 'Int32', defaultValue: 7, isPartitionKey: false },
        ],
      },
      indexParams: [{ fieldName: 'vector', indexName: 'vector_idx', metricType: 'L2', indexType: 'HNSW', params: { M: 16, efConstruction: '100' } }],
      params: { shardsNum: 1, ttlSeconds: 0 },
    },
    createSpec(database, EXISTING.concat('victim', 'toggled')),
    { special: 'full form', writes },
  ),
  subject('collections/list', { dbName: 'default' }, listed),
  subject('collections/has', main, request({ dbName: databaseOf(false), collectionName: named([], 'fine') })),
  subject('collections/describe', main, one),
  subject(
    'collections/drop',
    { dbName: 'default', collectionName: 'victim' },
    request({ dbName: databaseOf(false), collectionName: named([], 'fine') }),
    // Other collections of the fixture are not to be dropped.
    { writes, texts: { collectionName: NAMES.slice(3) } },
  ),
  subject(
    'collections/load',
    { ...main, collectionName: 'toggled' },
    request({ dbName: database, collectionName: loadable }),
    { writes, texts: { collectionName: ['"bare"', '"unindexed"', '"main"', ...NAMES.slice(3)] } },
  ),
  subject(
    'collections/release',
    { ...main, collectionName: 'toggled' },
    request({ dbName: database, collectionName: named(['toggled', ...UNLOADED], 100) }),
    { writes, texts: { collectionName: ['"bare"', '"indexed"', ...NAMES.slice(3)] } },
  ),
  subject(
    'collections/get_load_state',
    { ...main, partitionNames: ['_default'] },
    request({ dbName: database, collectionName: collection, partitionNames: partitions }),
  ),
  subject('collections/get_stats', main, one),
  subject('collections/flush', main, one),
  subject(
    'entities/insert',
    { ...main, partitionName: '_default', data: [row, { id: 2, vector: [1, 2, 3, 4] }] },
    insertSpec(MAIN, 'main'),
    { special: 'every type', writes, extras: { partialUpdate: 'true' } },
  ),
  subject(
    'entities/insert',
    { collectionName: 'keys', data: KEYS_ROWS },
    insertSpec(KEYS, 'keys'),
    { special: 'text key, no dynamic field', writes, texts: { vector: ['[1,2,3]', '[1,2]', '[1,2,3,4]', '[1,2,1e39]'] } },
  ),
  subject(
    'entities/insert',
    { collectionName: 'auto', data: AUTO_ROWS },
    insertSpec(AUTO, 'auto'),
    { special: 'generated key', writes, texts: { vector: ['[1,2,3]', '[1]', '[5,6]'] } },
  ),
  subject(
    'entities/upsert',
    { ...main, partitionName: '', data: [{ ...row, id: 3 }], partialUpdate: false, fieldOps: [] },
    rowsSpec(MAIN, 'main'),
    { writes, texts: { partialUpdate: ['true'], fieldOps: ['[{"fieldName":"json","op":"REPLACE"}]', '[1]'] } },
  ),
  subject(
    'entities/delete',
    { ...main, filter: 'id in {gone}', exprParams: { gone: [2, 78] }, partitionName: '_default' },
    request(
      {
        dbName: database,
        collectionName: ownCollection('main'),
        partitionName: partition,
        filter: required(filterSpec('refused')),
        exprParams,
      },
      checkTemplates,
    ),
    { writes },
  ),
  subject(
    'entities/get',
    {
      ...main,
      id: [1, '2'],
      outputFields: ['text', 'extra'],
      partitionName: '_default',
      partitionNames: ['_default'],
      consistencyLevel: 'Strong',
      token: [],
      asOf: true,
    },
    request({
      ...READ,
      collectionName: readable,
      partitionName: partition,
      id: (value, name) => (isAbsent(value) ? refused(1802, name) : keysOf({ type: 'Int64' })(value, name)),
    }),
  ),
  subject(
    'entities/query',
    {
      ...main,
      filter: 'id > {least} and text like "x%"',
      exprParams: { least: 0 },
      outputFields: ['id', 'extra'],
      limit: 5,
      offset: 0,
      partitionNames: ['_default'],
      consistencyLevel: 'Bounded',
      token: [],
      maxStalenessMs: 5,
      asOf: true,
    },
    request(
      {
        ...READ,
        collectionName: readable,
        filter: optional(filterSpec('all rows')),
        exprParams,
        limit: integer(-(2 ** 31), 2 ** 31 - 1),
        offset: integer(-(2 ** 31), 2 ** 31 - 1),
        ...unbuilt('orderByFields'),
        ...unbuilt('groupByFields'),
      },
      (given) => {
        const limit = Number(given.get('limit') ?? 100);
        const sum = (limit > 0 ? limit : 100) + Math.max(0, Number(given.get('offset') ?? 0));
        const counts = JSON.stringify(given.get('outputFields') ?? []).includes('count(*)');
        if (sum > 16_384) return counts ? perhaps([1100], 'limit') : refused(1100, 'limit');
        return checkTemplates(given);
      },
    ),
    { extras: { orderByFields: '["id"]', groupByFields: '"id"' } },
  ),
  subject(
    'entities/search',
    {
      ...main,
      data: [[1, 2, 3, 4]],
      annsField: 'vector',
      filter: 'medium > 0',
      limit: 5,
      offset: 0,
      outputFields: ['text'],
      searchParams: { metricType: 'L2', params: { ef: 10, radius: 100, range_filter: 0 }, round_decimal: 2 },
      explain: true,
      consistencyLevel: 'Session',
    },
    request2(searchSpec),
    { special: 'by vectors', extras: { ids: '[1]', groupingField: '"medium"', functionScore: '{"functions":[]}', orderByFields: '[1]' } },
  ),
  subject(
    'entities/search',
    { collectionName: 'main', ids: [1, '2'], limit: 3, partitionNames: [''], exprParams: { least: 1 }, filter: 'id >= {least}' },
    request2(searchSpec),
    { special: 'by keys', extras: { data: '[[1,2,3,4]]' } },
  ),
  subject(
    'indexes/create',
    {
      ...main,
      collectionName: 'unindexed',
      indexParams: [
        { fieldName: 'vector', indexName: 'vector_idx', metricType: 'IP', indexType: 'HNSW', params: { M: '16' } },
        { fieldName: 'medium', indexType: 'INVERTED' },
      ],
    },
    request(
      { dbName: database, collectionName: ownCollection('unindexed'), indexParams: required(indexParams) },
      (given) =>
        given.get('collectionName') === 'unindexed'
          ? checkIndexes(given.get('indexParams'), { vector: 'FloatVector', medium: 'Int32', id: 'Int64' })
          : perhaps([1100, 1802], 'index', 'field'),
    ),
    { writes, texts: { collectionName: NAMES.slice(3), fieldName: ['"id"', '"nothing"', '""', '"vector"', '"medium"', '"$meta"'] } },
  ),
  subject('indexes/list', main, one),
  subject(
    'indexes/describe',
    { ...main, indexName: 'vector_idx' },
    request({ dbName: database, collectionName: collection, indexName: known('vector_idx', 700) }, (given) =>
      given.get('collectionName') === 'main' ? FINE : perhaps([700], 'index'),
    ),
  ),
  subject(
    'indexes/drop',
    { ...main, collectionName: 'indexed', indexName: 'vector_idx' },
    request({ dbName: database, collectionName: named(['indexed', 'bare'], 100), indexName: known('vector_idx', 'fine') }),
    { writes, texts: { collectionName: ['"bare"', ...NAMES.slice(3)] } },
  ),
];

/** Which fields another collection has is not asked here; whether it is loaded is. */
function readable(value: unknown, name: string): Complaints {
  const found = loaded(value, name);
  return isOpen(found) && value !== 'main' ? perhaps([1100, 1700, 1806], 'filter', 'outputFields', 'key') : found;
}

function loadable(value: unknown, name: string): Complaints {
  if (value === 'bare' || value === 'unindexed') return refused(700, 'index');
  return named(['toggled', 'indexed', ...LOADED], 100)(value, name);
}

function request2(spec: Spec): Spec {
  return (value, name) => {
    const found = spec(value, name);
    const of = isObject(value) ? value['collectionName'] : undefined;
    return isOpen(found) && LOADED.includes(String(of)) && of !== 'main'
      ? [...found, ...perhaps([1100, 1700, 1801, 1806], 'vector', 'key', 'metric', 'filter', 'annsField', 'outputFields')]
      : found;
  };
}

/** An index that is looked up by its name. */
function known(existing: string, missing: number | 'fine'): Spec {
  return (value, name) => {
    if (isAbsent(value)) return refused(1802, name);
    if (typeof value !== 'string') return refused(1801, name);
    if (value === '') return refused(1802, name);
    if (value.length > 255) return refused(1100, name);
    return value === existing || missing === 'fine' ? FINE : refused(missing, 'index');
  };
}
void text;
