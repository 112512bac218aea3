/**
 * What the same month costs elsewhere, by the formulas and prices that each vendor publishes. List
 * prices of AWS us-east-1, without taxes, support and agreements; rows are a key and a vector.
 */
export type PeerWorkload = Readonly<{
  rows: number;
  dim: number;
  writesPerMonth: number;
  rowsPerWrite: number;
  queriesPerMonth: number;
}>;

export type Peer = Readonly<{
  name: string;
  /** Of a month; undefined where a price that it needs was not found. */
  dollars: number | undefined;
  note: string;
  source: string;
  seen: string;
}>;

const KEY_BYTES = 8;
const GB = 1e9;
const MILLION = 1e6;

export function peersOf(workload: PeerWorkload): readonly Peer[] {
  const vectorBytes = workload.dim * 4 + KEY_BYTES;
  const stored = workload.rows * vectorBytes;
  const sizes: Sizes = { ...workload, vectorBytes, stored };
  return [s3Vectors(sizes), turbopuffer(sizes), pinecone(sizes), zilliz(sizes)];
}

type Sizes = PeerWorkload & Readonly<{ vectorBytes: number; stored: number }>;

/**
 * Data processed is the size of all vectors of an index, for every query. Its two rates are recalled;
 * with the other three they give AWS's published example ($11.38 for ten million vectors in 40 indexes).
 */
const S3_VECTORS = {
  storage: 0.06,
  put: 0.2,
  putBytesMin: 128 * 1024,
  query: 2.5,
  processedFirst: 0.004,
  processedFirstRows: 100_000,
  processed: 0.002,
  rowsOfDiscount: 10_000_000,
} as const;

function s3Vectors({ rows, stored, vectorBytes, ...sizes }: Sizes): Peer {
  const rates = S3_VECTORS;
  const written =
    sizes.writesPerMonth * Math.max(rates.putBytesMin, sizes.rowsPerWrite * vectorBytes);
  const first = Math.min(rows, rates.processedFirstRows) * vectorBytes;
  const rest = Math.max(0, rows - rates.processedFirstRows) * vectorBytes;
  const terabyte = 1024 ** 4;
  const processed = (first * rates.processedFirst + rest * rates.processed) / terabyte;
  return {
    name: 'S3 Vectors',
    dollars:
      (stored / 1024 ** 3) * rates.storage +
      (written / 1024 ** 3) * rates.put +
      sizes.queriesPerMonth * (rates.query / MILLION + processed),
    note:
      rows > rates.rowsOfDiscount
        ? 'one index; since June 2026 up to 80 % less is processed above 10 million vectors, which is not in this figure'
        : 'one index; about 100 ms warm',
    source: 'https://aws.amazon.com/s3/pricing/',
    seen: '2026-09',
  };
}

const TURBOPUFFER = {
  storage: 0.33,
  write: 2,
  writeBytesMin: 10_000,
  queried: 1,
  queriedBytesMin: 1.28 * GB,
  minimum: 16,
} as const;

function turbopuffer({ stored, vectorBytes, ...sizes }: Sizes): Peer {
  const rates = TURBOPUFFER;
  const written =
    sizes.writesPerMonth * Math.max(rates.writeBytesMin, sizes.rowsPerWrite * vectorBytes);
  const queried = Math.max(rates.queriedBytesMin, discounted(stored));
  const dollars =
    (stored / GB) * rates.storage +
    (written / GB) * rates.write +
    sizes.queriesPerMonth * (queried / 1e15) * rates.queried;
  return {
    name: 'turbopuffer',
    dollars: Math.max(rates.minimum, dollars),
    note: `Launch, from $${rates.minimum}; one namespace, without the discount for batches of up to half of the writes`,
    source: 'https://turbopuffer.com/pricing.md',
    seen: '2026-11',
  };
}

/** Between 32 and 128 GB a fifth counts, above that a twenty-fifth. */
const discounted = (bytes: number): number =>
  Math.min(bytes, 32 * GB) +
  Math.min(Math.max(0, bytes - 32 * GB), 96 * GB) * 0.2 +
  Math.max(0, bytes - 128 * GB) * 0.04;

const PINECONE = {
  storage: 0.33,
  readUnit: 16,
  writeUnit: 4,
  readUnitsMin: 0.25,
  writeUnitsMin: 5,
  minimum: 50,
} as const;

function pinecone({ stored, vectorBytes, ...sizes }: Sizes): Peer {
  const rates = PINECONE;
  const each = Math.max(rates.writeUnitsMin, sizes.rowsPerWrite * Math.ceil(vectorBytes / 1000));
  const reads = sizes.queriesPerMonth * Math.max(rates.readUnitsMin, stored / GB);
  const dollars =
    (stored / GB) * rates.storage +
    (sizes.writesPerMonth * each * rates.writeUnit) / MILLION +
    (reads * rates.readUnit) / MILLION;
  return {
    name: 'Pinecone serverless',
    dollars: Math.max(rates.minimum, dollars),
    note: `Standard, on demand, from $${rates.minimum}; one namespace`,
    source: 'https://www.pinecone.io/pricing/',
    seen: '2026-11',
  };
}

/** Writes are published; how many units a search takes, and the price of storage, were not found. */
const ZILLIZ = { unit: 4, unitsPerKb: 0.25 } as const;

function zilliz({ vectorBytes, ...sizes }: Sizes): Peer {
  const kilobytes = (sizes.writesPerMonth * sizes.rowsPerWrite * vectorBytes) / 1024;
  const writes = (kilobytes * ZILLIZ.unitsPerKb * ZILLIZ.unit) / MILLION;
  return {
    name: 'Zilliz Cloud serverless',
    dollars: undefined,
    note: `writes $${writes.toFixed(2)}; units of a search and the price of storage not found`,
    source: 'https://docs.zilliz.com/docs/serverless-cluster-cost',
    seen: '2026-11',
  };
}
