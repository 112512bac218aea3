/** What a background role says of a part of its work that failed; the rest goes on. */
import { isStoreError } from '#base/errors.ts';
import type { Telemetry } from '#ports/telemetry.ts';

/**
 * One event for all roles, which the alarm `maintenance-failing` counts.
 *
 * @param loop the role, or the part of it; `shard` what it was at
 */
export function reportFailure(
  telemetry: Telemetry,
  run: { failures: number },
  loop: string,
  shard: string,
  error: unknown,
): void {
  run.failures += 1;
  telemetry.event('error', 'maintenance-failed', {
    loop,
    shard,
    code: isStoreError(error) ? error.code : 'INTERNAL',
    reason: error instanceof Error ? error.message : String(error),
  });
}
