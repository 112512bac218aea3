/** One thing wrong with a valid body, at the level of its text: chosen by a seed, told by its `how`. */
import { gzipSync } from 'node:zlib';
import type { Tree } from './fixture-rows.ts';
import type { Subject } from './subject.ts';

export type Chance = Readonly<{ random(): number }>;

export type Mutant = Readonly<{
  how: string;
  body: string | Uint8Array<ArrayBuffer>;
  headers?: Readonly<Record<string, string>>;
  /** What the body says once it is unpacked and decoded; undefined where that cannot be done. */
  text: string | undefined;
  /** A refusal of the text as JSON names this member: the fault stands in its value. */
  inside?: string;
}>;

type Path = readonly (string | number)[];
/** A member's text anew: its key with colon (empty for an item of a list), and its value's text. */
type Edit = (key: string, value: string) => string;

/** JSON values of every type, range, length and depth. */
const VALUES = [
  ...['null', 'true', 'false', '0', '-1', '1', '5', '1.5', '-0.5', '-0', '1e3', '1e300', '1e-400'],
  ...['2147483647', '2147483648', '-2147483649', '9007199254740993', '9223372036854775807'],
  ...[
    '9223372036854775808',
    '-9223372036854775809',
    '18446744073709551615',
    '18446744073709551616',
  ],
  ...['9'.repeat(30), '1e39', '3.5e38', '9007199254740993.0'],
  ...['""', '" "', '"x"', '"1"', '"5"', '"größe"', '"{a}"', '"$meta"', '"__proto__"', '"null"'],
  ...['"a\\u0000b"', '"\\ud83d\\ude00"', '"\\n"', JSON.stringify('a'.repeat(300))],
  ...[JSON.stringify('ö'.repeat(40_000)), '"../../etc/passwd"', '"constructor"', '"NaN"'],
  ...['[]', '[[]]', '[null]', '[1]', '["x"]', '[{}]', '[[1,2,3,4],[1]]', '[true,false]', '{}'],
  ...['{"a":1}', '{"params":5}', '{"__proto__":1}', '{"constructor":{"prototype":1}}', '{"":1}'],
  ...[`${'['.repeat(50)}${']'.repeat(50)}`, `[${'0,'.repeat(2000)}0]`],
];

/** No JSON, each of them noticed where it stands. */
const BROKEN = [
  ...[
    'NaN',
    'Infinity',
    '-Infinity',
    '1e400',
    '-1e999',
    '-',
    '00',
    '01',
    '-01',
    '+1',
    '.5',
    '1.',
    '1e',
  ],
  ...[
    '0x10',
    "'x'",
    'undefined',
    'True',
    'nul',
    'None',
    '"\\ud800"',
    '"\\udc00x"',
    '"\\x"',
    '"\\u12"',
  ],
  ...[
    '"a\u0001b"',
    '"a\nb"',
    '[1,]',
    '[,1]',
    '{"a":1,}',
    '{a:1}',
    '{"a" 1}',
    '[1 2]',
    '/*c*/1',
    '(1)',
  ],
  ...['{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '9'.repeat(500), '9'.repeat(5000)],
  ...[`${'['.repeat(200)}${']'.repeat(200)}`, `${'{"a":'.repeat(200)}1${'}'.repeat(200)}`],
  ...['['.repeat(100_000), '1 2', '// c', '{"__proto__":1,"__proto__":2}', '1_000', '"\\u{61}"'],
];

const EXTRA_KEYS = [
  ...['surplus', '__proto__', 'constructor', '', ' ', '$meta', 'größe', 'toString', 'id', 'ID'],
  ...['a.b', 'length', 'x'.repeat(300), '0', '\u0000', 'dbname', 'COLLECTIONNAME', 'limit', 'data'],
];
const EXTRA_VALUES = [
  '1',
  'null',
  '"x"',
  '{"a":[1]}',
  '[]',
  'true',
  '18446744073709551616',
  '{"$meta":1}',
];
const FLIPS = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ':',
  ',',
  '\\',
  '0',
  'a',
  ' ',
  'é',
  '-',
  '.',
  '\u0000',
  '\ufeff',
  "'",
];

