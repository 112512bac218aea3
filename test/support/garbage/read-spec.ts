/** What API.md says about names that are looked up, and about get, query, search and delete. */
import { filterSpec, unfilled } from './filter-spec.ts';
import { EXISTING, LOADED, UNLOADED } from './fixture-rows.ts';
import { keysOf } from './row-spec.ts';
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
} from './spec.ts';

/** There is one database; `has` and `drop` may or may not look at its name first. */
export const databaseOf = (strict: boolean): Spec =>
  optional((value, name) => {
    if (typeof value !== 'string') return refused(1801, name);
    if (value === '' || value === 'default') return FINE;
    return strict ? refused(800, 'database') : perhaps([800], 'database');
  });
export const database = databaseOf(true);

/** A collection that is looked up; `missing` is what a name without one gets. */
export const named =
  (known: readonly string[], missing: number | 'fine', unloaded: readonly string[] = []): Spec =>
  (value, name) => {
    if (isAbsent(value)) return refused(1802, name);
    if (typeof value !== 'string') return refused(1801, name);
    if (value === '') return refused(1802, name);
    if (value.length > 255) return refused(1100, name);
    if (unloaded.includes(value)) return refused(101, 'collection');
    return known.includes(value) || missing === 'fine' ? FINE : refused(missing, 'collection');
  };

export const collection = named(EXISTING, 100);
const loaded = named(LOADED, 100, UNLOADED);

export const partition: Spec = optional((value, name) => {
  if (typeof value !== 'string') return refused(1801, name);
  return value === '' || value === '_default' ? FINE : refused(200, 'partition');
});
export const partitions: Spec = optional((value, name) =>
  Array.isArray(value) && value.length > 1024
    ? refused([1100, 1801], name)
    : list(partitionItem)(value, name),
);
/** Go's decoder reads a null in a list of strings as an empty one. */
const partitionItem: Spec = (value, name) => {
  if (value === null) return perhaps([1801], name);
  return typeof value === 'string' ? partition(value, name) : refused(1801, name);
};

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
  if (!Array.isArray(value) || value.some((each) => typeof each !== 'string'))
    return refused(1801, name);
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
    value === '' || (Array.isArray(value) && value.length === 0)
      ? FINE
      : refused([3000, 1801, 1100], name),
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

const anySearch: Spec = request(
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

/** Which fields another collection has is not asked here; whether it is loaded is. */
function readable(value: unknown, name: string): Complaints {
  const found = loaded(value, name);
  return isOpen(found) && value !== 'main'
    ? perhaps([1100, 1700, 1806], 'failed to create query plan', 'outputFields', 'key')
    : found;
}

/** Rows of one collection fit no other: which of them another one refuses is not asked here. */
export const ownCollection =
  (own: string): Spec =>
  (value, name) => {
    if (value === own) return FINE;
    const other = typeof value === 'string' && EXISTING.includes(value);
    return other
      ? perhaps([1804, 1100, 1700], 'row', 'failed to create query plan', 'outputFields')
      : collection(value, name);
  };

export const getSpec: Spec = request({
  ...READ,
  collectionName: readable,
  partitionName: partition,
  id: (value, name) =>
    isAbsent(value) ? refused(1802, name) : keysOf({ type: 'Int64' })(value, name),
});

export const querySpec: Spec = request(
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
);

export const deleteSpec: Spec = request(
  {
    dbName: database,
    collectionName: ownCollection('main'),
    partitionName: partition,
    filter: required(filterSpec('refused')),
    exprParams,
  },
  checkTemplates,
);

/** Another collection has other fields: what it makes of the request is not asked here. */
export const searchSpec: Spec = (value, name) => {
  const found = anySearch(value, name);
  const of = isObject(value) ? value['collectionName'] : undefined;
  return isOpen(found) && LOADED.includes(String(of)) && of !== 'main'
    ? [
        ...found,
        ...perhaps(
          [1100, 1700, 1801, 1806],
          'vector',
          'key',
          'metric',
          'failed to create query plan',
          'annsField',
          'outputFields',
        ),
      ]
    : found;
};
