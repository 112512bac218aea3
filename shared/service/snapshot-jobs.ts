/** Restores that were done, as rows of the regional table: clients ask for a job's state by its id. */
import * as z from 'zod';
import { utf8 } from '#base/bytes.ts';
import { StoreError } from '#base/errors.ts';
import { canonicalJson, type Json } from '#base/json.ts';
import type { Row, RowKey, Table } from '#ports/table.ts';

const StoredJob = z.object({
  jobId: z.int().min(1),
  snapshotName: z.string(),
  dbName: z.string(),
  collectionName: z.string(),
  startMs: z.int(),
  timeCost: z.int(),
});
export type SnapshotJob = Readonly<z.output<typeof StoredJob>>;

const PARTITION = 'jobs/snapshot';
/** Jobs that are kept: a listing is one page. */
const JOBS_MAX = 1000;

/** Ids grow with time; 16 digits sort as text. */
const jobKey = (jobId: number): RowKey => ({
  partition: PARTITION,
  sort: String(jobId).padStart(16, '0'),
});

/** Keeps the job, and forgets the oldest where there are more than {@link JOBS_MAX}. */
export async function putJob(table: Table, job: SnapshotJob): Promise<void> {
  // Plain data, hence JSON.
  await table.put(jobKey(job.jobId), utf8(canonicalJson(job as Json)));
  const rows = await table.query(PARTITION, { limit: JOBS_MAX });
  if (rows.length === JOBS_MAX && rows[0] !== undefined) await table.delete(rows[0]);
}

export async function readJob(table: Table, jobId: number): Promise<SnapshotJob | undefined> {
  const row = await table.get(jobKey(jobId));
  return row === undefined ? undefined : parseJob(row);
}

/** The youngest first. */
export async function readJobs(table: Table): Promise<SnapshotJob[]> {
  const rows = await table.query(PARTITION, { reverse: true, limit: JOBS_MAX });
  return rows.map(parseJob);
}

function parseJob({ sort, value }: Row): SnapshotJob {
  try {
    return StoredJob.parse(JSON.parse(Buffer.from(value).toString('utf8')));
  } catch (cause) {
    throw new StoreError('DATA_CORRUPT', `the job ${sort} is damaged`, { cause });
  }
}
