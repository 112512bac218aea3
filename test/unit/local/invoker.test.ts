import { afterEach, describe, expect, it } from 'vitest';
import { type WorkerInvoker, workerInvoker } from '#local/invoker.ts';

const ROLE = new URL('../../support/invoked-role.ts', import.meta.url);
let invoker: WorkerInvoker;
afterEach(() => invoker.close());

describe('a role on a worker thread', () => {
  it('may end its thread: the call is uncertain, and the next one gets another thread', async () => {
    invoker = workerInvoker({ try: ROLE });
    const ended = invoker.invoke('try', { exit: 3 });
    await expect(ended).rejects.toMatchObject({ code: 'UNCERTAIN' });
    await expect(ended).rejects.toThrow('try');
    expect(await invoker.invoke('try', { echo: 'again' })).toBe('again');
  });

  it('takes 64 calls at a time and refuses more', async () => {
    invoker = workerInvoker({ try: ROLE });
    const calls = Array.from({ length: 64 }, (_, echo) => invoker.invoke('try', { echo }));
    await expect(invoker.invoke('try', { echo: 0 })).rejects.toMatchObject({ code: 'OVERLOADED' });
    expect(await Promise.all(calls)).toHaveLength(64);
    expect(await invoker.invoke('try', { echo: 'room' })).toBe('room');
  });

  it('leaves calls uncertain when the invoker is closed, and refuses them afterwards', async () => {
    invoker = workerInvoker({ try: ROLE });
    await invoker.invoke('try', { echo: 1 });
    const call = invoker.invoke('try', { echo: 2 }).catch((error: unknown) => error);
    await invoker.close();
    const outcome = await call;
    if (outcome !== 2) expect(outcome).toMatchObject({ code: 'UNCERTAIN' });
    await expect(invoker.invoke('try', {})).rejects.toMatchObject({ code: 'UNCERTAIN' });
  });

  it('refuses what cannot be copied, on the way there and on the way back', async () => {
    invoker = workerInvoker({ try: ROLE });
    await expect(invoker.invoke('try', { echo: () => 1 })).rejects.toThrow();
    expect(await invoker.invoke('try', { echo: 'still there' })).toBe('still there');
  });

  it.each([
    ['is missing', './missing-role.ts', 'missing-role'],
    ['exports many functions', '../../../shared/base/bytes.ts', 'exports one function'],
  ])('fails its calls where its module %s', async (_, module, words) => {
    invoker = workerInvoker({ broken: new URL(module, import.meta.url) });
    await expect(invoker.invoke('broken', {})).rejects.toThrow(words);
  });
});
