/**
 * The rules of the house, as tests.
 *
 * What a linter cannot see: which chapter may know which, where time and chance come in, how long a
 * file may get, what nobody uses any more, and whether the documents still name what they promise.
 */
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, test } from 'vitest';
import { trackedFiles } from './support/tracked-files.ts';

/** In reading order: a chapter imports only from chapters above it. This array is the architecture. */
const CHAPTERS = [
  'base',
  'ports',
  'api',
  'schema',
  'filter',
  'wal',
  'segment',
  'manifest',
  'catalog',
  'query',
  'ingest',
  'maintain',
  'region',
  'backup',
  'load',
  'service',
  'aws',
  'local',
  'sim',
  'runtime',
  'cli',
  'console',
] as const;

/** Platforms see the ground floor only, and nothing but `runtime` and tests sees them. */
const PLATFORMS = new Set(['aws', 'local', 'sim']);
const PLATFORMS_SEE = new Set(['base', 'ports']);
/** Where the world comes in. */
const WORLDLY = new Set(['aws', 'local', 'runtime', 'cli', 'console']);
const LINES_MAX = 400;
const BANNED_NAMES = /(^|\/)(utils?|common|helpers?|types|constants|index|misc|lib)(\.ts|\/)/;

const chapterOf = (file: string): string => file.split('/')[1] ?? '';
const sources = trackedFiles().filter((file) => /^(shared|functions)\/.*\.ts$/.test(file));
const textOf = new Map(sources.map((file) => [file, readFileSync(file, 'utf8')]));

/** Blanks comments and string contents, so that prose never counts as code. */
const codeOf = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/[^\n]*/g, '$1');

function importsOf(file: string): string[] {
  const text = codeOf(textOf.get(file) ?? readFileSync(file, 'utf8'));
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] ?? '');
}

function resolveImport(file: string, specifier: string): string | undefined {
  if (specifier.startsWith('#')) return `shared/${specifier.slice(1)}`;
  if (specifier.startsWith('.')) return normalize(join(dirname(file), specifier));
  return undefined;
}

function violations(check: (file: string) => readonly string[]): string[] {
  return sources.flatMap((file) => check(file).map((what) => `${file}: ${what}`));
}

test('every folder of shared/ is a chapter', () => {
  const unknown = sources
    .filter((file) => file.startsWith('shared/'))
    .filter((file) => !(CHAPTERS as readonly string[]).includes(chapterOf(file)));
  expect(unknown).toEqual([]);
});

test('a chapter imports only from chapters above it, and says so with #', () => {
  const found = violations((file) => {
    if (!file.startsWith('shared/')) return [];
    const own = chapterOf(file);
    return importsOf(file).flatMap((specifier) => {
      const target = resolveImport(file, specifier);
      if (target === undefined) return [];
      const other = chapterOf(target);
      if (other === own)
        return specifier.startsWith('#') ? [`${specifier}: use ./ in a chapter`] : [];
      if (!specifier.startsWith('#')) return [`${specifier}: use # across chapters`];
      const order = (name: string) => (CHAPTERS as readonly string[]).indexOf(name);
      if (order(other) > order(own)) return [`${specifier} lies below ${own}`];
      if (PLATFORMS.has(own) && !PLATFORMS_SEE.has(other)) return [`${specifier} from a platform`];
      if (PLATFORMS.has(other) && order(own) < order('runtime'))
        return [`${specifier}: a platform`];
      return [];
    });
  });
  expect(found).toEqual([]);
});

test('time, chance and configuration come in through parameters', () => {
  const ambient =
    /\bDate\b|\bperformance\b|Math\.random|\bset(Timeout|Interval|Immediate)\b|process\.(env|hrtime)|randomBytes|randomUUID|getRandomValues/;
  const found = violations((file) => {
    if (WORLDLY.has(chapterOf(file))) return [];
    const match = ambient.exec(codeOf(textOf.get(file) ?? ''));
    return match === null ? [] : [match[0]];
  });
  expect(found).toEqual([]);
});

test('only runtime/config reads the environment', () => {
  const found = violations((file) =>
    file !== 'shared/runtime/config.ts' && /process\.env/.test(codeOf(textOf.get(file) ?? ''))
      ? ['process.env']
      : [],
  );
  expect(found).toEqual([]);
});

