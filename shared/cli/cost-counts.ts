/**
 * What each act asks of AWS, in the units that are billed. None of these numbers is an estimate:
 * `test/unit/cost-metered.test.ts` drives the engine through its doors over counting ports and
 * compares every one of them exactly, so a change of the engine that makes a user pay more, or less,
 * fails there.
 */
export type Requests = Readonly<{
  /** S3: PUT, COPY and LIST. Deleting is free. */
  s3Writes: number;
  /** S3: GET and HEAD. */
  s3Reads: number;
  /** Kinesis: payload units of 25 KB, of a provisioned stream. */
  streamUnits: number;
  /** Kinesis: whole KB of each record, of a stream on demand. */
  streamKb: number;
  /** DynamoDB: consistent reads of 4 KB of the regional table. */
  readUnits: number;
  /** DynamoDB: writes of 1 KB to the regional table. */
  writeUnits: number;
  globalReadUnits: number;
  globalWriteUnits: number;
  /** Calls that wait for one another: what a function is paid to wait for. */
  tableSteps: number;
  objectSteps: number;
  logSteps: number;
}>;

const NOTHING: Requests = {
  s3Writes: 0,
  s3Reads: 0,
  streamUnits: 0,
  streamKb: 0,
  readUnits: 0,
  writeUnits: 0,
  globalReadUnits: 0,
  globalWriteUnits: 0,
  tableSteps: 0,
  objectSteps: 0,
  logSteps: 0,
};

const requests = (some: Partial<Requests>): Requests => ({ ...NOTHING, ...some });

/** `a` and `times` times `b`. */
export function addRequests(a: Requests, b: Requests, times = 1): Requests {
  const sum: { -readonly [name in keyof Requests]: number } = { ...a };
  // The keys of an object of this type.
  for (const name of Object.keys(sum) as (keyof Requests)[]) sum[name] += times * b[name];
  return sum;
}

/** Vectors of 768 dimensions, an Int64 key; rows of a write that needs an object of its own. */
export const METERED_SHAPE = { dim: 768, rows: 100 } as const;

/** Larger payloads are objects (`wal/payload`). */
const INLINE_BYTES_MAX = 8 * 1024;
/** A tail row that holds its payload, which takes some 100 of these bytes itself. */
const TAIL_ROW_BYTES = 204;
const PAYLOAD_BYTES = 100;
/** Key, place and alignment of a row. */
const ROW_BYTES = 16;

const rowsBytes = (rows: number, dim: number): number => rows * (ROW_BYTES + dim * 4);

export const isInline = (rows: number, dim: number): boolean =>
  PAYLOAD_BYTES + rowsBytes(rows, dim) <= INLINE_BYTES_MAX;

/** A tail row is small where the payload is an object. */
const tailBytes = (rows: number, dim: number): number =>
  TAIL_ROW_BYTES + (isInline(rows, dim) ? rowsBytes(rows, dim) : 0);

const readUnitsOf = (bytes: number): number => Math.ceil(bytes / 4096);
const writeUnitsOf = (bytes: number): number => Math.ceil(bytes / 1024);

/**
 * An insert or upsert of rows to one shard whose write before is not applied yet: collection by name
 * and id, gate, newest tail row and a sample of the tail for admission, the append, gate, tail row, gate.
 */
export function insertOf(rows: number, dim: number): Requests {
  const bytes = tailBytes(rows, dim);
  const objects = isInline(rows, dim) ? 0 : 1;
  return requests({
    s3Writes: objects,
    objectSteps: objects,
    streamUnits: 1,
    streamKb: writeUnitsOf(bytes),
    readUnits: 4 + 2 * readUnitsOf(bytes),
    writeUnits: writeUnitsOf(bytes),
    globalReadUnits: 2,
    tableSteps: 8,
    logSteps: 1,
  });
}

/** What a `RequestId` adds: its row is read and written before, and read twice behind the append. */
export const REQUEST_ID = requests({ globalReadUnits: 3, globalWriteUnits: 1, tableSteps: 2 });

/** Applying a batch of one such insert: one object, one manifest in the head row, one tail row swept. */
export function applyOf(rows: number, dim: number): Requests {
  const bytes = tailBytes(rows, dim);
  const objects = isInline(rows, dim) ? 0 : 1;
  return requests({
    s3Writes: 1,
    s3Reads: objects,
    // Whether the shard is parked, its head before and behind the commit, and what the sweep finds.
    readUnits: 4 + readUnitsOf(bytes),
    writeUnits: 1 + writeUnitsOf(bytes),
    globalReadUnits: 1,
    tableSteps: 7,
    objectSteps: 1 + objects,
  });
}

/** Above some twenty batches in eleven minutes the manifest no longer fits the head row. */
export const LARGE_MANIFEST = requests({ s3Writes: 1, objectSteps: 1 });

