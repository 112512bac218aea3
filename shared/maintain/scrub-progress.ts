/**
 * How far the scrub of a shard has come: one row, so that a shard of any size is read over many runs.
 *
 * Segments never change, so the sum of each is taken once in a pass and kept here; the pass is over when
 * all that the head names at one moment was read, and then their sums make its `held`.
 */
import * as z from 'zod';
import { utf8 } from '#base/bytes.ts';
import { isStoreError } from '#base/errors.ts';
import { canonicalJson, type Json } from '#base/json.ts';
import type { RowKey, Table } from '#ports/table.ts';
import { NO_FINDINGS } from './scrub-findings.ts';

const Count = z.int().min(0);
const StoredFinding = z.object({ key: z.string(), what: z.string() });

const StoredFindings = z.object({
  objects: Count,
  bytes: Count,
  rows: Count,
  requests: Count,
  damaged: z.array(StoredFinding).readonly(),
  missing: z.array(StoredFinding).readonly(),
});

const StoredOrphans = z.object({
  objects: Count,
  bytes: Count,
  oldestMs: Count.exactOptional(),
});

const StoredProgress = z.object({
  format: z.literal(1),
  startedMs: Count,
  /** Absent while the pass is under way. */
  finishedMs: Count.exactOptional(),
  found: StoredFindings,
  /** What nothing names; absent until the end, and where an open pin hid it. */
  orphans: StoredOrphans.exactOptional(),
  /** Objects that were read, and the sums of those that have one. */
  known: z.record(z.string(), z.string()),
});

export type Progress = Readonly<z.output<typeof StoredProgress>>;
export type Orphans = Readonly<z.output<typeof StoredOrphans>>;
export type ProgressRow = Readonly<{ progress: Progress; version: number }>;

/**
 * Objects that a row remembers: of about 110 bytes each 165 KB, beside 60 KB of findings. A shard of
 * 1 TB has some 1,000 large segments; of more objects the smallest are read again in the next run.
 */
export const KNOWN_MAX = 1_500;

export const freshProgress = (startedMs: number): Progress => ({
  ...{ format: 1, startedMs, found: NO_FINDINGS, known: {} },
});

export async function readProgress(table: Table, key: RowKey): Promise<ProgressRow | undefined> {
  const row = await table.get(key);
  if (row === undefined) return undefined;
  try {
    const stored = JSON.parse(Buffer.from(row.value).toString('utf8'));
    return { progress: StoredProgress.parse(stored), version: row.version };
  } catch {
    // Nothing depends on it but work: a new pass begins, with a row of a version that is free.
    return undefined;
  }
}

/** Where somebody else scrubs the same shard, the last word counts: both have read what they say. */
export async function writeProgress(table: Table, key: RowKey, progress: Progress): Promise<void> {
  try {
    // Plain data throughout, hence JSON.
    await table.put(key, utf8(canonicalJson(progress as Json)));
  } catch (error) {
    // Then the next run does this one's work again.
    if (!isStoreError(error, 'UNCERTAIN')) throw error;
  }
}
