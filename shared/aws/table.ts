import {
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  QueryCommand,
  type QueryCommandOutput,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { assert } from '#base/assert.ts';
import { StoreError } from '#base/errors.ts';
import { checkRowKey, checkRowValue, queryBounds, queryLimit } from '#ports/arguments.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import { retry } from '#ports/retry.ts';
import type { Condition, QueryOptions, Row, RowKey, Table } from '#ports/table.ts';
import { failureOf, toStoreError } from './errors.ts';
import { sortRange } from './table-range.ts';

/** `clock` and `entropy` space out what is tried again. */
export type DynamoTableOptions = Readonly<{
  client: DynamoDBClient;
  tableName: string;
  clock: Clock;
  entropy: Entropy;
}>;

/**
 * At most 25 + 50 + 100 + 200 = 375 ms of pauses. DynamoDB gives a throttled partition its next
 * second's capacity within a second, and whoever called has 30 seconds for a whole request.
 */
const ATTEMPTS = { attemptsMax: 5, firstDelayMs: 25, delayMaxMs: 1_000 } as const;

/**
 * A page ends at 1 MB and a row has at most 257 KiB, so every page but the last holds at least
 * three rows of the 1,000 that a query may ask for: 334 pages, and an empty one to say that it is
 * the last.
 */
const QUERY_PAGES_MAX = 335;

/** One item per row: partition, sort, version, value. `#` names, because words may be reserved. */
const NAMES = { partition: 'p', sort: 's', version: 'v', value: 'b' } as const;

const CONDITION_FAILED = 'ConditionalCheckFailedException';

type LastKey = QueryCommandOutput['LastEvaluatedKey'];
type Item = Readonly<Record<string, Readonly<{ S?: string; N?: string; B?: Uint8Array }>>>;

/**
 * Rows in a DynamoDB table with the string keys `p` (partition) and `s` (sort).
 *
 * Every write is one conditional request of one item, so it also holds on a strongly consistent
 * global table. The client must not try again by itself (`clients.ts`): a conditional write that took
 * effect and whose answer was lost would, sent again, find its own version and report that somebody
 * else had won. So a write is sent again only where the service says that it did nothing
 * (throttling); where nobody knows, the call throws `UNCERTAIN` and the caller reads. Reads are
 * sent again in both cases, and throw `UNCERTAIN` only after all attempts.
 */
export function openDynamoTable(options: DynamoTableOptions): Table {
  const { client, tableName } = options;
  const calls = openCalls(options);
  return {
    async get(key) {
      checkRowKey(key);
      const request = { TableName: tableName, Key: itemKey(key), ConsistentRead: true };
      const answer = await calls.read('GetItem', () => client.send(new GetItemCommand(request)));
      return answer.Item && decodeRow(tableName, answer.Item);
    },
    query: (partition, queryOptions) => queryRows(options, calls, partition, queryOptions),
    async put(key, value, condition) {
      checkRowKey(key);
      checkRowValue(key, value);
      if (!canHold(condition)) return undefined;
      // A copy taken at the call: the caller may use its array again before the request is written.
      const request = putRequest(tableName, key, value.slice(), condition);
      const send = () => client.send(new UpdateItemCommand(request));
      const answer = await calls.write('UpdateItem', send);
      if (answer === undefined) return undefined;
      if (condition !== undefined) return condition === 'absent' ? 1 : condition + 1;
      return versionOf(tableName, key, answer.Attributes?.[NAMES.version]?.N);
    },
    async delete(key, condition) {
      checkRowKey(key);
      // A row that is absent cannot be deleted, and one that is there is not absent.
      if (condition === 'absent' || !canHold(condition)) return false;
      const request = deleteRequest(tableName, key, condition);
      const send = () => client.send(new DeleteItemCommand(request));
      return (await calls.write('DeleteItem', send)) !== undefined;
    },
  };
}

type Calls = Readonly<{
  read: <T>(action: string, send: () => Promise<T>) => Promise<T>;
  /** Undefined where the condition did not hold. */
  write: <T>(action: string, send: () => Promise<T>) => Promise<T | undefined>;
}>;

function openCalls(options: DynamoTableOptions): Calls {
  const resource = `table ${options.tableName}`;
  return {
    read(action, send) {
      const call = { service: 'dynamodb', action, resource, idempotent: true } as const;
      return retry(options, { ...ATTEMPTS, codes: ['OVERLOADED', 'UNCERTAIN'] }, () =>
        send().catch((error: unknown) => {
          throw toStoreError(error, call);
        }),
      );
    },
    write(action, send) {
      const call = { service: 'dynamodb', action, resource, idempotent: false } as const;
      return retry(options, { ...ATTEMPTS, codes: ['OVERLOADED'] }, () =>
        send().catch((error: unknown) => {
          if (failureOf(error).name === CONDITION_FAILED) return undefined;
          throw toStoreError(error, call);
        }),
      );
    },
  };
}

async function queryRows(
  { client, tableName }: DynamoTableOptions,
  calls: Calls,
  partition: string,
  options: QueryOptions | undefined,
): Promise<readonly Row[]> {
  const query = queryRequest(tableName, partition, options);
  const limit = queryLimit(options);
  if (query === undefined) return [];
  const rows: Row[] = [];
  for (let from: LastKey, pages = 1; ; pages++) {
    const request = { ...query, Limit: limit - rows.length, ExclusiveStartKey: from };
    const page = await calls.read('Query', () => client.send(new QueryCommand(request)));
    for (const item of page.Items ?? []) rows.push(decodeRow(tableName, item));
    from = page.LastEvaluatedKey;
    if (from === undefined || rows.length >= limit) return rows;
    assert(pages < QUERY_PAGES_MAX, `a query of table ${tableName} has no last page`);
  }
}

/** Versions are whole numbers from 1: no row satisfies another, and DynamoDB refuses some of them. */
const canHold = (condition: Condition | undefined): boolean =>
  typeof condition !== 'number' || (Number.isSafeInteger(condition) && condition >= 1);

const itemKey = (key: RowKey) => ({
  [NAMES.partition]: { S: key.partition },
  [NAMES.sort]: { S: key.sort },
});

/** Undefined where no sort lies within the bounds. */
function queryRequest(tableName: string, partition: string, options: QueryOptions | undefined) {
  const range = sortRange(queryBounds(partition, options));
  if (range === undefined) return undefined;
  return {
    TableName: tableName,
    ConsistentRead: true,
    ScanIndexForward: options?.reverse !== true,
    KeyConditionExpression: '#p = :p AND #s BETWEEN :first AND :last',
    ExpressionAttributeNames: { '#p': NAMES.partition, '#s': NAMES.sort },
    ExpressionAttributeValues: {
      ':p': { S: partition },
      ':first': { S: range.first },
      ':last': { S: range.last },
    },
  };
}

/**
 * A condition names the version that the row will have, so nothing needs to come back. Without one
 * the item itself counts, and `UPDATED_NEW` brings the number (and the value, which costs no unit).
 */
function putRequest(
  tableName: string,
  key: RowKey,
  value: Uint8Array,
  condition: Condition | undefined,
) {
  const common = { TableName: tableName, Key: itemKey(key) };
  const names = { '#v': NAMES.version, '#b': NAMES.value };
  const set = 'SET #v = :next, #b = :value';
  if (condition === undefined) {
    return {
      ...common,
      UpdateExpression: 'SET #v = if_not_exists(#v, :zero) + :one, #b = :value',
      ExpressionAttributeNames: names,
      ExpressionAttributeValues: {
        ':zero': { N: '0' },
        ':one': { N: '1' },
        ':value': { B: value },
      },
      ReturnValues: 'UPDATED_NEW' as const,
    };
  }
  if (condition === 'absent') {
    return {
      ...common,
      UpdateExpression: set,
      ConditionExpression: 'attribute_not_exists(#v)',
      ExpressionAttributeNames: names,
      ExpressionAttributeValues: { ':next': { N: '1' }, ':value': { B: value } },
    };
  }
  return {
    ...common,
    UpdateExpression: set,
    ConditionExpression: '#v = :expected',
    ExpressionAttributeNames: names,
    ExpressionAttributeValues: {
      ':expected': { N: `${condition}` },
      ':next': { N: `${condition + 1}` },
      ':value': { B: value },
    },
  };
}

function deleteRequest(tableName: string, key: RowKey, version: number | undefined) {
  const common = { TableName: tableName, Key: itemKey(key) };
  if (version === undefined) return common;
  return {
    ...common,
    ConditionExpression: '#v = :expected',
    ExpressionAttributeNames: { '#v': NAMES.version },
    ExpressionAttributeValues: { ':expected': { N: `${version}` } },
  };
}

function versionOf(tableName: string, key: RowKey, text: string | undefined): number {
  const version = Number(text);
  if (Number.isSafeInteger(version) && version >= 1) return version;
  const row = JSON.stringify([key.partition, key.sort]);
  throw new StoreError(
    'DATA_CORRUPT',
    `row ${row} of table ${tableName} has no version in attribute ${NAMES.version}`,
  );
}

function decodeRow(tableName: string, item: Item): Row {
  const key = { partition: item[NAMES.partition]?.S ?? '', sort: item[NAMES.sort]?.S ?? '' };
  const version = versionOf(tableName, key, item[NAMES.version]?.N);
  const value = item[NAMES.value]?.B;
  if (value !== undefined) return { ...key, version, value: ownBytes(value) };
  const row = JSON.stringify([key.partition, key.sort]);
  throw new StoreError(
    'DATA_CORRUPT',
    `row ${row} of table ${tableName} has no bytes in attribute ${NAMES.value}`,
  );
}

/** The client decodes small values into memory that it shares with others. */
const ownBytes = (bytes: Uint8Array): Uint8Array =>
  bytes.byteLength === bytes.buffer.byteLength ? bytes : new Uint8Array(bytes);
