/**
 * Lambda runs as a user of its own: "AWS Lambda requires global read permissions on code files". What a
 * careful umask, in the checkout or in the shell, would take away is given back, so the zips of two people
 * are the same, and those of a careful one start.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, cp, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readZip } from '../support/lambda/zip.ts';

const FUNCTIONS = ['admin', 'apply', 'collect', 'compact', 'read', 'scrub', 'write'] as const;
const UMASKS = [0o022, 0o077, 0o002] as const;

let top: string;

beforeAll(async () => {
  top = await mkdtemp(join(tmpdir(), 'sterna-modes-'));
});
afterAll(() => rm(top, { recursive: true, force: true }));

/** Packages a checkout of its own, made and packaged under `umask`. */
async function packageUnder(umask: number): Promise<string> {
  const service = join(top, `umask-${umask.toString(8)}`, 'service');
  for (const name of ['serverless.yml', 'package.json', 'functions', 'layers', 'shared']) {
    await cp(name, join(service, name), { recursive: true });
  }
  await symlink(join(process.cwd(), 'node_modules'), join(service, 'node_modules'));
  for (const entry of await readdir(service, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) await chmod(join(entry.parentPath, entry.name), 0o666 & ~umask);
  }
  const { PATH = '' } = process.env;
  const bin = join(process.cwd(), 'node_modules', '.bin');
  const command = `umask ${umask.toString(8)} && exec serverless package --stage dev --package zips`;
  await promisify(execFile)('sh', ['-c', command], {
    cwd: service,
    env: { PATH: `${bin}:${PATH}`, HOME: service },
  });
  return join(service, 'zips');
}

test('every file of a zip can be read by everybody, and its hash does not depend on a umask', async () => {
  const hashes: Record<string, string>[] = [];
  for (const umask of UMASKS) {
    const dir = await packageUnder(umask);
    const own: Record<string, string> = {};
    for (const name of FUNCTIONS) {
      const bytes = await readFile(join(dir, `${name}.zip`));
      for (const entry of readZip(bytes)) {
        expect(entry.mode.toString(8), `${name}.zip: ${entry.name}`).toBe('644');
      }
      own[name] = createHash('sha256').update(bytes).digest('hex');
    }
    hashes.push(own);
  }
  expect(hashes).toEqual(UMASKS.map(() => hashes[0]));
}, 300_000);
