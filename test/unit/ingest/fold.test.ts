import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { recordPosition } from '#base/position.ts';
import {
  type FoldedRecord,
  type FoldState,
  fold,
  ID_WINDOW_MS,
  type LogRecord,
  type Remembered,
} from '#ingest/fold.ts';
import type { FenceBody, WalRecord } from '#wal/record.ts';

const START: FoldState = {
  applied: '',
  logTimeMs: 0,
  fenceNumber: 1,
  epoch: 1,
  generation: 1,
  state: 'open',
  schemaVersion: 1,
};
const NOTHING: Remembered = () => undefined;

const write = (id: string, overrides: Partial<WalRecord> = {}): WalRecord => ({
  recordId: id,
  collectionId: 7,
  shard: 0,
  deadlineMs: 1_000_000_000,
  epoch: 1,
  fenceNumber: 1,
  schemaVersion: 1,
  body: {
    kind: 'write',
    rows: 1,
    tombstones: 0,
    payload: { at: 'inline', bytes: new Uint8Array() },
  },
  ...overrides,
});

const fence = (
  fenceNumber: number,
  body: Partial<FenceBody> = {},
  overrides: Partial<WalRecord> = {},
) =>
  write(`fence ${fenceNumber}`, {
    fenceNumber,
    body: { kind: 'fence', action: 'seal', generation: 1, state: 'open', ...body },
    ...overrides,
  });

const log = (...records: readonly WalRecord[]): LogRecord[] =>
  records.map((record, index) => ({ record, sequence: String(index + 1), arrivalMs: 100 + index }));

const verdicts = (records: readonly FoldedRecord[]): string[] =>
  records.map(({ verdict }) => verdict);

describe('verdicts', () => {
  test.each<[string, WalRecord[], string[]]>([
    ['writes take effect', [write('a'), write('b')], ['effective', 'effective']],
    [
      'a record id takes effect once',
      [write('a'), write('b'), write('a')],
      ['effective', 'effective', 'duplicate'],
    ],
    ['a record past its deadline is void', [write('a', { deadlineMs: 99 })], ['void']],
    ['a record at its deadline is not', [write('a', { deadlineMs: 100 })], ['effective']],
    [
      'a void id is not remembered',
      [write('a', { deadlineMs: 99 }), write('a')],
      ['void', 'effective'],
    ],
    [
      'a lower number behind a fence is void',
      [fence(2), write('a'), write('b', { fenceNumber: 2 })],
      ['effective', 'void', 'effective'],
    ],
    [
      'a fence takes effect once, by its number',
      [fence(3), fence(3), fence(2)],
      ['effective', 'duplicate', 'duplicate'],
    ],
    [
      'a lower epoch is void',
      [
        fence(2, { action: 'promote' }, { epoch: 2 }),
        write('a', { fenceNumber: 2 }),
        write('b', { fenceNumber: 2, epoch: 2 }),
      ],
      ['effective', 'void', 'effective'],
    ],
    [
      'a fence never takes the epoch back',
      [fence(2, {}, { epoch: 3 }), fence(3, {}, { epoch: 2 })],
      ['effective', 'void'],
    ],
    [
      'a fence never takes the generation back',
      [fence(2, { generation: 4 }), fence(3, { generation: 3 })],
      ['effective', 'void'],
    ],
    [
      'behind a drop everything is void',
      [fence(2, { action: 'drop', state: 'dropped' }), write('a', { fenceNumber: 2 }), fence(3)],
      ['effective', 'void', 'void'],
    ],
    [
      'behind a seal writes are void, an unseal is not',
      [
        fence(2, { state: 'sealed' }),
        write('a', { fenceNumber: 2 }),
        fence(3, { action: 'unseal' }),
        write('b', { fenceNumber: 3 }),
      ],
      ['effective', 'void', 'effective', 'effective'],
    ],
    [
      'a fence past its deadline raises nothing',
      [fence(2, { generation: 9 }, { deadlineMs: 1 }), write('a')],
      ['void', 'effective'],
    ],
  ])('%s', (_, records, expected) => {
    expect(verdicts(fold(START, NOTHING, log(...records)).records)).toEqual(expected);
  });

  test('an id is forgotten after the window, and not before', () => {
    const at = (arrivalMs: number, sequence: string): LogRecord => ({
      record: write('a'),
      sequence,
      arrivalMs,
    });
    const inside = fold(START, NOTHING, [at(1000, '1'), at(1000 + ID_WINDOW_MS, '2')]);
    expect(verdicts(inside.records)).toEqual(['effective', 'duplicate']);
    const outside = fold(START, NOTHING, [at(1000, '1'), at(1001 + ID_WINDOW_MS, '2')]);
    expect(verdicts(outside.records)).toEqual(['effective', 'effective']);
  });
});

test('log time never falls, and a skipped record advances the position', () => {
  const entries = log(write('a'), write('a'), write('b'));
  const back = entries.map((entry, index) => ({ ...entry, arrivalMs: 100 - index }));
  const { records, next } = fold(START, NOTHING, back);
  expect(records.map(({ logTimeMs }) => logTimeMs)).toEqual([100, 100, 100]);
  expect(next.applied).toBe(recordPosition(1, 1, '3'));
  expect(records.map(({ previous }) => previous)).toEqual([
    '',
    recordPosition(1, 1, '1'),
    recordPosition(1, 1, '2'),
  ]);
});

