/**
 * Calls a function role with a payload: a direct call or a worker thread locally, Lambda on AWS.
 *
 * Payload and answer are plain JSON-like values (structured-cloneable). A call that throws
 * `UNCERTAIN` may still be running: whatever a role does must be safe to run twice.
 */
export interface Invoker {
  invoke(role: string, payload: unknown): Promise<unknown>;
}
