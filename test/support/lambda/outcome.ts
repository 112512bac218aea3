import type { Outcome } from './function.ts';

/** What a function answered; throws what else became of it. */
export function resultOf(outcome: Outcome): unknown {
  if (outcome.kind === 'result') return outcome.payload;
  throw new Error(`not a result: ${JSON.stringify(outcome)}`);
}