export function mutate(subject: Subject, chance: Chance): Mutant {
  const kinds: readonly (readonly [number, () => Mutant])[] = [
    [10, () => replaced(subject, chance)],
    [6, () => tried(subject, chance)],
    [5, () => broken(subject, chance)],
    [3, () => removed(subject, chance)],
    [3, () => added(subject, chance)],
    [2, () => doubled(subject, chance)],
    [2, () => wrapped(subject, chance)],
    [1, () => recased(subject, chance)],
    [1, () => flipped(subject, chance)],
    [2, () => transported(subject, chance)],
  ];
  const total = kinds.reduce((sum, [weight]) => sum + weight, 0);
  let left = chance.random() * total;
  for (const [weight, make] of kinds) {
    left -= weight;
    if (left < 0) return make();
  }
  return replaced(subject, chance);
}

export function pick<T>(chance: Chance, from: readonly T[]): T {
  const item = from[Math.floor(chance.random() * from.length)];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
}

function pathsOf(tree: Tree, path: Path = []): Path[] {
  if (typeof tree !== 'object' || tree === null) return [path];
  const entries: [string | number, Tree][] = isList(tree)
    ? tree.map((item, index) => [index, item])
    : Object.entries(tree);
  return [path, ...entries.flatMap(([key, item]) => pathsOf(item, [...path, key]))];
}

const isList = (tree: Tree): tree is readonly Tree[] => Array.isArray(tree);
const isRecord = (tree: Tree): tree is { readonly [key: string]: Tree } =>
  typeof tree === 'object' && tree !== null && !isList(tree);

/** The body as JSON text, with the member at `path` written anew. */
export function render(tree: Tree, path?: Path, edit: Edit = (key, text) => key + text): string {
  return path?.length === 0 ? edit('', render(tree)) : renderBelow(tree, path, edit);
}

function renderBelow(tree: Tree, path: Path | undefined, edit: Edit): string {
  const below = (key: string | number, item: Tree): string => {
    const label = typeof key === 'string' ? `${JSON.stringify(key)}:` : '';
    if (path?.[0] !== key) return label + renderBelow(item, undefined, edit);
    return path.length === 1
      ? edit(label, renderBelow(item, undefined, edit))
      : label + renderBelow(item, path.slice(1), edit);
  };
  if (isList(tree)) {
    return `[${tree.map((item, index) => below(index, item)).filter((text) => text !== '')}]`;
  }
  if (isRecord(tree)) {
    const members = Object.entries(tree).map(([key, item]) => below(key, item));
    return `{${members.filter((text) => text !== '')}}`;
  }
  return typeof tree === 'bigint' ? String(tree) : JSON.stringify(tree);
}

const at = (tree: Tree, path: Path): Tree =>
  // Paths are those of the tree.
  path.reduce<Tree>((inner, key) => (inner as Record<string, Tree>)[key] ?? null, tree);

const lastKey = (path: Path): string | undefined =>
  path.findLast((step): step is string => typeof step === 'string');

const place = (path: Path): string => (path.length === 0 ? 'the body' : path.join('.'));

const plain = (how: string, text: string): Mutant => ({ how, body: text, text });

const short = (text: string): string =>
  JSON.stringify(text.length > 60 ? `${text.slice(0, 50)}... of ${text.length}` : text);

function withValue({ body }: Subject, path: Path, value: string): Mutant {
  return plain(
    `${place(path)} = ${short(value)}`,
    render(body, path, (key) => key + value),
  );
}

const replaced = (subject: Subject, chance: Chance): Mutant =>
  withValue(subject, pick(chance, pathsOf(subject.body)), pick(chance, VALUES));

