/** The command line as a person meets it: what it prints, on which stream, and the exit code. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { must } from '#base/assert.ts';
import { parseJson } from '#base/json.ts';
import {
  CLI,
  type Ended,
  killLeftovers,
  run,
  type ServerProcess,
  serve,
} from '../support/e2e-process.ts';

const VERBS = ['serve', 'load', 'search', 'query', 'inspect'] as const;
const ROWS = 2500;
/** The first integer that a double cannot tell from its neighbour. */
const FIRST_ID = 9_007_199_254_740_993n;
/** Nobody listens there. */
const NOWHERE = 'http://127.0.0.1:1';

let dir = '';
let file = '';
let server: ServerProcess | undefined;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sterna-cli-'));
  file = join(dir, 'rows.jsonl');
  const lines = Array.from(
    { length: ROWS },
    (_, n) =>
      `{"id":${FIRST_ID + BigInt(n)},"vector":[${n % 7},${n % 11},1,0.5],"name":"row ${n}","n":${n}}`,
  );
  await writeFile(file, `${lines.join('\n')}\n`);
  server = await serve([CLI, 'serve', '--port', '0', '--data', join(dir, 'data')]);
});
afterAll(async () => {
  await killLeftovers();
  await rm(dir, { recursive: true, force: true });
});

const sterna = (...args: readonly string[]): Promise<Ended> => run([CLI, ...args]);
const withServer = (...args: readonly string[]): Promise<Ended> =>
  sterna(...args, '--url', must(server, 'a server').url);

function expectSuccess({ code, signal, stderr }: Ended): void {
  expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
}

/** A sentence for a person, never a stack. */
function expectSentence(ended: Ended, ...words: readonly string[]): void {
  expect(ended).toMatchObject({ code: 1, signal: null, stdout: '' });
  expect(ended.stderr).toMatch(/^error/m);
  expect(ended.stderr).not.toMatch(/^\s+at |node:internal|\.[jt]s:[0-9]+/m);
  for (const word of words) expect(ended.stderr).toContain(word);
}

describe('help', () => {
  test('names every verb', async () => {
    const ended = await sterna('--help');
    expectSuccess(ended);
    for (const verb of VERBS) expect(ended.stdout).toMatch(new RegExp(`^ {2}${verb} `, 'm'));
  });

  test.for(VERBS)('%s says what it does and takes', async (verb) => {
    const ended = await sterna(verb, '--help');
    expectSuccess(ended);
    expect(ended.stdout).toContain(`Usage: sterna ${verb}`);
    expect(ended.stdout).toMatch(verb === 'serve' ? /--data <dir>/ : /--url <url>/);
  });

  test('no verb and an unknown one print it, with code 1', async () => {
    for (const args of [[], ['fly']]) {
      const ended = await sterna(...args);
      expect(ended).toMatchObject({ code: 1, stdout: '' });
      for (const verb of VERBS) expect(ended.stderr).toMatch(new RegExp(`^ {2}${verb} `, 'm'));
    }
  });
});

describe('a first quarter of an hour', () => {
  test('the ready line names the next command to try', () => {
    const { url, said } = must(server, 'a server');
    expect(said.stdout).toContain(`Sterna is ready on ${url}, data in ${join(dir, 'data')}`);
    expect(said.stdout).toMatch(
      new RegExp(`^Try: curl -s ${url}/v2/vectordb/collections/list `, 'm'),
    );
  });

  test('load creates the collection, shows progress, and sums up in rows a second', async () => {
    const ended = await withServer('load', file, 'terns', '--create', '--metric', 'L2');
    expect(ended).toMatchObject({ code: 0, signal: null });
    expect(ended.stdout).toMatch(new RegExp(`^${ROWS} rows into terns: [0-9]+ rows/s\n$`));
    expect(ended.stderr).toMatch(
      new RegExp(`loading \\[=+\\] 100% \\| ${ROWS} rows \\| [0-9]+ rows/s`),
    );
  });

  test('load again is an upsert: the same rows', async () => {
    expect(await withServer('load', file, 'terns', '--create')).toMatchObject({ code: 0 });
    const ended = await withServer('query', 'terns', '--count');
    expectSuccess(ended);
    expect(ended.stdout).toMatch(new RegExp(`count\\(\\*\\)[^]*│ ${ROWS} `));
  });

  test('query shows rows, as a table and as JSON, exact to 64 bits', async () => {
    const args = ['query', 'terns', '--filter', 'n < 2', '--output', 'id,name'];
    const table = await withServer(...args);
    expectSuccess(table);
    expect(table.stdout).toContain(`│ ${FIRST_ID} │ row 0 │`);
    expect(table.stdout).toContain(`│ ${FIRST_ID + 1n} │ row 1 │`);
    const asJson = await withServer(...args, '--json');
    expectSuccess(asJson);
    expect(parseJson(asJson.stdout)).toMatchObject({
      code: 0,
      data: [
        { id: FIRST_ID, name: 'row 0' },
        { id: FIRST_ID + 1n, name: 'row 1' },
      ],
    });
    const none = await withServer('query', 'terns', '--filter', 'n < 0');
    expect(none).toMatchObject({ code: 0, stdout: 'no rows\n' });
  });

  test('search finds neighbours, and explains itself', async () => {
    const vector = join(dir, 'vector.json');
    await writeFile(vector, '[0, 0, 1, 0.5]');
    const given = await withServer('search', 'terns', '--vector', '[0,0,1,0.5]', '--limit', '2');
    expectSuccess(given);
    expect(given.stdout).toContain(`│ ${FIRST_ID} │ 0        │`);
    const read = await withServer('search', 'terns', '--vector-file', vector, '--limit', '2');
    expect(read).toEqual(given);
    const explained = await withServer(
      ...['search', 'terns', '--vector-file', vector, '--filter', 'n > 100', '--explain'],
    );
    expectSuccess(explained);
    expect(explained.stdout).toMatch(/│ method +│/);
    expect(explained.stdout).toMatch(/│ (exact|graph) +│/);
  });

  test('inspect shows collections, shards and segments', async () => {
    await must(server, 'a server').must('vectordb/collections/flush', { collectionName: 'terns' });
    const table = await withServer('inspect');
    expectSuccess(table);
    for (const word of [
      'terns',
      'collectionID',
      'shard',
      'applied',
      'tailRows',
      'level',
      'graph',
    ]) {
      expect(table.stdout).toContain(word);
    }
    const asJson = await withServer('inspect', 'terns', '--json');
    expectSuccess(asJson);
    const found = parseJson(asJson.stdout);
    expect(found).toMatchObject([{ collectionName: 'terns', shards: [{ shard: 0, tailRows: 0 }] }]);
  });
});