test('only segment/graph knows the graph library, and zod is imported as a namespace', () => {
  const found = violations((file) =>
    importsOf(file).flatMap((specifier) => {
      if (specifier === 'hnswlib-node' && file !== 'shared/segment/graph.ts') return [specifier];
      if (
        specifier === 'zod' &&
        !/import (type )?\* as z from 'zod'/.test(textOf.get(file) ?? '')
      ) {
        return ["import * as z from 'zod'"];
      }
      return [];
    }),
  );
  expect(found).toEqual([]);
});

test(`no file is longer than ${LINES_MAX} lines`, () => {
  const long = violations((file) => {
    const lines = (textOf.get(file) ?? '').split('\n').length - 1;
    return lines > LINES_MAX ? [`${lines} lines`] : [];
  });
  expect(long).toEqual([]);
});

test('no file is named for a drawer', () => {
  expect(sources.filter((file) => BANNED_NAMES.test(file))).toEqual([]);
});

test('no class or type is named Service, Manager, Helper, Util or Info', () => {
  const banned = /\b(?:class|interface|type)\s+(\w*(?:Service|Manager|Helper|Utils?))\b/;
  const found = violations((file) => {
    const match = banned.exec(codeOf(textOf.get(file) ?? ''));
    return match === null ? [] : [match[1] ?? ''];
  });
  expect(found).toEqual([]);
});

/**
 * Adapters of a port that no door opens yet: the fan-out of reads (DESIGN 4.5) will be the first to
 * invoke a function. Until then only their contract suite does.
 */
const WAITING = new Set(['shared/aws/invoker.ts', 'shared/aws/invoker-payload.ts']);

test('no module is dead: each is reached from a door, or loaded by name', () => {
  const doors = sources.filter(
    (file) => file.startsWith('functions/') || file === 'shared/cli/main.ts',
  );
  // Worker entries are loaded by URL, not imported.
  const byName = sources.filter((file) =>
    [...textOf.values()].some(
      (text) =>
        text.includes(`'${file.split('/').pop()}'`) || text.includes(`./${file.split('/').pop()}'`),
    ),
  );
  const reached = new Set<string>();
  const queue = [...doors, ...byName.filter((file) => /worker/.test(file))];
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (reached.has(file)) continue;
    reached.add(file);
    for (const specifier of importsOf(file)) {
      const target = resolveImport(file, specifier);
      if (target !== undefined && textOf.has(target)) queue.push(target);
    }
  }
  // The sim platform is product code that tests and the simulator run; nothing in a door needs it.
  const unreached = sources.filter((file) => !reached.has(file) && chapterOf(file) !== 'sim');
  expect(unreached.filter((file) => !WAITING.has(file))).toEqual([]);
  expect([...WAITING].filter((file) => !unreached.includes(file))).toEqual([]);
});

test('every error code is documented in docs/http-api.md', () => {
  const codes = [...(textOf.get('shared/base/errors.ts') ?? '').matchAll(/^ {2}([A-Z_]+): \{/gm)];
  const docs = readFileSync('docs/http-api.md', 'utf8');
  expect(codes.length).toBeGreaterThan(10);
  expect(codes.map((match) => match[1] ?? '').filter((code) => !docs.includes(code))).toEqual([]);
});

test('every invariant in docs/consistency.md is cited by a test', () => {
  const docs = readFileSync('docs/consistency.md', 'utf8');
  const inForce = [...docs.matchAll(/^\| (I[0-9]+) \|.*\| in force \|/gm)].map((m) => m[1] ?? '');
  expect(inForce.length).toBeGreaterThan(5);
  const tests = trackedFiles()
    .filter((file) => /^test\/.*\.ts$/.test(file))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n');
  expect(inForce.filter((name) => !new RegExp(`\\b${name}\\b`).test(tests))).toEqual([]);
});

test('every runtime dependency is accounted for in the dependency record', () => {
  const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Record<
    string,
    Record<string, string>
  >;
  const record = readFileSync('docs/adr/0001-dependencies.md', 'utf8');
  const names = [
    ...Object.keys(manifest['dependencies'] ?? {}),
    ...Object.keys(manifest['optionalDependencies'] ?? {}),
    ...Object.keys(manifest['devDependencies'] ?? {}),
  ];
  expect(names.filter((name) => !record.includes(`\`${name}\``))).toEqual([]);
});