/** A text that is worth trying for a member of this name. */
function tried(subject: Subject, chance: Chance): Mutant {
  const texts = subject.texts ?? {};
  const places = pathsOf(subject.body).filter((path) => {
    const key = path.at(-1);
    return typeof key === 'string' && Object.hasOwn(texts, key);
  });
  if (places.length === 0) return replaced(subject, chance);
  const path = pick(chance, places);
  return withValue(subject, path, pick(chance, texts[String(path.at(-1))] ?? []));
}

/** All of these texts in all of their places, one mutant each. */
export function listed(subject: Subject): Mutant[] {
  const { texts = {}, body } = subject;
  return pathsOf(body).flatMap((path) => {
    const key = path.at(-1);
    const own = typeof key === 'string' && Object.hasOwn(texts, key) ? (texts[key] ?? []) : [];
    return own.map((value) => withValue(subject, path, value));
  });
}

function broken(subject: Subject, chance: Chance): Mutant {
  const path = pick(chance, pathsOf(subject.body));
  const mutant = withValue(subject, path, pick(chance, BROKEN));
  const inside = lastKey(path);
  return inside === undefined ? mutant : { ...mutant, inside };
}

function removed({ body }: Subject, chance: Chance): Mutant {
  const path = pick(chance, pathsOf(body).slice(1));
  return plain(
    `${place(path)} left out`,
    render(body, path, () => ''),
  );
}

function added({ body, extras = {} }: Subject, chance: Chance): Mutant {
  const objects = pathsOf(body).filter((path) => isRecord(at(body, path)));
  const special = Object.keys(extras);
  const atRoot = special.length > 0 && chance.random() < 0.3;
  const path = atRoot ? [] : pick(chance, objects);
  const key = atRoot ? pick(chance, special) : pick(chance, EXTRA_KEYS);
  const value = atRoot ? (extras[key] ?? '1') : pick(chance, EXTRA_VALUES);
  const first = chance.random() < 0.5;
  const member = `${JSON.stringify(key)}:${value}`;
  return plain(
    `${short(key)}: ${value} added to ${place(path)}`,
    render(body, path, (label, text) => {
      const inner = text.slice(1, -1);
      const members = inner === '' ? [member] : first ? [member, inner] : [inner, member];
      return `${label}{${members}}`;
    }),
  );
}

/** The same member twice, its second key escaped or in other case; an item of a list twice. */
function doubled({ body }: Subject, chance: Chance): Mutant {
  const path = pick(chance, pathsOf(body).slice(1));
  const manner = pick(chance, ['same', 'escaped', 'upper', 'other value'] as const);
  const text = render(body, path, (key, value) => {
    if (key === '') return `${value},${value}`;
    const letter = key.charCodeAt(1).toString(16).padStart(4, '0');
    const again = {
      same: key,
      escaped: `"\\u${letter}${key.slice(2)}`,
      upper: key.toUpperCase(),
      'other value': key,
    }[manner];
    return `${key}${value},${again}${manner === 'other value' ? '0' : value}`;
  });
  return plain(`${place(path)} twice (${manner})`, text);
}

function wrapped({ body }: Subject, chance: Chance): Mutant {
  const path = pick(chance, pathsOf(body));
  const manner = pick(chance, ['[x]', '{"x":x}', 'as text', 'out of its quotes', '[x,x]'] as const);
  const edit: Edit = (key, value) => {
    if (manner === '[x]') return `${key}[${value}]`;
    if (manner === '[x,x]') return `${key}[${value},${value}]`;
    if (manner === '{"x":x}') return `${key}{"x":${value}}`;
    if (manner === 'as text') return key + JSON.stringify(value);
    return key + value.replace(/^"(.*)"$/s, '$1');
  };
  return plain(`${place(path)} ${manner}`, render(body, path, edit));
}

