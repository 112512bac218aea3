/** A process that runs the histories it is sent, one after the other. */
import { runHistory } from './history.ts';
import { type Ask, toOptions } from './options.ts';
import { reportOf } from './totals.ts';

process.on('message', (ask: Ask) => {
  runHistory(toOptions(ask)).then(
    (outcome) => process.send?.(reportOf(outcome)),
    (error: unknown) => {
      console.error(`seed ${ask.seed}:`, error);
      process.exit(1);
    },
  );
});
