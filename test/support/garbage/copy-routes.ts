/** Bodies of snapshots/*, jobs/snapshot/*, collections/clone and collections/truncate. */
import { description, newName } from './definition-spec.ts';
import { EXISTING } from './fixture-rows.ts';
import { collection, database, named } from './read-spec.ts';
import {
  type Complaints,
  FINE,
  integer,
  isAbsent,
  optional,
  refused,
  request,
  required,
  type Spec,
} from './spec.ts';
import { type Subject, subject } from './subject.ts';
import { NAMES } from './texts.ts';

/** The snapshot of `main` that is always there, and the restore that once was. */
export const KEPT = 'kept';
export const KNOWN_JOB = 7;

const writes = true;
const main = { dbName: 'default', collectionName: 'main' } as const;
const every = [...EXISTING, 'victim', 'toggled'];

/** A snapshot that is looked up; what it is of is not looked up by itself, since it may be gone. */
const looked: Spec = (value, name) => {
  if (isAbsent(value)) return refused(1802, name);
  if (typeof value !== 'string') return refused(1801, name);
  if (value === '') return refused(1802, name);
  return value.length > 255 ? refused(1100, name) : FINE;
};
const kept = (of: string) => (given: ReadonlyMap<string, unknown>) =>
  given.get(of) === 'main' && given.get('snapshotName') === KEPT ? FINE : refused(2600, 'snapshot');
const snapshotOf = (more: Readonly<Record<string, Spec>> = {}): Spec =>
  request(
    { dbName: database, collectionName: looked, snapshotName: looked, ...more },
    kept('collectionName'),
  );

/** A name to be given: of its form, and free. */
const fresh =
  (what: string, taken: readonly string[]): Spec =>
  (value, name) => {
    if (isAbsent(value)) return refused(1802, name);
    const found = newName(1100, `${what} name`)(value, name);
    if (found.length > 0) return found;
    return taken.includes(String(value)) ? refused(1100, 'already exists') : FINE;
  };
const target = fresh('collection', every);
/** Numbers that name something, exact in JSON. */
const number: Spec = (value, name) => {
  if (isAbsent(value)) return refused(1802, name);
  if (typeof value === 'bigint') return refused([1801, 1100], name);
  if (typeof value !== 'number' || !Number.isInteger(value)) return refused(1801, name);
  if (!Number.isSafeInteger(value)) return refused([1801, 1100], name);
  return value >= 1 ? FINE : refused(1100, name);
};
const job: Spec = (value, name): Complaints => {
  const found = number(value, name);
  return found.length > 0 || value === KNOWN_JOB ? found : refused(1100, name);
};
/** Of another collection there is nothing to tell. */
const anyName: Spec = optional((value, name) => {
  if (typeof value !== 'string') return refused(1801, name);
  if (value === '') return refused(1802, name);
  return value.length > 255 ? refused(1100, name) : FINE;
});

const NAME_TEXTS = {
  collectionName: ['"keys"', '"bare"', ...NAMES.slice(3)],
  sourceCollectionName: ['"keys"', '"bare"', ...NAMES.slice(3)],
  targetCollectionName: ['"main"', '"made_2"', '"1made"', '"a-b"', ...NAMES.slice(4)],
  snapshotName: [`"${KEPT}"`, '"KEPT"', '"kept "', '"1st"', '"a-b"', '"a/b"', ...NAMES.slice(5)],
  ttlSeconds: ['0', '-1', '1', '2592000', '2592001', '2147483647', '2147483648', '"5"', '1.5'],
  pinId: ['0', '-1', '1', '9007199254740991', '9007199254740992', '"5"', '1.5'],
  jobId: ['0', '-1', '1', '7', '8', '9007199254740991', '9007199254740992', '"7"', '7.0'],
} as const;
const texts = NAME_TEXTS;

export const COPY_SUBJECTS: readonly Subject[] = [
  subject(
    'collections/truncate',
    { ...main, collectionName: 'victim' },
    request({ dbName: database, collectionName: named(['victim'], 100) }),
    { writes, texts: { collectionName: NAMES.slice(3) } },
  ),
  subject(
    'collections/clone',
    { ...main, targetCollectionName: 'made' },
    request({ dbName: database, collectionName: collection, targetCollectionName: target }),
    { writes, texts },
  ),
  subject(
    'snapshots/create',
    {
      ...main,
      snapshotName: 'fresh',
      description: 'before the move',
      compactionProtectionSeconds: 60,
    },
    request(
      {
        dbName: database,
        collectionName: collection,
        snapshotName: fresh('snapshot', []),
        description,
        compactionProtectionSeconds: integer(-(2 ** 31), 2 ** 31 - 1),
      },
      (given) =>
        given.get('collectionName') === 'main' && given.get('snapshotName') === KEPT
          ? refused(1100, 'already exists')
          : FINE,
    ),
    { writes, texts },
  ),
  subject('snapshots/list', main, request({ dbName: database, collectionName: anyName })),
  subject('snapshots/describe', { ...main, snapshotName: KEPT }, snapshotOf(), { texts }),
  subject('snapshots/drop', { ...main, snapshotName: KEPT }, snapshotOf(), { writes, texts }),
  subject(
    'snapshots/pin',
    { ...main, snapshotName: KEPT, ttlSeconds: 60 },
    snapshotOf({ ttlSeconds: required(integer(1, 30 * 24 * 3600)) }),
    { writes, texts },
  ),
  subject(
    'snapshots/unpin',
    { dbName: 'default', pinId: 5 },
    request({ dbName: database, pinId: number }),
    { texts },
  ),
  subject(
    'snapshots/restore',
    {
      dbName: 'default',
      snapshotName: KEPT,
      sourceCollectionName: 'main',
      targetCollectionName: 'made',
    },
    request(
      {
        dbName: database,
        snapshotName: looked,
        sourceCollectionName: looked,
        targetCollectionName: target,
      },
      kept('sourceCollectionName'),
    ),
    { writes, texts },
  ),
  subject(
    'jobs/snapshot/describe',
    { dbName: 'default', jobId: KNOWN_JOB },
    request({ dbName: database, jobId: job }),
    { texts },
  ),
  subject('jobs/snapshot/list', main, request({ dbName: database, collectionName: anyName })),
];
