/** Which indexes a collection may have, from the requests that ask for them. */
import type { IndexParams } from '#api/indexes.ts';
import { StoreError } from '#base/errors.ts';
import type { Index } from '#catalog/collection.ts';
import { type CollectionSchema, type Field, METRICS, type Metric } from '#schema/field.ts';
import { readInteger, readText, settingText } from './params.ts';

/** Milvus's names; all are answered by the same graph, FLAT and small segments by exact scan. */
const VECTOR_INDEX_TYPES = [
  'AUTOINDEX',
  'FLAT',
  'IVF_FLAT',
  'IVF_SQ8',
  'IVF_PQ',
  'IVF_RABITQ',
  'HNSW',
  'HNSW_SQ',
  'HNSW_PQ',
  'HNSW_PRQ',
  'SCANN',
  'DISKANN',
];
const SCALAR_INDEX_TYPES = ['AUTOINDEX', 'INVERTED', 'STL_SORT', 'Trie', 'BITMAP', 'NGRAM'];
const DEFAULT_METRIC: Metric = 'COSINE';
/** Settings of an index that are stored and shown: ef, nlist and the like, each a few characters. */
const SETTINGS_MAX = 32;
const SETTING_CHARS_MAX = 256;
/** Milvus's ranges of a graph's settings; what is built stays within narrower ones. */
const GRAPH_SETTINGS = {
  M: { min: 2, max: 2_048 },
  efConstruction: { min: 1, max: 2_147_483_647 },
} as const;

/**
 * One index as a request asks for it.
 *
 * @throws StoreError `MISSING_FIELD` where the schema lacks the field; `INVALID_ARGUMENT`
 */
export function defineIndex(schema: CollectionSchema, asked: IndexParams): Index {
  const field = schema.fields.find(({ name, dynamic }) => name === asked.fieldName && !dynamic);
  if (field === undefined) {
    const message = `indexParams: field ${asked.fieldName.slice(0, 255)} is not in the schema`;
    throw new StoreError('MISSING_FIELD', message);
  }
  const params = asked.params ?? {};
  const indexType =
    asked.indexType || readText(params, 'index_type', 'indexParams.params') || 'AUTOINDEX';
  const metric = metricOf(field, asked.metricType || readText(params, 'metric_type', 'params'));
  checkType(field, indexType);
  if (field.type === 'FloatVector') checkGraphSettings(params);
  return {
    indexName: asked.indexName ?? field.name,
    fieldId: field.id,
    fieldName: field.name,
    ...(metric === undefined ? {} : { metric }),
    indexType,
    params: settingsOf(params),
  };
}

function checkType(field: Field, indexType: string): void {
  const known = field.type === 'FloatVector' ? VECTOR_INDEX_TYPES : SCALAR_INDEX_TYPES;
  if (known.includes(indexType)) return;
  throw new StoreError(
    'INVALID_ARGUMENT',
    `invalid index type: ${indexType.slice(0, 64)} on field ${field.name} (${field.type}); expected ${known.join(', ')}`,
  );
}

/** @throws StoreError `INVALID_ARGUMENT` */
function checkGraphSettings(params: Readonly<Record<string, unknown>>): void {
  for (const [name, { min, max }] of Object.entries(GRAPH_SETTINGS)) {
    const value = readInteger(params, name, 'indexParams.params');
    if (value === undefined || (value >= min && value <= max)) continue;
    const message = `indexParams.params.${name}: expected ${min} to ${max}, found ${value}`;
    throw new StoreError('INVALID_ARGUMENT', message);
  }
}

function metricOf(field: Field, name: string | undefined): Metric | undefined {
  if (field.type !== 'FloatVector') return undefined;
  return readMetric(name || DEFAULT_METRIC, `field ${field.name}`);
}

/** @throws StoreError `INVALID_ARGUMENT` */
export function readMetric(name: string, where: string): Metric {
  const metric = METRICS.find((known) => known === name.toUpperCase());
  if (metric !== undefined) return metric;
  throw new StoreError(
    'INVALID_ARGUMENT',
    `${where}: float vector index does not support metric type: ${name.slice(0, 64)}; expected ${METRICS.join(', ')}`,
  );
}

function settingsOf(params: Readonly<Record<string, unknown>>): Record<string, string> {
  const settings: Record<string, string> = {};
  for (const [key, value] of Object.entries(params)) {
    if (key === 'index_type' || key === 'metric_type') continue;
    const text = settingText(value);
    if (text === undefined || key.length > SETTING_CHARS_MAX || text.length > SETTING_CHARS_MAX) {
      const message = `indexParams.params.${key.slice(0, 64)}: expected a number, a boolean or a short text`;
      throw new StoreError('INVALID_ARGUMENT', message);
    }
    settings[key] = text;
  }
  if (Object.keys(settings).length <= SETTINGS_MAX) return settings;
  throw new StoreError('INVALID_ARGUMENT', `indexParams.params: at most ${SETTINGS_MAX} settings`);
}

/**
 * The indexes with the new ones. The same index again changes nothing.
 *
 * @throws StoreError `ALREADY_EXISTS` for a second index of a field, or a name that is taken
 */
export function addIndexes(existing: readonly Index[], added: readonly Index[]): readonly Index[] {
  const indexes = [...existing];
  for (const index of added) {
    const rival = indexes.find(({ fieldId }) => fieldId === index.fieldId);
    if (rival !== undefined) {
      if (isSame(rival, index)) continue;
      throw new StoreError(
        'ALREADY_EXISTS',
        `at most one distinct index is allowed per field: ${index.fieldName} has ${rival.indexName} (${rival.indexType} ${rival.metric ?? ''})`,
      );
    }
    const named = indexes.find(({ indexName }) => indexName === index.indexName);
    if (named !== undefined) {
      const message = `index name ${index.indexName} is taken by field ${named.fieldName}`;
      throw new StoreError('ALREADY_EXISTS', message);
    }
    indexes.push(index);
  }
  return indexes;
}

const isSame = (a: Index, b: Index): boolean =>
  a.indexName === b.indexName &&
  a.indexType === b.indexType &&
  a.metric === b.metric &&
  settingsText(a.params) === settingsText(b.params);

const settingsText = (params: Readonly<Record<string, string>>): string =>
  JSON.stringify(Object.entries(params).sort(([a], [b]) => (a < b ? -1 : 1)));
