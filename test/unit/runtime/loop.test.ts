/** The background loop over days: what each round leaves behind. */
import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { startLoop } from '#runtime/loop.ts';
import { silentTelemetry } from '#sim/silent-telemetry.ts';

const ROUNDS = 100;

test('a round leaves nothing behind that waits for the loop to stop', async () => {
  let signal: AbortSignal | undefined;
  let rounds = 0;
  let done: () => void = () => {};
  const enough = new Promise<void>((resolve) => {
    done = resolve;
  });
  const clock = {
    nowMs: () => 0,
    sleep: async (_ms: number, given?: AbortSignal) => {
      signal = given;
    },
  };
  const loop = startLoop({ clock, telemetry: silentTelemetry }, 'test', async () => {
    rounds += 1;
    if (rounds === ROUNDS) done();
    // A turn of the event loop, so that the test goes on beside it.
    await new Promise((resolve) => setImmediate(resolve));
    return 1;
  });
  await enough;
  const waiting = signal === undefined ? ROUNDS : getEventListeners(signal, 'abort').length;
  await loop.stop();
  expect(waiting).toBeLessThanOrEqual(2);
});

test('stopping ends a wait that does not listen', async () => {
  const clock = { nowMs: () => 0, sleep: () => new Promise<void>(() => {}) };
  let waits: () => void = () => {};
  const waiting = new Promise<void>((resolve) => {
    waits = resolve;
  });
  const idle = (): Promise<void> => {
    waits();
    return new Promise(() => {});
  };
  const loop = startLoop({ clock, telemetry: silentTelemetry }, 'test', async () => 1, idle);
  await waiting;
  expect(await loop.stop().then(() => 'stopped')).toBe('stopped');
});
