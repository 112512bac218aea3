/** What API.md says about `collections/create` (1.5, 3.1, 3.3) and `indexes/create`. */
import {
  anything,
  type Complaints,
  choice,
  FINE,
  flag,
  integer,
  isAbsent,
  isObject,
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
  wholeOf,
} from './spec.ts';

const BUILT_TYPES = [
  ...[
    'Bool',
    'Int8',
    'Int16',
    'Int32',
    'Int64',
    'Float',
    'Double',
    'VarChar',
    'JSON',
    'FloatVector',
  ],
];
const UNBUILT_TYPES = [
  ...['Array', 'Geometry', 'Timestamptz', 'Text', 'BinaryVector', 'Float16Vector'],
  ...['BFloat16Vector', 'SparseFloatVector', 'Int8Vector'],
];
export const TYPES: readonly string[] = [...BUILT_TYPES, ...UNBUILT_TYPES];

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** A new name: 255 characters of letters, digits and underscores. */
export const newName =
  (code: number, ...words: string[]): Spec =>
  (value, name) => {
    if (typeof value !== 'string') return refused(1801, name);
    if (value === '') return refused([code, 1802], name, ...words);
    return NAME.test(value) && value.length <= 255 ? FINE : refused(code, name, ...words);
  };

/** Which code reserved names have API.md does not say. */
const RESERVED = ['RowID', 'Timestamp', '$meta'];

const fieldName: Spec = (value, name) => {
  if (RESERVED.includes(String(value))) return refused([1100, 1701], 'field');
  return newName(1701, 'field name')(value, name);
};

export const description: Spec = optional((value, name) => {
  if (typeof value !== 'string') return refused(1801, name);
  return Buffer.byteLength(value) <= 1024 ? FINE : refused(1100, name);
});

/** Metrics are looked up without regard to case by some releases: then either is right. */
const metric: Spec = optional((value, name) => {
  if (typeof value !== 'string') return refused(1801, name);
  if (['', 'L2', 'IP', 'COSINE'].includes(value)) return FINE;
  const upper = ['L2', 'IP', 'COSINE'].includes(value.toUpperCase());
  return upper ? perhaps([1100], 'metric') : refused(1100, name, 'metric');
});

const dataType: Spec = (value, name) => {
  if (typeof value !== 'string') return refused(1801, name);
  if (BUILT_TYPES.includes(value)) return FINE;
  return refused(UNBUILT_TYPES.includes(value) ? 3000 : 1100, name, 'data type');
};

/** A setting that is stored and shown; API.md says no more about it. */
const stored: Spec = (value, name) =>
  ['string', 'number', 'boolean'].includes(typeof value) && `${value}${name}`.length <= 200
    ? FINE
    : perhaps([1100], name.slice(0, 64));

/** Milvus's ranges of a graph's settings; of a scalar field nobody looks at them. */
const graphSetting =
  (least: number, greatest: number): Spec =>
  (value, name) => {
    const whole = wholeOf(value);
    return whole !== undefined && whole >= least && whole <= greatest
      ? FINE
      : perhaps([1100], name);
  };

const GRAPH_SETTINGS = {
  M: graphSetting(2, 2_048),
  efConstruction: graphSetting(1, 2_147_483_647),
} as const;

export const indexParams: Spec = list(
  request({
    fieldName: required(text),
    indexName: optional((value, name) =>
      value === ''
        ? perhaps([1802, 1100], name, 'index name')
        : newName(1100, 'index name')(value, name),
    ),
    metricType: metric,
    indexType: optional((value, name) => {
      if (typeof value !== 'string') return refused(1801, name);
      const known = ['', 'AUTOINDEX', 'HNSW', 'FLAT', 'INVERTED', 'STL_SORT', 'IVF_FLAT'];
      return known.includes(value) ? FINE : refused(1100, name, 'index type');
    }),
    params: map({ index_type: anything, ...GRAPH_SETTINGS }, stored, (members) =>
      isAbsent(members.get('index_type')) ? FINE : perhaps([1100], 'index_type', 'index type'),
    ),
  }),
);

