/**
 * `npm run layer`: compiles the binaries, their licences and their facts anew. `npm run layer -- --check` compiles
 * them elsewhere and compares: equal compilers must give the bytes that are committed.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  ARCHITECTURES,
  BINARIES,
  type BuildFacts,
  buildBinary,
  committedFacts,
  FOLDER,
  inputsOf,
  sha256,
  toolsOf,
  versions,
} from './build.ts';
import { type Architecture, imageProblems } from './check.ts';
import { gatherSources, licences } from './sources.ts';

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });
const scratch = mkdtempSync(join(tmpdir(), 'sterna-layer-'));
let differences = 0;
try {
  for (const architecture of ARCHITECTURES) {
    const facts = rebuild(architecture);
    if (values.check) compare(architecture, facts);
  }
  if (!values.check) writeFileSync(join(FOLDER, 'LICENSES.txt'), licences());
  else if (readFileSync(join(FOLDER, 'LICENSES.txt'), 'utf8') !== licences()) {
    say('LICENSES.txt differs from the texts of the installed packages');
    differences++;
  }
} finally {
  rmSync(scratch, { recursive: true });
}
process.exitCode = differences === 0 ? 0 : 1;

function rebuild(architecture: Architecture): BuildFacts {
  const sources = gatherSources();
  const binaries: Record<string, { inputs: string; sha256: string }> = {};
  for (const binary of BINARIES.filter((each) => each.architecture === architecture)) {
    const bytes = buildBinary(binary, join(scratch, architecture, binary.name), [], sources);
    const problems = imageProblems(bytes, architecture);
    if (problems.length > 0) {
      throw new Error(`${architecture}/${binary.name}:\n  ${problems.join('\n  ')}`);
    }
    binaries[binary.name] = { inputs: inputsOf(binary, sources), sha256: sha256(bytes) };
    if (!values.check) write(architecture, binary.name, bytes);
    say(`${sha256(bytes)}  ${architecture}/${binary.name} (${bytes.length} bytes)`);
  }
  const facts = { ...versions(), ...toolsOf(architecture), binaries };
  if (!values.check) {
    const sums = Object.entries(binaries).map(([name, each]) => `${each.sha256}  ${name}\n`);
    write(architecture, 'SHA256SUMS', sums.join(''));
    write(architecture, 'build.json', `${JSON.stringify(facts, null, 2)}\n`);
  }
  return facts;
}

function compare(architecture: Architecture, facts: BuildFacts): void {
  const committed = committedFacts(architecture);
  for (const name of Object.keys({ ...committed.binaries, ...facts.binaries })) {
    const [then, now] = [committed.binaries[name], facts.binaries[name]];
    if (then?.sha256 === now?.sha256) continue;
    differences++;
    const reason =
      then?.inputs !== now?.inputs
        ? 'other sources or flags'
        : `GCC ${committed.gcc} and binutils ${committed.binutils} then, ${facts.gcc} and ${facts.binutils} now`;
    say(`${architecture}/${name} differs from the committed ${then?.sha256}: ${reason}`);
  }
}

function write(architecture: Architecture, name: string, content: Uint8Array | string): void {
  mkdirSync(join(FOLDER, architecture), { recursive: true });
  writeFileSync(join(FOLDER, architecture, name), content);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
