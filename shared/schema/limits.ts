/** The limits of the Milvus surface, as its server has them by default, and our own beside them. */

/** Characters of a collection, field, alias, database, index, partition, role or user name. */
export const NAME_CHARS_MAX = 255;
/** Collection, field, alias, database, index, role and user names. */
export const NAME_PATTERN = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Partition names may also start with a digit and contain a hyphen. */
export const PARTITION_NAME_PATTERN = /^[A-Za-z0-9_][A-Za-z0-9_-]*$/;
export const DESCRIPTION_BYTES_MAX = 1024;

export const FIELDS_MAX = 64;
export const VECTOR_FIELDS_MAX = 10;
export const DIM_MIN = 2;
export const DIM_MAX = 32_768;
/** Bytes of a VarChar value: the largest `max_length`. */
export const MAX_LENGTH_MIN = 1;
export const MAX_LENGTH_MAX = 65_535;
/** Bytes of the canonical text of one JSON value, or of all dynamic keys of one row. */
export const JSON_BYTES_MAX = 65_536;

export const SHARDS_MAX = 16;
export const PARTITIONS_MAX = 1024;
export const COLLECTIONS_MAX = 65_536;
export const DATABASES_MAX = 64;

/** Largest `limit`, and largest `limit + offset`. */
export const LIMIT_MAX = 16_384;
/** Query vectors of one search. */
export const NQ_MAX = 16_384;
export const GROUP_SIZE_MAX = 10;
export const REQUEST_BYTES_MAX = 64 * 1024 * 1024;
export const RESULT_BYTES_MAX = 100 * 1024 * 1024;
export const PASSWORD_CHARS_MIN = 6;
export const PASSWORD_CHARS_MAX = 72;

export const INT64_MIN = -(2n ** 63n);
export const INT64_MAX = 2n ** 63n - 1n;
/** JSON integers may also be unsigned. */
export const UINT64_MAX = 2n ** 64n - 1n;
