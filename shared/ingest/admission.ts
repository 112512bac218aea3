/**
 * Admission: a write is refused while its shard's tail is too long, before anything is logged.
 *
 * Reads scan the tail exactly and load its payloads, so its length is every read's cost; and a tail
 * that only grows means that apply is not running, which must be said, not hidden.
 */
import { StoreError } from '#base/errors.ts';
import { readManifest } from '#manifest/head.ts';
import type { Clock } from '#ports/clock.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import { whyParked } from '#wal/parked.ts';
import { type ShardId, shardName } from '#wal/shard.ts';
import { readTailPage, type TailEntry } from '#wal/tail.ts';

export type TailCaps = Readonly<{
  /** Records: `readTail` stops at 64,000, so that what is in flight while we look still fits. */
  entries: number;
  /** A scan of 100,000 rows of 768 dimensions takes about 0.1 s in plain JavaScript. */
  rows: number;
  /** Payload bytes that a reader has to load: 40,000 rows of 768 dimensions. */
  bytes: number;
  /** Apply runs about once a second; after ten minutes it is stuck. */
  ageMs: number;
}>;

export const TAIL_CAPS: TailCaps = {
  entries: 20_000,
  rows: 100_000,
  bytes: 128 * 1024 * 1024,
  ageMs: 10 * 60_000,
};

/** A sample of the tail is believed for this long; what this process adds is counted exactly. */
const SAMPLE_MS = 250;
/** Rows of a sample: at most 64 x 8 KiB of inline payloads, and usually the whole tail. */
const SAMPLE_ENTRIES = 64;
/** Shards whose samples are kept; the one not used for longest goes first. 200 bytes each. */
const SHARDS_MAX = 4_096;

type Load = { entries: number; rows: number; bytes: number };
type Sample = {
  readonly takenMs: number;
  readonly oldestMs: number | undefined;
  readonly load: Load;
};
type AdmissionPorts = Readonly<{ objects: ObjectStore; table: Table; clock: Clock }>;

/** Lives as long as the process: samples serve all writes of a shard until they are too old. */
export class Admission {
  readonly #caps: TailCaps;
  readonly #samples = new Map<string, Promise<Sample>>();

  constructor(caps: TailCaps = TAIL_CAPS) {
    this.#caps = caps;
  }

  /**
   * Lets a write of `rows` rows and tombstones and `bytes` payload bytes through, and counts it.
   *
   * @param newest the newest entry of the tail as just read
   * @throws StoreError `OVERLOADED`, which names the cap that is exceeded
   */
  async admit(
    ports: AdmissionPorts,
    shard: ShardId,
    newest: TailEntry | undefined,
    write: Readonly<{ rows: number; bytes: number }>,
  ): Promise<void> {
    const sample = await this.#sampled(ports, shard, newest);
    const beyond = beyondCaps(this.#caps, sample, ports.clock.nowMs());
    if (beyond !== undefined) throw await refusal(ports, shard, beyond);
    sample.load.entries += 1;
    sample.load.rows += write.rows;
    sample.load.bytes += write.bytes;
  }

  async #sampled(
    ports: AdmissionPorts,
    shard: ShardId,
    newest: TailEntry | undefined,
  ): Promise<Sample> {
    const name = shardName(shard);
    const nowMs = ports.clock.nowMs();
    const known = this.#samples.get(name);
    const sample = known === undefined ? undefined : await known;
    if (sample !== undefined && nowMs - sample.takenMs < SAMPLE_MS) return sample;
    const other = this.#samples.get(name);
    // Somebody else began a new sample while this one was awaited.
    if (other !== undefined && other !== known) return other;
    const taken = takeSample(ports, shard, newest);
    this.#samples.delete(name);
    this.#samples.set(name, taken);
    for (const oldest of this.#samples.keys()) {
      if (this.#samples.size <= SHARDS_MAX) break;
      this.#samples.delete(oldest);
    }
    // A sample that could not be taken must not be believed by the next one.
    taken.catch(() => this.#samples.get(name) === taken && this.#samples.delete(name));
    return taken;
  }
}

/**
 * Looks at the oldest entries that the manifest does not cover. Where there are more than the sample
 * takes, the rest is reckoned to be as dense in time as those, up to the newest.
 */
async function takeSample(
  ports: AdmissionPorts,
  shard: ShardId,
  newest: TailEntry | undefined,
): Promise<Sample> {
  const takenMs = ports.clock.nowMs();
  const none = { takenMs, oldestMs: undefined, load: { entries: 0, rows: 0, bytes: 0 } };
  if (newest === undefined) return none;
  const { manifest } = await readManifest(ports, shard);
  if (newest.position <= manifest.applied) return none;
  const entries = await readTailPage(ports.table, shard, manifest.applied, SAMPLE_ENTRIES);
  const first = entries[0];
  const last = entries.at(-1);
  if (first === undefined || last === undefined) return none;
  const load = { entries: 0, rows: 0, bytes: 0 };
  for (const entry of entries) {
    load.entries += 1;
    load.rows += entry.rows + entry.tombstones;
    load.bytes += payloadBytes(entry);
  }
  if (entries.length === SAMPLE_ENTRIES) {
    const sampledMs = Math.max(1, last.arrivalMs - first.arrivalMs);
    const factor = Math.max(1, (newest.arrivalMs - first.arrivalMs) / sampledMs);
    load.entries *= factor;
    load.rows *= factor;
    load.bytes *= factor;
  }
  return { takenMs, oldestMs: first.arrivalMs, load };
}

const payloadBytes = ({ payload }: TailEntry): number =>
  payload.at === 'inline' ? payload.bytes.length : payload.sizeBytes;

/** The cap that is exceeded, and by what. */
function beyondCaps(caps: TailCaps, { load, oldestMs }: Sample, nowMs: number): string | undefined {
  const ageMs = oldestMs === undefined ? 0 : nowMs - oldestMs;
  return load.entries >= caps.entries
    ? `about ${Math.round(load.entries)} records of at most ${caps.entries}`
    : load.rows >= caps.rows
      ? `about ${Math.round(load.rows)} rows of at most ${caps.rows}`
      : load.bytes >= caps.bytes
        ? `about ${Math.round(load.bytes)} bytes of at most ${caps.bytes}`
        : ageMs > caps.ageMs
          ? `a record that waits for ${ageMs} ms, at most ${caps.ageMs}`
          : undefined;
}

async function refusal(
  { table }: AdmissionPorts,
  shard: ShardId,
  beyond: string,
): Promise<StoreError> {
  const why = (await whyParked(table, shard)) ?? 'try again later';
  return new StoreError(
    'OVERLOADED',
    `shard ${shardName(shard)} has ${beyond} that are not applied yet; nothing was written, ${why}`,
  );
}