/** Each further record of a batch. */
export function applyMoreOf(rows: number, dim: number): Requests {
  const bytes = tailBytes(rows, dim);
  return requests({
    s3Reads: isInline(rows, dim) ? 0 : 1,
    // The sweep's query adds its rows up before it rounds.
    readUnits: isInline(rows, dim) ? bytes / 4096 : 0,
    writeUnits: writeUnitsOf(bytes),
  });
}

/** Collection by name and id, gate and tail, head: whatever the rows and segments, while nothing changes. */
const WARM_READ = requests({ readUnits: 3, globalReadUnits: 2, tableSteps: 4 });

export const ACTS = {
  /** Into an empty tail: nothing to admit against. */
  insertRowAlone: requests({
    streamUnits: 1,
    streamKb: 4,
    readUnits: 4,
    writeUnits: 4,
    globalReadUnits: 2,
    tableSteps: 6,
    logSteps: 1,
  }),
  insertRow: insertOf(1, METERED_SHAPE.dim),
  insertRowWithId: addRequests(insertOf(1, METERED_SHAPE.dim), REQUEST_ID),
  insertRows: insertOf(METERED_SHAPE.rows, METERED_SHAPE.dim),
  insertRowsWithId: addRequests(insertOf(METERED_SHAPE.rows, METERED_SHAPE.dim), REQUEST_ID),
  deleteByKey: requests({
    streamUnits: 1,
    streamKb: 1,
    readUnits: 4,
    writeUnits: 1,
    globalReadUnits: 2,
    tableSteps: 6,
    logSteps: 1,
  }),
  deleteByFilter: requests({
    streamUnits: 1,
    streamKb: 1,
    readUnits: 7,
    writeUnits: 1,
    globalReadUnits: 2,
    tableSteps: 8,
    logSteps: 1,
  }),
  applyRow: applyOf(1, METERED_SHAPE.dim),
  applyRows: applyOf(METERED_SHAPE.rows, METERED_SHAPE.dim),
  applyRowBusy: addRequests(applyOf(1, METERED_SHAPE.dim), LARGE_MANIFEST),
  /** Eight level-0 segments of a hundred rows become one. */
  merge: requests({
    s3Writes: 1,
    s3Reads: 12,
    readUnits: 3,
    writeUnits: 4,
    tableSteps: 6,
    objectSteps: 11,
  }),
  search: WARM_READ,
  query: WARM_READ,
  get: WARM_READ,
  /** Behind an apply: the new manifest, if it is an object, and the new segment. */
  searchAfterApply: requests({ ...WARM_READ, s3Reads: 2, objectSteps: 2 }),
  /** A fresh environment and three small segments, with the password of its first request. */
  searchCold: requests({
    s3Reads: 3,
    readUnits: 3,
    globalReadUnits: 4,
    tableSteps: 6,
    objectSteps: 1,
  }),
  /** Once a minute, user and environment. */
  verifyPassword: requests({ globalReadUnits: 1, tableSteps: 1 }),
  /** A run of the schedule where there is no collection: the catalog, and the list of parked shards. */
  compactRun: requests({ readUnits: 1, globalReadUnits: 1, tableSteps: 2 }),
  /** What an idle shard adds to it: two looks at its head. */
  compactShard: requests({ readUnits: 2, tableSteps: 2 }),
  /** Collections in two states, pins, and a listing of what snapshots left. */
  collectRun: requests({
    s3Writes: 1,
    readUnits: 2,
    globalReadUnits: 2,
    tableSteps: 4,
    objectSteps: 1,
  }),
  /** Head, and when to look around again. */
  collectShard: requests({ readUnits: 2, tableSteps: 2 }),
  /** ... which is at once where the shard has changed: four listings. */
  collectLook: requests({
    s3Writes: 4,
    readUnits: 3,
    writeUnits: 1,
    tableSteps: 4,
    objectSteps: 4,
  }),
  /** The catalog, and when pins were read. */
  scrubRun: requests({ readUnits: 1, globalReadUnits: 1, tableSteps: 2 }),
  /** When it was read. */
  scrubShard: requests({ readUnits: 1, tableSteps: 1 }),
} as const satisfies Record<string, Requests>;

export type ActName = keyof typeof ACTS;

/** JSON text of a component as clients send it: a float32 written out as a number of double precision. */
export const TEXT_BYTES_PER_COMPONENT = 20;
/** The reply to a search for ten rows, keys and distances. */
export const SEARCH_REPLY_BYTES = 387;
/** The line of embedded metrics, which is all that an ordinary request writes at level `info`. */
export const METRICS_LOG_BYTES = 261;
/** START, END and REPORT of an invocation, as Lambda writes them. */
export const INVOCATION_LOG_BYTES = 264;
/** A line of the HTTP API's access log. */
export const ACCESS_LOG_BYTES = 264;
