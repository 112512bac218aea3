/**
 * What API.md says about a value, as a function from the value to complaints: with which codes a server
 * may refuse it, and which words the refusal must hold. No complaint: the value must be accepted.
 *
 * Written beside the product, not with it: nothing here is imported from `shared/`.
 */

export type Complaint = Readonly<{
  codes: readonly number[];
  /** One of them is in the message. */
  words: readonly string[];
  /** API.md leaves it open: refusing and accepting are both right. */
  maybe?: boolean;
}>;

export type Complaints = readonly Complaint[];

/** `name` is the member's name; undefined as value means left out. */
export type Spec = (value: unknown, name: string) => Complaints;

export type Members = ReadonlyMap<string, unknown>;

export const FINE: Complaints = [];

export const refused = (codes: number | readonly number[], ...words: string[]): Complaints => [
  { codes: typeof codes === 'number' ? [codes] : codes, words },
];

/** Refused with one of these codes, or accepted. */
export const perhaps = (codes: readonly number[], ...words: string[]): Complaints => [
  { codes, words, maybe: true },
];

/** True where nothing says that the value must be refused. */
export const isOpen = (found: Complaints): boolean => found.every(({ maybe }) => maybe === true);

export const isAbsent = (value: unknown): boolean => value === undefined || value === null;

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const optional =
  (spec: Spec): Spec =>
  (value, name) =>
    isAbsent(value) ? FINE : spec(value, name);

export const required =
  (spec: Spec): Spec =>
  (value, name) =>
    isAbsent(value) ? refused(1802, name) : spec(value, name);

export const anything: Spec = () => FINE;
/** An optional string about which nothing else is said. */
export const text: Spec = optional((value, name) =>
  typeof value === 'string' ? FINE : refused(1801, name),
);
export const flag: Spec = optional((value, name) =>
  typeof value === 'boolean' ? FINE : refused(1801, name),
);

/** A JSON integer of 32 bits; outside of `least` to `greatest` it is 1100. */
export const integer = (least: number, greatest: number): Spec =>
  optional((value, name) => {
    if (typeof value !== 'number' || !Number.isInteger(value)) return refused(1801, name);
    if (Math.abs(value + 0.5) > 2 ** 31) return refused([1801, 1100], name);
    return value >= least && value <= greatest ? FINE : refused(1100, name);
  });

export const list =
  (item: Spec): Spec =>
  (value, name) =>
    Array.isArray(value) ? value.flatMap((each) => item(each, name)) : refused(1801, name);

/** An object of a request: keys match without regard to case, unknown ones are ignored. */
export const request = (
  members: Readonly<Record<string, Spec>>,
  rule: (members: Members) => Complaints = () => FINE,
): Spec => requestWith(members, rule, () => FINE);

/** As {@link request}, of a verb of ours: an unknown key is refused, whatever its value. */
export const strictRequest = (members: Readonly<Record<string, Spec>>): Spec =>
  requestWith(
    members,
    () => FINE,
    (key) => refused(1100, key.slice(0, 64)),
  );

const requestWith =
  (
    members: Readonly<Record<string, Spec>>,
    rule: (members: Members) => Complaints,
    unknown: (key: string) => Complaints,
  ): Spec =>
  (value, name) => {
    if (!isObject(value)) return refused(1801, ...(name === '' ? [] : [name]));
    const spelling = new Map(Object.keys(members).map((key) => [key.toLowerCase(), key]));
    const given = new Map<string, unknown>();
    const others: Complaints[] = [];
    for (const [key, member] of Object.entries(value)) {
      const known = spelling.get(key.toLowerCase());
      if (known === undefined) others.push(unknown(key));
      if (known === undefined || member === null) continue;
      if (given.has(known)) return [...others.flat(), ...refused(1801, known)];
      given.set(known, member);
    }
    const asked = Object.entries(members).flatMap(([key, spec]) => spec(given.get(key), key));
    const own = [...others.flat(), ...asked];
    return isOpen(own) ? [...own, ...rule(given)] : own;
  };

/** A `params`-like map: keys keep their case, unknown ones are ignored unless `rest` says more. */
export const map = (
  members: Readonly<Record<string, Spec>>,
  rest: Spec = anything,
  rule: (members: Members) => Complaints = () => FINE,
): Spec =>
  optional((value, name) => {
    if (!isObject(value)) return refused(1801, name);
    const given = new Map(Object.entries(value));
    const own = Object.entries(members).flatMap(([key, spec]) => spec(given.get(key), key));
    const others = [...given].flatMap(([key, member]) =>
      Object.hasOwn(members, key) ? FINE : rest(member, key),
    );
    const found = [...own, ...others];
    return isOpen(found) ? [...found, ...rule(given)] : found;
  });

/** An integer in a map, as a number or as its digits; undefined where it is neither. */
export function wholeOf(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isInteger(value) ? value : undefined;
  if (typeof value === 'bigint') return Number(value);
  return typeof value === 'string' && /^[+-]?[0-9]+$/.test(value) ? Number(value) : undefined;
}

/** An integer in a map (API.md 1.1: numbers there may be strings); anything else is 1100. */
export const setting = (least: number, greatest: number): Spec =>
  optional((value, name) => {
    const whole = wholeOf(value);
    if (typeof value === 'string' && value.trim() !== value) return perhaps([1100], name);
    return whole !== undefined && whole >= least && whole <= greatest ? FINE : refused(1100, name);
  });

/** One of these texts or none, also the empty one; anything else is `code`. */
export const choice = (known: readonly string[], ...words: string[]): Spec =>
  optional((value, name) => {
    if (typeof value !== 'string') return refused([1801, 1100], name, ...words);
    return value === '' || known.includes(value) ? FINE : refused(1100, name, ...words);
  });
