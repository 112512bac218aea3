/**
 * `npm run package`, as a user types it: without a network and without credentials, for both stages and
 * both architectures, each twice. The same sources give the same zips, and a zip holds what its function
 * needs and nothing else.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readZip } from '../support/lambda/zip.ts';
import { optionsOf, readTemplate } from '../template/packaging.ts';

const FUNCTIONS = ['admin', 'apply', 'collect', 'compact', 'read', 'scrub', 'write'] as const;
const WITH_GRAPHS = ['compact', 'read'];
/** The machine in an ELF file's head, two bytes at 18. */
const MACHINES: Readonly<Record<string, number>> = { x64: 62, arm64: 183 };
/** Nothing listens there. */
const NO_NETWORK = 'http://127.0.0.1:9';

const cases = ['dev', 'prod'].flatMap((stage) =>
  (['x64', 'arm64'] as const).map((folder) => ({
    stage,
    folder,
    architecture: folder === 'x64' ? 'x86_64' : 'arm64',
  })),
);

let service: string;

beforeAll(async () => {
  // A copy, so that nobody else packages in the same folder meanwhile.
  service = await mkdtemp(join(tmpdir(), 'sterna-npm-package-'));
  for (const name of ['serverless.yml', 'package.json', 'functions', 'layers', 'shared']) {
    await cp(name, join(service, name), { recursive: true });
  }
  await symlink(join(process.cwd(), 'node_modules'), join(service, 'node_modules'));
});

afterAll(() => rm(service, { recursive: true, force: true }));

/** With the path to npm, a home without credentials, a proxy that is not there, and nothing else. */
async function npmRunPackage(options: readonly string[]): Promise<void> {
  const { PATH = '' } = process.env;
  await promisify(execFile)('npm', ['run', 'package', '--', ...options], {
    cwd: service,
    env: { PATH, HOME: service, HTTP_PROXY: NO_NETWORK, HTTPS_PROXY: NO_NETWORK },
  });
}

const hashes = (dir: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    readdirSync(dir)
      .filter((name) => name.endsWith('.zip'))
      .map((name) => [
        name,
        createHash('sha256')
          .update(readFileSync(join(dir, name)))
          .digest('hex'),
      ]),
  );

describe.each(cases)('stage $stage on $architecture', ({ stage, folder, architecture }) => {
  const dirs = ['first', 'second'].map((run) => () => join(service, `${stage}-${folder}-${run}`));

  beforeAll(async () => {
    for (const dir of dirs) {
      const options = optionsOf({ stage, params: { architecture } });
      await npmRunPackage([...options, '--package', dir()]);
    }
  });

  test('twice gives the same hash for every zip', () => {
    const [first = {}, second = {}] = dirs.map((dir) => hashes(dir()));
    expect(Object.keys(first)).toEqual(FUNCTIONS.map((name) => `${name}.zip`));
    expect(second).toEqual(first);
  });

  test('a zip holds its function, and the addon of its architecture only where graphs are', () => {
    const dir = dirs[0]?.() ?? '';
    for (const name of FUNCTIONS) {
      const entries = readZip(readFileSync(join(dir, `${name}.zip`)));
      const names = entries.map((entry) => entry.name);
      const addons = entries.filter((entry) => entry.name.endsWith('.node'));
      const expected = WITH_GRAPHS.includes(name)
        ? [`functions/${name}.js`, 'layers/hnswlib/index.cjs', 'layers/hnswlib/LICENSES.txt']
        : [`functions/${name}.js`];
      expect(names.filter((each) => !each.startsWith(`layers/hnswlib/${folder}/`)).sort()).toEqual(
        [...expected].sort(),
      );
      expect(addons.length > 0).toBe(WITH_GRAPHS.includes(name));
      for (const { read } of addons) expect(read().readUInt16LE(18)).toBe(MACHINES[folder]);
    }
  });

  test('the template names what is beside it', async () => {
    const { Resources } = await readTemplate(dirs[0]?.() ?? '');
    const functions = Object.values(Resources).filter(
      ({ Type }) => Type === 'AWS::Lambda::Function',
    );
    expect(functions).toHaveLength(FUNCTIONS.length);
    for (const { Properties } of functions) {
      expect(Properties).toMatchObject({ Runtime: 'nodejs24.x', Architectures: [architecture] });
    }
  });
});
