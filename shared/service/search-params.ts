/** The settings of a search, from the flat or nested map that clients send (API.md 3.2). */
import type { JsonMembers } from '#api/names.ts';
import { StoreError } from '#base/errors.ts';
import type { Metric } from '#schema/field.ts';
import { readMetric } from './indexes.ts';
import { readBoolean, readInteger, readNumber, readText } from './params.ts';

export type SearchSettings = Readonly<{
  /** Named by the request; must be the index's. */
  metric?: Metric;
  /** Width of graph searches. */
  ef?: number;
  /** 1 to 10, instead of a width. */
  level?: number;
  /** Scores beyond it do not count. */
  radius?: number;
  /** Scores nearer than it do not count. */
  rangeFilter?: number;
  /** Digits of `distance` behind the point; -1 for all. */
  roundDecimal?: number;
}>;

const WHERE = 'searchParams';
const EF_MAX = 32_768;
/** Constructs that change which rows come back: ignoring one would answer another question. */
const NOT_BUILT = ['group_by_field', 'search_iter_v2', 'iterator', 'search_iter_id'];

/** @throws StoreError `INVALID_ARGUMENT` naming the key; `UNSUPPORTED` */
export function readSearchParams(map: JsonMembers = {}): SearchSettings {
  const merged: JsonMembers = { ...map, ...nestedParams(map['params'] ?? {}) };
  for (const key of NOT_BUILT) refuseUnbuilt(merged, key);
  const metric = readText(merged, 'metricType', WHERE) || readText(merged, 'metric_type', WHERE);
  const radius = readNumber(merged, 'radius', WHERE);
  const rangeFilter = readNumber(merged, 'range_filter', WHERE);
  if (rangeFilter !== undefined && radius === undefined) {
    throw new StoreError('INVALID_ARGUMENT', `${WHERE}.range_filter needs a radius`);
  }
  return {
    ...(metric ? { metric: readMetric(metric, WHERE) } : {}),
    ...within('ef', readInteger(merged, 'ef', WHERE), 1, EF_MAX),
    ...within('level', readInteger(merged, 'level', WHERE), 1, 10),
    ...given('radius', radius),
    ...given('rangeFilter', rangeFilter),
    ...within('roundDecimal', readInteger(merged, 'round_decimal', WHERE), -1, 6, 'round_decimal'),
  };
}

/** Passing over settings that cannot be read would answer another question. */
function nestedParams(inner: unknown): object {
  if (typeof inner === 'object' && inner !== null && !Array.isArray(inner)) return inner;
  throw new StoreError('INVALID_ARGUMENT', `${WHERE}.params: expected an object`);
}

function refuseUnbuilt(map: JsonMembers, key: string): void {
  const value = map[key];
  if (value === undefined || value === null || value === '' || value === false) return;
  if (key === 'iterator' && readBoolean(map, key, WHERE) !== true) return;
  throw new StoreError('UNSUPPORTED', `${WHERE}.${key} is not built yet`);
}

const given = <K extends string>(key: K, value: number | undefined): { [key in K]?: number } =>
  // One member, of that name.
  value === undefined ? {} : ({ [key]: value } as { [key in K]?: number });

/** @param name what the request calls it */
function within<K extends string>(
  key: K,
  value: number | undefined,
  min: number,
  max: number,
  name: string = key,
) {
  if (value === undefined || (value >= min && value <= max)) return given(key, value);
  throw new StoreError(
    'INVALID_ARGUMENT',
    `${WHERE}.${name}: expected ${min} to ${max}, found ${value}`,
  );
}
