/** Lets tasks of this process wait until another one has something for them. */
export type WakeUps = Readonly<{
  /** Resolves at the next `wake`, after `timeoutMs`, or at once when closed. */
  wait: (timeoutMs: number) => Promise<void>;
  wake: () => void;
  close: () => void;
}>;

/** Node's timers fire at once beyond this. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export function openWakeUps(): WakeUps {
  const waiting = new Set<() => void>();
  let closed = false;
  const wake = () => {
    for (const resume of [...waiting]) resume();
  };
  return {
    wait: (timeoutMs) =>
      new Promise((resolve) => {
        if (closed) return resolve();
        const resume = () => {
          clearTimeout(timer);
          waiting.delete(resume);
          resolve();
        };
        const timer = setTimeout(resume, Math.min(Math.max(timeoutMs, 0), TIMER_MS_MAX));
        waiting.add(resume);
      }),
    wake,
    close: () => {
      closed = true;
      wake();
    },
  };
}
