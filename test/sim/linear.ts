/**
 * Linearizability of one key: is there an order of the operations, each at one moment between its
 * beginning and its end, in which every read sees what the write before it left?
 *
 * A search over orders with memory of what was tried (Wing and Gong, Lowe). Operations of unknown
 * outcome may take effect at any moment after they began, or never.
 */

/** What a key holds: a value that names the write, or nothing. */
export type Held = bigint | undefined;

export type KeyOperation = Readonly<{
  startMs: number;
  /** Infinity where the outcome is unknown: it may take effect later, or never. */
  endMs: number;
  what: string;
  act:
    | Readonly<{ do: 'write'; value: Held }>
    | Readonly<{ do: 'read'; value: Held }>
    /** Deletes what it finds where it is one of the values; `may` also not. */
    | Readonly<{ do: 'delete-some'; matches: (value: bigint) => boolean; may: boolean }>;
}>;

export type Verdict =
  | Readonly<{ is: 'linearizable' | 'undecided' }>
  | Readonly<{ is: 'impossible'; why: string }>;

/** States looked at before the question is left open. */
const STATES_MAX = 200_000;

export function checkKey(given: readonly KeyOperation[]): Verdict {
  const operations = withoutIdle(given).sort((a, b) => a.startMs - b.startMs);
  const count = operations.length;
  const must = operations.map(({ endMs }) => Number.isFinite(endMs));
  const mustCount = must.filter(Boolean).length;
  const seen = new Set<string>();
  let looked = 0;
  let deepest = -1;
  let stuck = '';
  /** One entry per operation taken: the state before it, and where the search goes on. */
  const taken = new Uint8Array(count);
  const search = (held: Held, done: number, first: number): boolean | undefined => {
    if (done === mustCount) return true;
    const name = `${maskOf(taken, first)} ${held}`;
    if (seen.has(name)) return false;
    seen.add(name);
    looked += 1;
    if (looked > STATES_MAX) return undefined;
    let horizonMs = Number.POSITIVE_INFINITY;
    for (let index = first; index < count; index++) {
      if (taken[index] === 0)
        horizonMs = Math.min(horizonMs, operations[index]?.endMs ?? horizonMs);
    }
    let blocked = '';
    for (let index = first; index < count; index++) {
      const operation = operations[index];
      if (taken[index] === 1 || operation === undefined) continue;
      if (operation.startMs > horizonMs) break;
      for (const next of outcomes(operation, held)) {
        taken[index] = 1;
        let from = first;
        while (taken[from] === 1) from += 1;
        const found = search(next.held, done + (must[index] ? 1 : 0), from);
        if (found !== false) return found;
        taken[index] = 0;
      }
      blocked ||= operation.act.do === 'read' ? operation.what : '';
    }
    if (done > deepest) {
      deepest = done;
      stuck = `with ${held ?? 'nothing'} there, no order explains ${blocked || 'what follows'}`;
    }
    return false;
  };
  const found = search(undefined, 0, 0);
  if (found === undefined) return { is: 'undecided' };
  return found ? { is: 'linearizable' } : { is: 'impossible', why: stuck };
}

type Outcome = Readonly<{ held: Held }>;

function outcomes({ act }: KeyOperation, held: Held): readonly Outcome[] {
  if (act.do === 'write') return [{ held: act.value }];
  if (act.do === 'read') return act.value === held ? [{ held }] : [];
  const hit = held !== undefined && act.matches(held);
  if (!hit) return [{ held }];
  return act.may ? [{ held: undefined }, { held }] : [{ held: undefined }];
}

/**
 * Without writes of unknown outcome that nothing can have met: no read saw their value, and no delete
 * that looks at values would take it. Such a write explains nothing.
 */
function withoutIdle(operations: readonly KeyOperation[]): KeyOperation[] {
  const read = new Set<Held>();
  for (const { act } of operations) if (act.do === 'read') read.add(act.value);
  const meets = (value: Held): boolean =>
    value === undefined ||
    read.has(value) ||
    operations.some(({ act }) => act.do === 'delete-some' && act.matches(value));
  return operations.filter(
    ({ endMs, act }) => Number.isFinite(endMs) || act.do !== 'write' || meets(act.value),
  );
}

/** Operations taken behind the first that is not. */
function maskOf(taken: Uint8Array, first: number): string {
  let mask = `${first}`;
  for (let index = first; index < taken.length; index++)
    if (taken[index] === 1) mask += `,${index}`;
  return mask;
}