function recased({ body }: Subject, chance: Chance): Mutant {
  const members = pathsOf(body).filter((path) => typeof path.at(-1) === 'string');
  const path = pick(chance, members);
  const upper = chance.random() < 0.5;
  const edit: Edit = (key, value) => (upper ? key.toUpperCase() : key.toLowerCase()) + value;
  return plain(`${place(path)} in ${upper ? 'upper' : 'lower'} case`, render(body, path, edit));
}

/** One character of the text is another one, or gone, or there is one more. */
function flipped({ body }: Subject, chance: Chance): Mutant {
  const text = render(body);
  const where = Math.floor(chance.random() * text.length);
  const manner = pick(chance, ['is', 'behind', 'gone'] as const);
  const added = manner === 'gone' ? '' : pick(chance, FLIPS);
  const kept = manner === 'behind' ? where + 1 : where;
  const rest = text.slice(manner === 'behind' ? kept : where + 1);
  return plain(`character ${where} ${manner} ${short(added)}`, text.slice(0, kept) + added + rest);
}

const bytesOf = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text));

/** What stands between the text and the wire: encodings, compression, what is before and behind. */
function transported({ body }: Subject, chance: Chance): Mutant {
  const valid = render(body);
  const where = Math.floor(chance.random() * valid.length);
  const packed = new Uint8Array(gzipSync(valid));
  const gzip = { 'content-encoding': 'gzip' };
  const unreadable = (
    how: string,
    bytes: Uint8Array<ArrayBuffer> | string,
    headers: Readonly<Record<string, string>> = {},
  ): Mutant => ({ how, body: bytes, headers, text: undefined });
  const makers: readonly (() => Mutant)[] = [
    () => plain(`cut to ${where} characters`, valid.slice(0, where)),
    () => plain('nothing', ''),
    () => plain('spaces', ' \n\t'),
    () => plain('spaces around', ` \r\n${valid}\t\n`),
    () => plain('something behind', `${valid}${pick(chance, ['x', '{}', ',', '\u0000', ']'])}`),
    () => plain('a byte order mark', `\ufeff${valid}`),
    () => plain('the text as a JSON string', JSON.stringify(valid)),
    () => plain('base64', Buffer.from(valid).toString('base64')),
    () => unreadable('UTF-16', new Uint8Array(Buffer.from(valid, 'utf16le'))),
    () => {
      const bytes = bytesOf(valid);
      bytes[Math.floor(chance.random() * bytes.length)] = pick(
        chance,
        [0x80, 0xc0, 0xff, 0xed, 0xf8],
      );
      return unreadable('a byte that is no UTF-8', bytes);
    },
    () => {
      const surrogate = Uint8Array.of(0xed, 0xa0, 0x80);
      const [before, behind] = [valid.slice(0, where), valid.slice(where)].map(bytesOf);
      const bytes = new Uint8Array(
        Buffer.concat([before ?? surrogate, surrogate, behind ?? surrogate]),
      );
      return unreadable('a raw surrogate', bytes);
    },
    () => ({ how: 'gzip', body: packed, headers: gzip, text: valid }),
    () => ({
      how: 'gzip in capitals',
      body: packed,
      headers: { 'content-encoding': 'GZIP' },
      text: valid,
    }),
    () =>
      unreadable('gzip, cut', packed.slice(0, Math.floor(chance.random() * packed.length)), gzip),
    () => unreadable('gzip said of plain text', valid, gzip),
    () => unreadable('gzip unsaid', packed),
    () => unreadable('an encoding that nobody knows', valid, { 'content-encoding': 'br' }),
    () => {
      const bytes = packed.slice();
      // The last eight bytes are checksum and length.
      const index = bytes.length - 1 - Math.floor(chance.random() * 8);
      bytes[index] = (bytes[index] ?? 0) ^ 0x55;
      return unreadable('gzip with a wrong checksum', bytes, gzip);
    },
  ];
  return pick(chance, makers)();
}