describe('what cannot be done is said in a sentence', () => {
  test.for<readonly [string, readonly string[], readonly string[]]>([
    ['a file that is missing', ['load', 'nowhere.jsonl', 'terns'], ['cannot read nowhere.jsonl']],
    ['a file that is a folder', ['load', tmpdir(), 'terns'], ['cannot read', tmpdir()]],
    ['an unknown collection', ['query', 'petrels'], ['error 100', 'petrels']],
    ['an unknown collection to inspect', ['inspect', 'petrels'], ['error 100', 'petrels']],
    ['a wrong password', ['query', 'terns', '--user', 'root:gull'], ['error 1800']],
    ['a bad filter', ['query', 'terns', '--filter', 'n <'], ['error 1100', 'n <']],
    ['a bad vector', ['search', 'terns', '--vector', '[1,2'], ['--vector', 'not JSON']],
    ['no vector', ['search', 'terns'], ['--vector', '--vector-file']],
    [
      'a vector file that is missing',
      ['search', 'terns', '--vector-file', 'no.json'],
      ['cannot read no.json'],
    ],
    [
      'a vector of another length',
      ['search', 'terns', '--vector', '[1]'],
      ['error 1801', 'dimension'],
    ],
    ['a limit that is none', ['query', 'terns', '--limit', '0'], ['--limit', 'from 1 to 16384']],
    ['an unknown option', ['query', 'terns', '--fly'], ["unknown option '--fly'"]],
    ['a missing argument', ['load', 'rows.jsonl'], ["missing required argument 'collection'"]],
  ])('%s', async ([, args, words]) => {
    expectSentence(await withServer(...args), ...words);
  });

  test('a port that is none', async () => {
    expectSentence(await sterna('serve', '--port', 'abc'), '--port', 'from 0 to 65535');
  });

  test('a server that is not there, and how to start one', async () => {
    for (const args of [['query', 'terns'], ['inspect'], ['search', 'terns', '--vector', '[1]']]) {
      expectSentence(await sterna(...args, '--url', NOWHERE), NOWHERE, 'npm start');
    }
    const loading = await sterna('load', file, 'new', '--create', '--url', NOWHERE);
    expectSentence(loading, NOWHERE, 'npm start');
  });

  test('an address that is something else’s', async () => {
    const { url } = must(server, 'a server');
    const ended = await sterna('query', 'terns', '--url', `${url}/healthz`);
    expectSentence(ended, 'is no Sterna address');
  });

  test('lines that are no rows, by their numbers, and none of theirs is stored', async () => {
    const bad = join(dir, 'bad.jsonl');
    const row = (id: number, vector: string) => `{"id":${id},"vector":${vector}}\n`;
    await writeFile(bad, `${row(1, '[1,2,3,4]')}${row(2, '[1,2,3,4]')}{"id":3\n`);
    expectSentence(await withServer('load', bad, 'terns'), 'line 3');
    await writeFile(bad, `${row(1, '[1,2,3,4]')}[1]\n`);
    expectSentence(await withServer('load', bad, 'terns'), 'line 2: expected a JSON object');
    await writeFile(bad, `${row(1, '[1,2,3,4]')}${row(2, '[1,2]')}`);
    expectSentence(
      await withServer('load', bad, 'terns'),
      ...['error 1804', 'lines 1 to 2 were not acknowledged'],
    );
    const ended = await withServer('query', 'terns', '--count');
    expect(ended.stdout).toMatch(new RegExp(`│ ${ROWS} `));
  });
});

test('asked to end, the server finishes in order', async () => {
  const { stop, said } = must(server, 'a server');
  expect(await stop()).toMatchObject({ code: 0, signal: null });
  expect(said.stdout).toContain('Stopping');
  expect(said.stderr).not.toMatch(/"level":(50|60)/);
});
