/**
 * Loaded before a server (`--import`): its date is the machine's plus what the file that `CLOCK_FILE` names says,
 * in milliseconds, looked at once at the start and again whenever SIGWINCH comes. Time that runs (timers,
 * `performance`) goes on as ever, as it does where somebody sets a machine's clock.
 */
import { readFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const MachineDate = Date;
const machineNow = Date.now;
const look = () => Number(readFileSync(process.env.CLOCK_FILE, 'utf8'));
let aheadMs = look();

class SetDate extends MachineDate {
  constructor(...given) {
    if (given.length === 0) super(machineNow() + aheadMs);
    else super(...given);
  }

  static now() {
    return machineNow() + aheadMs;
  }
}
globalThis.Date = SetDate;

if (isMainThread) {
  process.on('SIGWINCH', () => {
    aheadMs = look();
    process.stdout.write(`the clock is ahead by ${aheadMs} ms\n`);
  });
}
