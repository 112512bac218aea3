/** Bodies with one thing wrong: a valid request, one place in it, and what stands there instead. */
import * as fc from 'fast-check';
import { type Json, type JsonOut, stringifyJson } from '#base/json.ts';

export type Path = readonly (string | number)[];

export type Mutant = Readonly<{
  /** What was done, for failure messages. */
  how: string;
  path: Path;
  body: string | Uint8Array<ArrayBuffer>;
}>;

/** JSON texts of the wrong type, range, length or depth, and some that are no JSON at all. */
const TEXTS = [
  ...['null', 'true', 'false', '0', '-1', '1', '1.5', '-0.5', '1e300', '1e400', '2147483648'],
  ...['9223372036854775808', '18446744073709551616', '9'.repeat(500), '00', '-', 'NaN'],
  ...['""', '" "', '"x"', '"1"', '"größe"', '"{a}"', '"$meta"', '"__proto__"', '"constructor"'],
  ...[
    '"\\u0000"',
    '"\\ud800"',
    JSON.stringify('a'.repeat(300)),
    JSON.stringify('ö'.repeat(40_000)),
  ],
  ...['[]', '[[]]', '[null]', '[1]', '["x"]', '[{}]', '[[1,2,3,4],[1]]', '{}', '{"a":1}'],
  ...['{"params":5}', '{"__proto__":1}', '{"a":1,"a":2}', '['.repeat(50) + ']'.repeat(50)],
  ...['['.repeat(200) + ']'.repeat(200), `${'{"a":'.repeat(200)}1${'}'.repeat(200)}`],
];

const HOLE = '\u0001hole';

export function pathsOf(value: JsonOut, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null || value instanceof Float32Array) return [path];
  const entries: [string | number, JsonOut | undefined][] = Array.isArray(value)
    ? value.map((item: JsonOut, index) => [index, item])
    : Object.entries(value);
  return [path, ...entries.flatMap(([key, item]) => pathsOf(item ?? null, [...path, key]))];
}

/** One mutant of a valid body. */
export function mutantOf(valid: JsonOut): fc.Arbitrary<Mutant> {
  const paths = pathsOf(valid);
  const below = paths.filter((path) => path.length > 0);
  const objects = paths.filter((path) => isObject(at(valid, path)));
  return fc.oneof(
    {
      weight: 12,
      arbitrary: fc
        .tuple(fc.constantFrom(...paths), fc.constantFrom(...TEXTS))
        .map(([path, text]) => ({
          how: `${path.join('.')} = ${text.slice(0, 40)}`,
          path,
          body: textOf(replaced(valid, path, HOLE)).replace(JSON.stringify(HOLE), () => text),
        })),
    },
    {
      weight: 2,
      arbitrary: fc.constantFrom(...below).map((path) => ({
        how: `${path.join('.')} missing`,
        path,
        body: textOf(replaced(valid, path, undefined)),
      })),
    },
    {
      weight: 2,
      arbitrary: fc.constantFrom(...objects).map((path) => ({
        how: `extra key in ${path.join('.')}`,
        path,
        body: textOf(replaced(valid, path, { ...(at(valid, path) as object), surplus: 1 })),
      })),
    },
    {
      weight: 2,
      arbitrary: fc.constantFrom(...below).map((path) => ({
        how: `${path.join('.')} twice`,
        path,
        body: twice(valid, path),
      })),
    },
    {
      weight: 1,
      arbitrary: fc.nat(textOf(valid).length - 1).map((length) => ({
        how: `cut to ${length} characters`,
        path: [],
        body: textOf(valid).slice(0, length),
      })),
    },
    {
      weight: 1,
      arbitrary: fc.nat(textOf(valid).length - 1).map((place) => ({
        how: `byte ${place} is no UTF-8`,
        path: [],
        body: withByte(textOf(valid), place, 0xff),
      })),
    },
  );
}

const textOf = (value: JsonOut): string => stringifyJson(value);
const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function at(value: JsonOut, path: Path): unknown {
  return path.reduce<unknown>((inner, key) => (inner as Record<string, unknown>)[key], value);
}

/** A copy with `item` at the path; without that member where it is undefined. */
function replaced(value: JsonOut, [key, ...rest]: Path, item: JsonOut | undefined): JsonOut {
  if (key === undefined) return item ?? null;
  if (Array.isArray(value)) {
    return value.flatMap((inner: JsonOut, index) => {
      if (index !== key) return [inner];
      if (rest.length === 0 && item === undefined) return [];
      return [rest.length === 0 ? (item ?? null) : replaced(inner, rest, item)];
    });
  }
  const members = value as Record<string, JsonOut>;
  const inner = rest.length === 0 ? item : replaced(members[key] ?? null, rest, item);
  return { ...members, [key]: inner };
}

/** The member at the path written two times; a list's element becomes an object with equal keys. */
function twice(valid: JsonOut, path: Path): string {
  const key = path.at(-1);
  if (typeof key === 'number') {
    const text = textOf(replaced(valid, path, HOLE));
    return text.replace(JSON.stringify(HOLE), '{"a":1,"a":1}');
  }
  const member = `${JSON.stringify(key)}:${textOf(at(valid, path) as Json)}`;
  const text = textOf(replaced(valid, path, HOLE));
  return text.replace(
    `${JSON.stringify(key)}:${JSON.stringify(HOLE)}`,
    () => `${member},${member}`,
  );
}

function withByte(text: string, place: number, byte: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(Buffer.from(text));
  bytes[place] = byte;
  return bytes;
}
