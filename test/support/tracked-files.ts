import { execFileSync } from 'node:child_process';

/** Files of the project, new ones too: whatever git tracks or would track, as paths from the root. */
export function trackedFiles(): readonly string[] {
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard'], {
    encoding: 'utf8',
  });
  return [...new Set(listed.split('\n').filter((line) => line !== ''))].sort();
}