test('a fence counts itself: a new log begins below the sequences of the old one', () => {
  const old = fold(START, NOTHING, [{ record: write('a'), sequence: '900', arrivalMs: 1 }]).next;
  const fresh = fold(old, NOTHING, [
    { record: fence(2, { action: 'generation', generation: 2 }), sequence: '1', arrivalMs: 2 },
    { record: write('b', { fenceNumber: 2 }), sequence: '2', arrivalMs: 3 },
  ]);
  expect(verdicts(fresh.records)).toEqual(['effective', 'effective']);
  expect(fresh.next.applied).toBe(recordPosition(2, 1, '2'));
});

describe('forwarded records', () => {
  const origin = (
    sequence: string,
    previous: string,
    verdict: 'effective' | 'void' = 'effective',
  ) =>
    write(`o${sequence}`, {
      fenceNumber: 0,
      origin: { position: recordPosition(1, 1, sequence), previous, logTimeMs: 50, verdict },
    });

  test('keep position, log time and verdict', () => {
    const { records, gap } = fold(
      START,
      NOTHING,
      log(origin('40', ''), origin('44', recordPosition(1, 1, '40'), 'void')),
    );
    expect(gap).toBeUndefined();
    expect(records.map(({ position }) => position)).toEqual([
      recordPosition(1, 1, '40'),
      recordPosition(1, 1, '44'),
    ]);
    expect(verdicts(records)).toEqual(['effective', 'void']);
    expect(records[0]?.logTimeMs).toBe(50);
  });

  test('a gap is refused, what comes before it is not', () => {
    const { records, gap } = fold(
      START,
      NOTHING,
      log(origin('40', ''), origin('44', recordPosition(1, 1, '43'))),
    );
    expect(records).toHaveLength(1);
    expect(gap).toEqual({
      position: recordPosition(1, 1, '44'),
      previous: recordPosition(1, 1, '43'),
      expected: recordPosition(1, 1, '40'),
    });
  });

  test('delivered again they are skipped', () => {
    const first = fold(START, NOTHING, log(origin('40', '')));
    expect(
      fold(first.next, NOTHING, log(origin('40', ''), origin('41', recordPosition(1, 1, '40'))))
        .records,
    ).toHaveLength(1);
  });
});

/** Logs of writes with colliding ids, late ones, and fences of all kinds. */
const anyLog = fc
  .array(
    fc.record({
      id: fc.integer({ min: 0, max: 6 }),
      isFence: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
      number: fc.integer({ min: 1, max: 5 }),
      epoch: fc.integer({ min: 1, max: 2 }),
      state: fc.constantFrom('open' as const, 'open' as const, 'sealed' as const),
      lateMs: fc.integer({ min: -50, max: 5 }),
      stepMs: fc.oneof(fc.integer({ min: 0, max: 100 }), fc.constant(ID_WINDOW_MS / 2)),
      gap: fc.integer({ min: 1, max: 9 }),
    }),
    { maxLength: 40 },
  )
  .map((steps) => {
    let arrivalMs = 1000;
    let sequence = 0;
    return steps.map(({ id, isFence, number, epoch, state, lateMs, stepMs, gap }): LogRecord => {
      arrivalMs += stepMs;
      sequence += gap;
      const deadlineMs = arrivalMs - lateMs;
      const record = isFence
        ? fence(number, { state }, { epoch, deadlineMs })
        : write(`w${id}`, { fenceNumber: number, epoch, deadlineMs });
      return { record, sequence: String(sequence), arrivalMs };
    });
  });

/** Folds in the given pieces, remembering as apply does. */
function inPieces(pieces: readonly (readonly LogRecord[])[]) {
  const ids = new Map<string, number>();
  const all: FoldedRecord[] = [];
  let state = START;
  for (const piece of pieces) {
    const { records, next } = fold(state, (id) => ids.get(id), piece);
    for (const { record, verdict, logTimeMs } of records) {
      if (verdict === 'effective' && record.body.kind === 'write')
        ids.set(record.recordId, logTimeMs);
    }
    all.push(...records);
    state = next;
  }
  return { all, state };
}

test('the same answer however the log is cut, and however often it is delivered from earlier points', () => {
  fc.assert(
    fc.property(
      anyLog,
      fc.array(fc.tuple(fc.nat(40), fc.nat(40)), { maxLength: 8 }),
      (entries, cuts) => {
        const whole = inPieces([entries]);
        const pieces: LogRecord[][] = [];
        let delivered = 0;
        for (const [back, ahead] of cuts) {
          const from = Math.max(0, delivered - back);
          const to = Math.max(delivered, Math.min(entries.length, from + ahead));
          pieces.push(entries.slice(from, to));
          delivered = to;
        }
        pieces.push(entries.slice(Math.max(0, delivered - 3)));
        const cut = inPieces(pieces);
        expect(cut.all).toEqual(whole.all);
        expect(cut.state).toEqual(whole.state);
      },
    ),
    { numRuns: 300 },
  );
});

test('positions rise, each record is seen once, and an id takes effect once in a window', () => {
  fc.assert(
    fc.property(anyLog, (entries) => {
      const { records } = fold(START, NOTHING, entries);
      expect(records).toHaveLength(entries.length);
      const effective = new Map<string, number>();
      let previous = '';
      for (const { position, record, verdict, logTimeMs, ...rest } of records) {
        expect(position > previous).toBe(true);
        expect(rest.previous).toBe(previous);
        previous = position;
        if (verdict !== 'effective' || record.body.kind !== 'write') continue;
        const before = effective.get(record.recordId);
        if (before !== undefined) expect(logTimeMs - before).toBeGreaterThan(ID_WINDOW_MS);
        effective.set(record.recordId, logTimeMs);
      }
    }),
    { numRuns: 300 },
  );
});
