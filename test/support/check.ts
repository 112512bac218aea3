/**
 * The one gate: format and lint, types, every test, in this order; stops at the first that fails.
 *
 * The last line counts the steps, so that a reader of a long log needs to look at nothing else.
 */
import { spawnSync } from 'node:child_process';

const STEPS: readonly Readonly<{ name: string; command: readonly string[] }>[] = [
  { name: 'format and lint', command: ['biome', 'check', '--error-on-warnings', '.'] },
  { name: 'types', command: ['tsc', '-p', 'tsconfig.json'] },
  { name: 'tests', command: ['vitest', 'run'] },
];

let passed = 0;
for (const { name, command } of STEPS) {
  const started = performance.now();
  const [program = '', ...args] = command;
  const { status } = spawnSync(program, args, { stdio: 'inherit' });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (status !== 0) {
    console.error(`\ncheck: ${name} failed after ${seconds} s (${command.join(' ')})`);
    console.error(`check: ${passed} passed, 1 failed`);
    process.exit(1);
  }
  passed++;
  console.log(`\ncheck: ${name} passed in ${seconds} s\n`);
}
console.log(`check: ${passed} passed, 0 failed`);
