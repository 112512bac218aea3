/** The rules of `rules/`, run by cfn-guard, whose binary the package carries for x64 and arm64. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Template } from './template.ts';

export type GuardReport = Readonly<{
  /** `storage: ObjectsBucket: a bucket refuses public ACLs` without the file's name, sorted. */
  findings: readonly string[];
  /** Rules that found nothing to look at. */
  unused: readonly string[];
}>;

type FileReport = Readonly<{
  not_compliant: readonly unknown[];
  not_applicable: readonly string[];
}>;

const MACHINES: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' };
const SYSTEMS: Readonly<Record<string, string>> = { linux: 'ubuntu', darwin: 'macos' };

export function checkRules(template: Template): GuardReport {
  const folder = `${SYSTEMS[process.platform]}/${MACHINES[process.arch]}`;
  const binary = `node_modules/@cdklabs/cdk-validator-cfnguard/bin/${folder}/cfn-guard`;
  const rules = fileURLToPath(new URL('./rules', import.meta.url));
  const options = ['--output-format', 'json', '--show-summary', 'none', '--structured'];
  const { stdout, stderr, error } = spawnSync(binary, ['validate', '--rules', rules, ...options], {
    input: JSON.stringify(template),
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (error !== undefined) throw error;
  if (!stdout.startsWith('[')) throw new Error(`cfn-guard: ${stderr || stdout}`);
  // The report of `--structured`: one element for each template.
  const [report] = JSON.parse(stdout) as [FileReport];
  return {
    findings: [...new Set(report.not_compliant.flatMap(findingsIn))].sort(),
    unused: report.not_applicable,
  };
}

/** Every clause that failed has our sentence, and somewhere below it the path of what it looked at. */
function findingsIn(node: unknown): readonly string[] {
  if (typeof node !== 'object' || node === null) return [];
  // Members of a parsed JSON object.
  const { messages, ...others } = node as Readonly<Record<string, unknown>>;
  const message = (messages as { custom_message?: string } | undefined)?.custom_message;
  if (typeof message !== 'string' || message === '') {
    return Object.values(others).flatMap(findingsIn);
  }
  const path = /"\/?Resources\/([^/"[]+)|\/Resources\/([^/"[\]]+)/.exec(JSON.stringify(node));
  return [`${path?.[1] ?? path?.[2] ?? '?'}: ${message}`];
}