/** Scalar and vector index types do not mix, and a field has one index (API.md 1.8: 1100). */
export function checkIndexes(
  asked: unknown,
  fields: Readonly<Record<string, string>>,
  existing: readonly string[] = [],
): Complaints {
  if (!Array.isArray(asked)) return FINE;
  const seen = new Set(existing);
  return asked.flatMap((index: unknown): Complaints => {
    if (!isObject(index)) return FINE;
    const of = (wanted: string): unknown =>
      Object.entries(index).find(([key]) => key.toLowerCase() === wanted.toLowerCase())?.[1];
    const name = String(of('fieldName'));
    const type = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (type === undefined) return refused(1802, 'fieldName', 'field');
    const twice = seen.has(name);
    seen.add(name);
    if (twice) return perhaps([1100], name, 'index');
    const indexType = of('indexType');
    const scalar = indexType === 'INVERTED' || indexType === 'STL_SORT';
    const vector = ['FLAT', 'HNSW', 'IVF_FLAT'].includes(String(indexType));
    const wrong = type === 'FloatVector' ? scalar : vector;
    return wrong ? refused(1100, 'indexType', 'index type') : FINE;
  });
}

const field = request(
  {
    fieldName: required(fieldName),
    dataType: required(dataType),
    isPrimary: flag,
    isPartitionKey: flag,
    isClusteringKey: flag,
    autoID: flag,
    nullable: flag,
    description,
    elementDataType: text,
    elementTypeParams: map({}),
    defaultValue: anything,
  },
  checkField,
);

function checkField(given: Members): Complaints {
  const type = given.get('dataType');
  const params = given.get('elementTypeParams');
  const of = (key: string): unknown => (isObject(params) ? params[key] : undefined);
  const range = (key: string, least: number, greatest: number): Complaints => {
    const value = of(key);
    if (isAbsent(value)) return refused(1100, key);
    return setting(least, greatest)(value, key);
  };
  const found: Complaints[] = [];
  if (type === 'VarChar') found.push(range('max_length', 1, 65_535));
  if (type === 'FloatVector') found.push(range('dim', 2, 32_768));
  for (const key of ['dim', 'max_length']) {
    const idle = wholeOf(of(key)) === undefined && !isAbsent(of(key));
    if (idle && found.length === 0) found.push(perhaps([1100], key));
  }
  const primary = given.get('isPrimary') === true;
  if (primary && type !== 'Int64' && type !== 'VarChar') found.push(refused(1100, 'primary key'));
  if (given.get('isPartitionKey') === true) found.push(refused([3000, 1100], 'partition key'));
  if (given.get('isClusteringKey') === true) found.push(refused([3000, 1100], 'clustering key'));
  if (given.get('autoID') === true && !primary) found.push(refused(1100, 'autoID'));
  if (given.get('nullable') === true && (primary || type === 'FloatVector')) {
    found.push(refused(1100, 'nullable'));
  }
  if (!isAbsent(given.get('defaultValue'))) {
    found.push(primary ? refused(1100, 'default') : checkDefault(type, given.get('defaultValue')));
  }
  return found.flat();
}

function checkDefault(type: unknown, value: unknown): Complaints {
  const no = refused(1100, 'default');
  if (type === 'Int32') {
    const whole = typeof value === 'number' && Number.isInteger(value);
    return whole && Math.abs(value + 0.5) < 2 ** 31 ? FINE : no;
  }
  if (type === 'VarChar') return typeof value === 'string' && value.length <= 16 ? FINE : no;
  if (type === 'Bool') return typeof value === 'boolean' ? FINE : no;
  if (type === 'FloatVector' || type === 'JSON') return no;
  return perhaps([1100], 'default');
}

const schema = request(
  {
    autoID: flag,
    enableDynamicField: flag,
    functions: optional(list(anything)),
    fields: optional(list(field)),
  },
  (given) => {
    const fields = given.get('fields');
    if (!Array.isArray(fields) || fields.length === 0) return FINE;
    const of = (each: unknown, wanted: string): unknown =>
      isObject(each)
        ? Object.entries(each).find(([key]) => key.toLowerCase() === wanted.toLowerCase())?.[1]
        : undefined;
    const names = fields.map((each) => of(each, 'fieldName'));
    const primary = fields.filter((each) => of(each, 'isPrimary') === true).length;
    const vectors = fields.filter((each) => of(each, 'dataType') === 'FloatVector').length;
    return [
      ...(new Set(names).size < names.length ? refused(1100, 'field name') : FINE),
      ...(fields.length > 64 ? refused(1100, 'fields') : FINE),
      ...(primary === 1 ? FINE : refused(1100, 'primary key')),
      ...(vectors === 0 ? refused(1100, 'vector field') : FINE),
    ];
  },
);

