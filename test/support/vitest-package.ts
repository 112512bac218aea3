/**
 * Packages the functions once for all tests of a run, as a deployment would. STERNA_PACKAGE_DIR names
 * a folder that `npm run package -- --package DIR` filled before, and then nothing is packaged.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PACKAGE_MS_MAX = 300_000;

export default async function setup(): Promise<(() => Promise<void>) | undefined> {
  if (process.env['STERNA_PACKAGE_DIR'] !== undefined) return undefined;
  const dir = await mkdtemp(join(tmpdir(), 'sterna-package-'));
  const serverless = join(ROOT, 'node_modules/.bin/serverless');
  const args = ['package', '--stage', 'dev', '--region', 'us-east-1', '--package', dir];
  await promisify(execFile)(serverless, args, { cwd: ROOT, timeout: PACKAGE_MS_MAX });
  // The workers that run the tests inherit it.
  process.env['STERNA_PACKAGE_DIR'] = dir;
  return () => rm(dir, { recursive: true, force: true });
}
