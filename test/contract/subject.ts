/** What a contract suite opens for each of its tests. */
export type Subject<Port> = Readonly<{
  port: Port;
  close: () => Promise<void>;
  /**
   * Ends what was opened and opens it again over what it left on the disk; missing where nothing
   * outlives the adapter.
   */
  reopen?: () => Promise<Port>;
}>;

export type OpenSubject<Port> = () => Promise<Subject<Port>>;

/** Bytes that differ from place to place, so that a shifted or torn copy is seen. */
export function patternBytes(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    bytes[at] = state >>> 16;
  }
  return bytes;
}
