/** Bodies of our own control plane, /v2/clusters/: there a member that nobody knows is refused. */
import { collection, database, named } from './read-spec.ts';
import {
  FINE,
  flag,
  isAbsent,
  optional,
  refused,
  required,
  type Spec,
  strictRequest,
} from './spec.ts';
import { type Subject, subject } from './subject.ts';
import { NAMES } from './texts.ts';

/** The record of shard 0 of `bare` that was set aside, and what is kept of it (world.ts). */
export const ASIDE = { collectionName: 'bare', shard: 0, sequence: '7', bytes: 12 } as const;

const writes = true;
const main = { dbName: 'default', collectionName: 'main' } as const;

/** A name that must be one, and must be there. */
const strictName: Spec = optional((value, name) => {
  if (typeof value !== 'string') return refused(1801, name);
  if (value === '') return refused(1802, name);
  const isName = value.length <= 255 && /^[A-Za-z_][A-Za-z0-9_]*$/.test(value);
  if (!isName) return refused(1100, name);
  return EXISTS.has(value) ? FINE : refused(100, 'collection');
});
const EXISTS = new Set([
  'main',
  'keys',
  'auto',
  'bare',
  'indexed',
  'unindexed',
  'victim',
  'toggled',
]);
/** Here what is not there has nothing to tell. */
const anyName: Spec = optional((value, name) => {
  if (typeof value !== 'string') return refused(1801, name);
  if (value === '') return refused(1802, name);
  return value.length > 255 ? refused(1100, name) : FINE;
});
const shard: Spec = optional((value, name) =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 15
    ? value === 0
      ? FINE
      : refused(1100, name)
    : refused([1801, 1100], name),
);
const own: Spec = (value, name) => {
  const found = named([...EXISTS], 100)(value, name);
  return found.length > 0 || value === ASIDE.collectionName ? found : refused(1100, 'sequence');
};
const sequence: Spec = (value, name) => {
  if (isAbsent(value)) return refused(1802, name);
  if (typeof value !== 'string') return refused(1801, name);
  return value === ASIDE.sequence ? FINE : refused([1100, 1801], name);
};
const record = { dbName: database, collectionName: own, shard: required(shard), sequence } as const;
const ASIDE_BODY = {
  dbName: 'default',
  collectionName: ASIDE.collectionName,
  shard: ASIDE.shard,
  sequence: ASIDE.sequence,
} as const;

const texts = {
  collectionName: ['"bare"', '"indexed"', '"toggled"', ...NAMES.slice(3)],
  shard: ['0', '1', '15', '16', '-1', '"0"', '0.5', '2147483648'],
  sequence: [
    '7',
    '"7"',
    '"07"',
    '"8"',
    '"-7"',
    '"7 "',
    '""',
    `"${'9'.repeat(56)}"`,
    `"${'9'.repeat(57)}"`,
  ],
  part: ['"record"', '"payload"', '"Record"', '""'],
  offset: ['0', '5', '12', '13', '-1', '1.5', '9007199254740991', '9007199254740992', '"0"'],
} as const;
/** Misspelt, and taken for left out, each of these would do another thing than it says. */
const extras = { fulll: 'true', collection: '"main"', shards: '0', force: 'true' };

const PATH = '/v2/clusters';

export const CLUSTER_SUBJECTS: readonly Subject[] = [
  subject(
    `${PATH}/inspect`,
    main,
    strictRequest({ dbName: database, collectionName: strictName }),
    {
      texts,
      extras,
    },
  ),
  subject(
    `${PATH}/scrub`,
    { ...main, full: true },
    strictRequest({ dbName: database, collectionName: strictName, full: flag }),
    { texts, extras },
  ),
  subject(
    `${PATH}/parked/list`,
    main,
    strictRequest({ dbName: database, collectionName: anyName }),
    { texts, extras },
  ),
  subject(
    `${PATH}/parked/replay`,
    { ...main, shard: 0 },
    strictRequest({ dbName: database, collectionName: collection, shard }),
    { writes, texts: { ...texts, collectionName: NAMES.slice(3) }, extras },
  ),
  subject(`${PATH}/parked/set_aside`, ASIDE_BODY, strictRequest(record), {
    writes,
    texts,
    extras,
  }),
  subject(
    `${PATH}/parked/export`,
    { ...ASIDE_BODY, part: 'record', offset: 0 },
    strictRequest({
      ...record,
      part: (value, name) => {
        if (isAbsent(value)) return refused(1802, name);
        return value === 'record' || value === 'payload' ? FINE : refused([1801, 1100], name);
      },
      offset: optional((value, name) =>
        typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
          ? FINE
          : refused([1801, 1100], name),
      ),
    }),
    { texts, extras },
  ),
];