const params = map({
  shardsNum: setting(1, 16),
  partitionsNum: optional(() => refused(1100, 'partitionsNum')),
  consistencyLevel: choice(['Strong', 'Session', 'Bounded', 'Eventually', 'Customized']),
  ttlSeconds: optional((value, name) => {
    const whole = wholeOf(value);
    const isTime = whole !== undefined && whole >= 0 && Number.isSafeInteger(whole);
    return isTime ? FINE : refused(1100, name);
  }),
  partitionKeyIsolation: optional((value, name) =>
    value === false || value === 'false' ? FINE : refused([1100, 3000], name),
  ),
  enableDynamicField: optional((value, name) =>
    typeof value === 'boolean' ? FINE : perhaps([1100], name),
  ),
  max_length: optional((value, name) =>
    setting(1, 65_535)(value, name).length === 0 ? FINE : perhaps([1100], name),
  ),
  'mmap.enabled': optional(stored),
});

/** @param taken names of collections of another definition */
export const createSpec = (database: Spec, taken: readonly string[]): Spec =>
  request(
    {
      dbName: database,
      collectionName: (value, name) =>
        isAbsent(value) || value === ''
          ? refused(1802, name, 'collection name')
          : nameOfCollection(taken, value, name),
      description,
      dimension: integer(-(2 ** 31), 2 ** 31 - 1),
      idType: text,
      autoID: flag,
      metricType: optional((value, name) =>
        typeof value === 'string' ? FINE : refused(1801, name),
      ),
      primaryFieldName: text,
      vectorFieldName: text,
      schema: optional(schema),
      indexParams: optional(indexParams),
      params,
    },
    (given) => {
      const form = given.get('schema');
      const fields = isObject(form) ? memberOf(form, 'fields') : undefined;
      return Array.isArray(fields) && fields.length > 0
        ? checkFull(given, fields, memberOf(form, 'functions'))
        : checkQuick(given, form);
    },
  );

/** In Milvus a name that is looked up may be anything; a new one may not. */
function nameOfCollection(taken: readonly string[], value: unknown, name: string): Complaints {
  if (typeof value === 'string' && value.length > 255) return refused(1100, name, 'name');
  const found = newName(1100, 'collection name')(value, name);
  if (found.length > 0) return found;
  return taken.includes(String(value)) ? refused(1100, 'duplicate collection') : FINE;
}

function memberOf(value: unknown, wanted: string): unknown {
  if (!isObject(value)) return undefined;
  return Object.entries(value).find(([key]) => key.toLowerCase() === wanted.toLowerCase())?.[1];
}

function checkQuick(given: Members, form: unknown): Complaints {
  const dimension = given.get('dimension');
  const idType = given.get('idType') ?? '';
  const asText = idType === 'VarChar' || idType === 'Varchar';
  const maxLength = wholeOf(memberOf(given.get('params'), 'max_length'));
  const names = ['primaryFieldName', 'vectorFieldName'].map((key) => {
    const name = given.get(key) || key;
    // Milvus names the field by what it is called, not by the request's member.
    return fieldName(name, 'field name');
  });
  const functions = memberOf(form, 'functions');
  return [
    ...(typeof dimension === 'number' && dimension >= 2 && dimension <= 32_768
      ? FINE
      : refused(1100, 'dimension')),
    ...(['', 'Int64'].includes(String(idType)) || asText ? FINE : refused(1100, 'idType')),
    ...(asText && (maxLength === undefined || maxLength < 1 || maxLength > 65_535)
      ? refused(1100, 'max_length')
      : FINE),
    ...names.flat(),
    ...(given.get('primaryFieldName') !== undefined &&
    given.get('primaryFieldName') === given.get('vectorFieldName')
      ? refused(1100, 'field name')
      : FINE),
    ...metric(given.get('metricType'), 'metricType'),
    ...(Array.isArray(functions) && functions.length > 0 ? refused(1100, 'functions') : FINE),
  ];
}

function checkFull(given: Members, fields: readonly unknown[], functions: unknown): Complaints {
  const types = Object.fromEntries(
    fields.map((each) => [String(memberOf(each, 'fieldName')), String(memberOf(each, 'dataType'))]),
  );
  return [
    ...(Array.isArray(functions) && functions.length > 0 ? refused(3000, 'functions') : FINE),
    ...checkIndexes(given.get('indexParams'), types),
    ...(wantsVectorIndex(given.get('indexParams'), types) ? perhaps([700, 1100], 'index') : FINE),
  ];
}

/** Indexes, but none on a vector field: Milvus then fails to load what it created. */
function wantsVectorIndex(asked: unknown, types: Readonly<Record<string, string>>): boolean {
  if (!Array.isArray(asked) || asked.length === 0) return false;
  return !asked.some((index) => types[String(memberOf(index, 'fieldName'))] === 'FloatVector');
}
