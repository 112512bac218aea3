/** Filters whose verdict API.md section 2 gives, for rows of the collection `main`. */
import { FINE, perhaps, refused, type Spec } from './spec.ts';

const FINE_FILTERS = [
  // Those of the valid bodies.
  ...['id > {least} and text like "x%"', 'id >= {least}', 'id in {gone}', 'medium > 0'],
  ...['id > 0', 'id in [1, 2, 3]', 'id not in [1]', '1 < id <= 5', '5 >= id > 1', 'id % 2 == 0'],
  ...['text like "x%"', "text == 'x'", 'text != ""', 'text in ["x", "y"]', 'flag == true'],
  ...[
    'not (medium == 5)',
    'medium > 0 and tiny < 5',
    'medium > 0 && tiny < 5 || flag != true',
    '(id == 1)',
  ],
  ...['json["a"][0] == 1', 'json["a"] is null', 'extra == true', '$meta["extra"] == true'],
  ...['extra is not null', 'exists json["a"]', 'id == 0x10', 'id == -9223372036854775808'],
  ...['single > 0.5', 'double <= 1e3', 'id + 1 > 5', 'ID == 1', 'unknown == "x"', 'medium > tiny'],
  ...['id >= 9223372036854775807', 'large == 9223372036854775807', 'text like "\\\\%"', 'id>0'],
];

const REFUSED_FILTERS = [
  ...[
    'flag',
    'id > 0 or flag',
    'not flag',
    'id >',
    '> 0',
    'id == "x"',
    'id in [1, "a"]',
    'id',
    'id = 1',
    'id ==== 1',
    '"abc',
    'id == 1 and',
  ],
  ...[
    'medium / 0 == 1',
    'medium % 0 == 1',
    'id << 1 == 2',
    'id & 1 == 1',
    'vector == 1',
    'id == {gap}',
  ],
  ...[
    'id in [1.5]',
    'tiny in ["x"]',
    'nothing(id)',
    'text > 5',
    'flag + 1 == 2',
    '5 < id < 1',
    'id in 5',
  ],
  ...[
    'id == 99999999999999999999',
    '(id > 0',
    'id > 0)',
    'id # 1',
    'text like 5',
    'vector is null',
  ],
  ...[
    'id + medium == 3',
    'text + 1 == 2',
    "id == 'x",
    'id > 0; drop',
    '$meta',
    '[1]',
    'id [0] == 1',
  ],
  ...[
    '"x"',
    '1',
    'true',
    '{a}',
    'x',
    'größe',
    'null',
    '5',
    'id > \u0000',
    'is null',
    'and',
    '__proto__',
  ],
];

/** The text family, geometry and what samples: 1100 where the field forbids it, 3000 where not built. */
const UNBUILT_FILTERS = [
  ...['text_match(text, "x")', 'phrase_match(text, "x y", 1)', 'random_sample(0.5)'],
  ...['st_within(json, "POINT (0 0)")', 'st_equals(text, "POINT (0 0)")'],
];

const BUILT_OR_NOT = [
  ...[
    'json_contains(json["a"], 1)',
    'json_contains_any(json["a"], [1, 2])',
    'array_length(json) == 1',
  ],
  ...[
    'array_contains(json["a"], 1)',
    '1 == 1',
    'not flag == true',
    'id  >  0',
    'true and flag',
    '2 ** 3 == id',
  ],
];

/** Deep or long: refused or answered, never an overflow. */
const LARGE_FILTERS = [
  `${'('.repeat(5000)}id > 0${')'.repeat(5000)}`,
  `${'not '.repeat(5000)}flag`,
  `id == ${'-'.repeat(20_000)}1`,
  `id == 1${' + 1'.repeat(20_000)}`,
  `id > 0${' and id > 0'.repeat(5000)}`,
  `id > 0${' or (id > 0'.repeat(3000)}${')'.repeat(3000)}`,
  `id in [${'1,'.repeat(30_000)}1]`,
  `id in ${'['.repeat(3000)}${']'.repeat(3000)}`,
  `text == "${'a'.repeat(100_000)}"`,
  `json${'["a"]'.repeat(3000)} == 1`,
  `json${'[0]'.repeat(3000)} == 1`,
  `text like "${'%a'.repeat(20_000)}"`,
  'x'.repeat(100_000),
  '"'.repeat(10_001),
];

export const FILTERS: readonly string[] = [
  ...FINE_FILTERS,
  ...REFUSED_FILTERS,
  ...UNBUILT_FILTERS,
  ...BUILT_OR_NOT,
  ...LARGE_FILTERS,
];

const WORDS = ['filter', 'failed to create query plan'];

/** @param empty what a filter of nothing but spaces is: all rows, or refused with 1802 */
export const filterSpec =
  (empty: 'all rows' | 'refused'): Spec =>
  (value, name) => {
    if (typeof value !== 'string') return refused(1801, name);
    if (value.trim() === '') return empty === 'all rows' ? FINE : refused(1802, name);
    if (FINE_FILTERS.includes(value)) return FINE;
    if (REFUSED_FILTERS.includes(value)) return refused(1100, ...WORDS);
    if (UNBUILT_FILTERS.includes(value)) return refused([1100, 3000], ...WORDS);
    return perhaps([1100, 1102, 3000], ...WORDS);
  };

/** Templates of a filter that `exprParams` does not fill. */
export const unfilled = (filter: unknown, params: unknown): boolean =>
  typeof filter === 'string' &&
  [...filter.matchAll(/\{(\w+)\}/g)].some(
    ([, name]) =>
      typeof params !== 'object' || params === null || !Object.hasOwn(params, name ?? ''),
  );
