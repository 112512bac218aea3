/** `serverless package` for tests: as a user types it, without a network and without credentials. */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Template } from './template.ts';

export type PackageRequest = Readonly<{
  stage: string;
  region?: string;
  params?: Readonly<Record<string, string>>;
}>;

export type Packaged = Readonly<{
  /** Holds the template and the zips. */
  dir: string;
  template: Template;
  /** Deletes everything. */
  remove: () => Promise<void>;
}>;

/** Nothing listens there: whoever wants the network fails. */
const NO_NETWORK = 'http://127.0.0.1:9';
/** It takes 4 s on an idle machine. */
const PACKAGE_MS_MAX = 120_000;

/**
 * Packages a copy of the sources: osls and esbuild write beside serverless.yml, where two packagings at
 * once would meet.
 */
export async function packageStage(request: PackageRequest): Promise<Packaged> {
  const service = await mkdtemp(join(tmpdir(), 'sterna-package-'));
  for (const name of ['serverless.yml', 'package.json', 'functions', 'layers', 'shared']) {
    await cp(name, join(service, name), { recursive: true });
  }
  await symlink(join(process.cwd(), 'node_modules'), join(service, 'node_modules'));
  const dir = join(service, 'packaged');
  await runPackage(service, [...optionsOf(request), '--package', dir]);
  return {
    dir,
    template: await readTemplate(dir),
    remove: () => rm(service, { recursive: true, force: true }),
  };
}

export const optionsOf = ({ stage, region = 'us-east-1', params = {} }: PackageRequest) => [
  ...['--stage', stage, '--region', region],
  ...Object.entries(params).flatMap(([name, value]) => ['--param', `${name}=${value}`]),
];

/** @throws an error with all that was printed where packaging fails */
export async function runPackage(service: string, options: readonly string[]): Promise<string> {
  const bin = join(process.cwd(), 'node_modules', '.bin');
  const environment = { PATH: `${bin}:/usr/local/bin:/usr/bin:/bin`, HOME: service };
  const { stdout, stderr } = await promisify(execFile)(
    join(bin, 'serverless'),
    ['package', ...options],
    {
      cwd: service,
      env: { ...environment, HTTP_PROXY: NO_NETWORK, HTTPS_PROXY: NO_NETWORK },
      timeout: PACKAGE_MS_MAX,
    },
  );
  return stdout + stderr;
}

/** The template that `serverless deploy` would send, once the deployment bucket is there. */
export async function readTemplate(dir: string): Promise<Template> {
  const text = await readFile(join(dir, 'cloudformation-template-update-stack.json'), 'utf8');
  // What osls writes; `specification.ts` looks at every part of it.
  return JSON.parse(text) as Template;
}
