/** Time comes in through here. */
export interface Clock {
  /** Milliseconds since 1970, whole, never smaller than what it said before. */
  nowMs(): number;
  /** Resolves after about `ms`; at once, as a rejection with the reason, when `signal` is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}
