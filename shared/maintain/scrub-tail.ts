/** The tail: every payload that a row names is there and is what its writer put. */
import { isStoreError } from '#base/errors.ts';
import type { RecordPosition } from '#base/position.ts';
import { readManifest } from '#manifest/head.ts';
import type { Table } from '#ports/table.ts';
import { loadPayload } from '#wal/payload.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import { readTailPage, type TailEntry } from '#wal/tail.ts';
import type { Findings } from './scrub-findings.ts';

const PAGE_ROWS = 1_000;
/** 64,000 records: more than any read would take. */
const PAGES_MAX = 64;

export async function scrubTail(
  findings: Findings,
  table: Table,
  shard: ShardId,
  applied: RecordPosition,
): Promise<void> {
  const { objects } = findings;
  let after = applied;
  for (let page = 1; page <= PAGES_MAX; page++) {
    const where = `${shardName(shard)} tail`;
    const entries = await findings.attempt(where, () =>
      readTailPage(table, shard, after, PAGE_ROWS),
    );
    for (const entry of entries ?? []) {
      try {
        await scrubEntry(findings, where, entry);
      } catch (error) {
        if (!isStoreError(error, 'OBJECT_NOT_FOUND')) throw error;
        // Applied since, and collected: then the head has passed it.
        const { manifest } = await readManifest({ objects, table }, shard);
        if (manifest.applied < entry.position) findings.missing(keyOf(entry, where), error.message);
      }
    }
    after = entries?.at(-1)?.position ?? after;
    if (entries === undefined || entries.length < PAGE_ROWS) return;
  }
}

const keyOf = ({ payload, position }: TailEntry, where: string): string =>
  payload.at === 'object' ? payload.key : `${where}/${position}`;

async function scrubEntry(findings: Findings, where: string, entry: TailEntry): Promise<void> {
  const key = keyOf(entry, where);
  if (entry.payload.at === 'object') findings.verified();
  await findings.attempt(key, async () => {
    const { rows, tombstones } = await loadPayload(findings.objects, entry.payload);
    findings.check(
      key,
      rows.count === entry.rows && tombstones.bounds.length === entry.tombstones,
      `${rows.count} rows and ${tombstones.bounds.length} tombstones, its tail row says ${entry.rows} and ${entry.tombstones}`,
    );
  });
}
