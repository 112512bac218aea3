/**
 * The functions as serverless-esbuild bundles them for a deployment, and what is in each bundle.
 *
 * `node test/support/bundle.ts` prints a table: sizes, and how long each takes to load in a new process
 * beside a handler that does nothing.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { type BuildOptions, build } from 'esbuild';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export const FUNCTIONS = [
  'write',
  'read',
  'admin',
  'apply',
  'compact',
  'collect',
  'scrub',
] as const;
export type FunctionName = (typeof FUNCTIONS)[number];

/** The place of the graph library in a zip, beside `functions/`. */
export const ADDON = '../layers/hnswlib/index.cjs';

/** What serverless.yml says under `custom.esbuild`, where `external` is `exclude`. */
export const BUNDLE_OPTIONS = {
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node24',
  mainFields: ['module', 'main'],
  minifyWhitespace: true,
  minifySyntax: true,
  minifyIdentifiers: false,
  sourcemap: false,
  alias: { 'hnswlib-node': ADDON },
  external: ['../layers/*'],
} satisfies BuildOptions;

export type Bundle = Readonly<{
  name: FunctionName;
  code: Uint8Array;
  /** Bytes in the bundle by package, our own by chapter (`shared/query`). */
  parts: ReadonlyMap<string, number>;
  /** What is required at run time and not in the bundle, without Node's own modules. */
  externals: readonly string[];
}>;

export async function bundleFunction(name: FunctionName): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    ...BUNDLE_OPTIONS,
    absWorkingDir: ROOT,
    entryPoints: [`functions/${name}.ts`],
    outdir: 'bundles',
    write: false,
    metafile: true,
    logLevel: 'error',
  });
  const [file] = outputFiles;
  const [output] = Object.values(metafile.outputs);
  if (file === undefined || output === undefined) throw new Error(`no bundle of ${name}`);
  const parts = new Map<string, number>();
  for (const [path, { bytesInOutput }] of Object.entries(output.inputs)) {
    const part = partOf(path);
    if (bytesInOutput > 0) parts.set(part, (parts.get(part) ?? 0) + bytesInOutput);
  }
  const externals = output.imports
    .filter(({ external, path }) => external === true && !isOfNode(path))
    .map(({ path }) => path);
  return { name, code: file.contents, parts, externals: [...new Set(externals)] };
}

const isOfNode = (path: string): boolean =>
  path.startsWith('node:') || process.getBuiltinModule(path) !== undefined;

/** `node_modules/@a/b/node_modules/c/x.js` belongs to `c`, `shared/query/plan.ts` to `shared/query`. */
function partOf(path: string): string {
  const modules = path.split('node_modules/');
  const last = modules.at(-1) ?? path;
  const steps = last.split('/');
  if (modules.length === 1) return steps.slice(0, 2).join('/');
  return steps.slice(0, last.startsWith('@') ? 2 : 1).join('/');
}

/** Processes for each bundle, in turn, so that a busy moment of the machine hits all alike. */
const STARTS = 9;

/** Milliseconds of `require()` in a new process, the median, by bundle; `bare` does nothing. */
export function startTimes(bundles: readonly Bundle[]): ReadonlyMap<string, number> {
  const folder = mkdtempSync(join(tmpdir(), 'sterna-start-'));
  try {
    const bare = new TextEncoder().encode('exports.handler = async () => ({ statusCode: 200 });');
    const files = [{ name: 'bare', code: bare }, ...bundles].map(({ name, code }) => {
      const path = join(folder, `${name}.cjs`);
      writeFileSync(path, code);
      return { name, path, tookMs: [] as number[] };
    });
    for (let round = 0; round < STARTS; round++) {
      for (const { path, tookMs } of files) tookMs.push(startOnce(path));
    }
    return new Map(files.map(({ name, tookMs }) => [name, median(tookMs)]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function startOnce(path: string): number {
  const script =
    `const from = process.hrtime.bigint(); require(${JSON.stringify(path)});` +
    'process.stdout.write(String(Number(process.hrtime.bigint() - from) / 1e6)); process.exit(0)';
  const env = { AWS_REGION: 'us-east-1' };
  return Number(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8', env }));
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

async function printTable(): Promise<void> {
  const bundles = await Promise.all(FUNCTIONS.map(bundleFunction));
  const times = startTimes(bundles);
  console.info('function     KiB   zipped   load ms');
  console.info(`bare           0        0   ${times.get('bare')?.toFixed(1).padStart(7)}`);
  for (const { name, code } of bundles) {
    const kib = (bytes: number): string => (bytes / 1024).toFixed(0);
    const zipped = kib(gzipSync(code, { level: 9 }).length);
    const ms = times.get(name)?.toFixed(1) ?? '';
    console.info(
      `${name.padEnd(10)}${kib(code.length).padStart(6)}${zipped.padStart(9)}${ms.padStart(10)}`,
    );
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await printTable();
