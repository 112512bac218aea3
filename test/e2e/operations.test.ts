/**
 * The local commands of the runbooks, typed as they stand there: each page from its first block to its last
 * in one shell, on a fresh server. The service is the unit of docs/operations/local.md, run by a stand-in
 * for systemd that knows start and stop; only folders and ports are other ones.
 */
import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { type Block, expectedOf, fileIn, type Page, runbooks } from '../support/runbooks.ts';

const REPOSITORY = process.cwd();
const MARK = '@@@ block of line';
const pages = runbooks().filter(({ blocks }) => blocks.some(({ kind }) => kind === 'local'));
/** The page that starts the service for the first time. */
const FIRST_START = 'local.md';
/** The page that is about data: it begins with some, in segments, and must end with all of it. */
const WITH_ROWS = 'backup-and-loss.md';
const ROWS = 500;

let root = '';
afterEach(async () => {
  await service('stop').catch(() => undefined);
  await rm(root, { recursive: true, force: true });
});

/** A shell's outcome; everything it started in the background is gone with it, but for the service. */
type Outcome = Readonly<{ code: number | null; stdout: string; stderr: string }>;

function shell(script: string, env: Readonly<Record<string, string>>): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn('bash', ['-c', script], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: path(), HOME: root, ...env },
    });
    const said = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk: Buffer) => {
      said.stdout += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      said.stderr += chunk.toString();
    });
    child.once('error', reject);
    child.once('exit', (code) => resolve({ code, ...said }));
  });
}

const path = (): string =>
  [join(root, 'bin'), join(REPOSITORY, 'node_modules/.bin'), process.env['PATH']].join(delimiter);

const service = (verb: 'start' | 'stop'): Promise<Outcome> => shell(`systemctl ${verb} sterna`, {});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // A TCP server that listens has an address with a port.
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The folders and ports of the pages, as those of this test. */
async function replacements(): Promise<(text: string) => string> {
  const [port, second] = [await freePort(), await freePort()];
  return (text) =>
    text
      .replace(/\/(opt\/sterna|srv\/|tmp\/)/g, (folder) =>
        folder.startsWith('/opt') ? REPOSITORY : root + folder,
      )
      .replaceAll('19530', String(port))
      .replaceAll('19531', String(second));
}

/** systemctl start and stop, and journalctl, for the one unit there is. */
async function installService(page: Page, replace: (text: string) => string): Promise<void> {
  for (const folder of ['bin', 'srv', 'tmp']) await mkdir(join(root, folder));
  const unit = replace(fileIn(page, '/etc/systemd/system/sterna.service'));
  const of = (key: string): string => new RegExp(`^${key}=(.*)$`, 'm').exec(unit)?.[1] ?? '';
  expect(of('KillSignal')).toBe('SIGTERM');
  await writeFile(join(root, 'sterna.env'), replace(fileIn(page, '/etc/sterna.env')));
  const systemctl = `#!/bin/bash
set -u
[ "$2" = sterna ] || exit 5
if [ "$1" = start ]; then
  cd '${of('WorkingDirectory')}' || exit 1
  set -a; . '${root}/sterna.env'; set +a
  unset STERNA_URL STERNA_USER
  ${of('ExecStart')} < /dev/null >> '${root}/log' 2>&1 &
  echo $! > '${root}/pid'
elif [ "$1" = stop ]; then
  pid=$(cat '${root}/pid') || exit 1
  kill -TERM "$pid" 2> /dev/null || exit 0
  # A process that nobody waits for stays as a zombie.
  for _ in $(seq 300); do
    grep -q '^State:.[^Z]' "/proc/$pid/status" 2> /dev/null || exit 0
    sleep 0.1
  done
  exit 1
else
  exit 4
fi
`;
  const journalctl = `#!/bin/bash
[ "$*" = '-u sterna -o cat' ] || exit 4
cat '${root}/log'
`;
  for (const [name, text] of Object.entries({ systemctl, journalctl })) {
    await writeFile(join(root, 'bin', name), text);
    await chmod(join(root, 'bin', name), 0o755);
  }
}

// biome-ignore lint/suspicious/noExplicitAny: assertions look into replies of many shapes
async function must(url: string, verb: string, body: object): Promise<any> {
  const response = await fetch(`${url}/v2/vectordb/${verb}`, {
    method: 'POST',
    headers: { authorization: 'Bearer root:Milvus' },
    body: JSON.stringify(body),
  });
  const reply = (await response.json()) as { code: number };
  expect(reply, verb).toMatchObject({ code: 0 });
  return reply;
}

async function fill(url: string): Promise<void> {
  const collectionName = 'terns';
  await must(url, 'collections/create', { collectionName, dimension: 2, params: { shardsNum: 2 } });
  const data = Array.from({ length: ROWS }, (_, id) => ({ id, vector: [id, 1] }));
  await must(url, 'entities/insert', { collectionName, data });
  await must(url, 'collections/flush', { collectionName });
}

async function rowsOf(url: string): Promise<unknown> {
  const body = { collectionName: 'terns', outputFields: ['count(*)'] };
  return (await must(url, 'entities/query', body)).data[0]['count(*)'];
}

const scriptOf = (blocks: readonly Block[]): string =>
  ['set -euo pipefail', ...blocks.map(({ text, line }) => `echo '${MARK} ${line}'\n${text}`)].join(
    '\n',
  );

/** What each block printed, by its line. */
const outputs = (stdout: string): ReadonlyMap<number, string> =>
  new Map(
    stdout
      .split(`${MARK} `)
      .slice(1)
      .map((part): [number, string] => [Number.parseInt(part, 10), part]),
  );

describe('the local commands of', () => {
  test.each(pages.map((page) => [page.name, page] as const))('%s', async (name, page) => {
    root = await mkdtemp(join(tmpdir(), 'sterna-operations-'));
    const replace = await replacements();
    const local = runbooks().find((other) => other.name === FIRST_START);
    if (local === undefined) throw new Error(`no page ${FIRST_START}`);
    await installService(local, replace);
    const url = replace('http://127.0.0.1:19530');
    if (name !== FIRST_START) {
      await service('start');
      await shell(`curl -s --retry 60 --retry-connrefused --retry-delay 1 ${url}/healthz`, {});
    }
    if (name === WITH_ROWS) await fill(url);
    const blocks = page.blocks.filter(({ kind }) => kind === 'local');
    const { code, stdout, stderr } = await shell(replace(scriptOf(blocks)), {
      STERNA_URL: url,
      STERNA_USER: 'root:Milvus',
    });
    const log = await readFile(join(root, 'log'), 'utf8').catch(() => 'no log');
    expect(code, `${stdout}\n${stderr}\n${log.slice(-2000)}`).toBe(0);
    const printed = outputs(stdout);
    expect(printed.size).toBe(blocks.length);
    for (const block of blocks) {
      let rest = printed.get(block.line) ?? '';
      for (const expected of expectedOf(block)) {
        expect(rest, `${name}:${block.line}`).toContain(expected);
        rest = rest.slice(rest.indexOf(expected) + expected.length);
      }
    }
    if (name === WITH_ROWS) expect(await rowsOf(url)).toBe(ROWS);
  });
});
