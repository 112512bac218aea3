/** How a function's memory is divided. Pure arithmetic; `docs/aws.md` shows it with numbers. */

const MIB = 1024 * 1024;

/**
 * Node with a bundle and its SDK 150 MB; a request and its reply of 6 MB in several forms, a tail of
 * some MiB for each of the shards asked, the candidates and rows of a search, two pieces of 8 MiB of
 * a graph that is being loaded: 300 MB together; the rest is what garbage waits for its collection.
 */
const RESERVED_BYTES = 512 * MIB;
/** What is left below that is divided as if it were this much: a small function reads slowly, but reads. */
const DIVIDED_BYTES_MIN = 64 * MIB;

export type ReadMemory = Readonly<{ cacheBytes: number; graphBytes: number }>;

/** Caches of a function that reads: a quarter for columns, three for graphs, which are the faster search. */
export function readMemory(memoryMb: number): ReadMemory {
  const divided = Math.max(DIVIDED_BYTES_MIN, memoryMb * MIB - RESERVED_BYTES);
  return { cacheBytes: Math.floor(divided / 4), graphBytes: Math.floor((divided * 3) / 4) };
}

/** Of a function that reads only to find what a filter deletes, or to describe: no graphs. */
export const scanMemory = (memoryMb: number): ReadMemory => ({
  cacheBytes: readMemory(memoryMb).cacheBytes,
  graphBytes: 0,
});

/** Sections of its inputs that a merge keeps (`maintain/compact`), and parts of an upload on their way. */
const MERGE_BYTES = 128 * MIB;
/**
 * A graph that is built holds the vectors once and itself twice: the library's, freed before the
 * object is put together, then the object's bytes in the container and as read back.
 */
const COPIES_OF_BUILD = 3;

/** The largest segment, in bytes, that a function of this size merges, and whose graph it builds. */
export const segmentBytesFor = (memoryMb: number): number =>
  Math.floor(
    Math.max(DIVIDED_BYTES_MIN, memoryMb * MIB - RESERVED_BYTES - MERGE_BYTES) / COPIES_OF_BUILD,
  );

/** A body of this many bytes, decoded, parsed and encoded again, takes about this many times as much. */
const COPIES_OF_BODY = 8;
const BODY_BYTES_MAX = 64 * MIB;
const BODY_BYTES_MIN = 8 * MIB;

/** What a body may be unpacked to: as much as locally, or less in a small function. */
export const bodyBytesFor = (memoryMb: number): number =>
  Math.min(
    BODY_BYTES_MAX,
    Math.max(BODY_BYTES_MIN, Math.floor((memoryMb * MIB - RESERVED_BYTES / 2) / COPIES_OF_BODY)),
  );
