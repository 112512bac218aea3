import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Invoker } from '#ports/invoker.ts';
import type { OpenSubject, Subject } from './subject.ts';

/**
 * Everything `ports/invoker.ts` promises. The subject has the role `try`, which runs `tryOut` of
 * `test/support/invoked-role.ts`. `sharesMemory`: caller and role are threads of one process; between
 * machines, memory made for sharing is refused rather than copied.
 */
export function invokerContract(
  name: string,
  open: OpenSubject<Invoker>,
  { sharesMemory = true }: Readonly<{ sharesMemory?: boolean }> = {},
): void {
  describe(`invoker: ${name}`, () => {
    let subject: Subject<Invoker>;
    let invoker: Invoker;
    beforeEach(async () => {
      subject = await open();
      invoker = subject.port;
    });
    afterEach(() => subject.close());

    it('calls the role with the payload and returns its answer', async () => {
      const payload = { echo: { text: 'ü', list: [1, null, true], bytes: new Uint8Array([1, 2]) } };
      expect(await invoker.invoke('try', payload)).toEqual(payload.echo);
      expect(await invoker.invoke('try', { echo: undefined })).toBeUndefined();
    });

    it('shares nothing with the role but what is made for sharing', async () => {
      const bytes = new Uint8Array([1, 2, 3]);
      expect(await invoker.invoke('try', { overwrite: bytes })).toEqual(new Uint8Array(3));
      expect(bytes).toEqual(new Uint8Array([1, 2, 3]));
      const shared = new Uint8Array(new SharedArrayBuffer(3)).fill(7);
      const call = invoker.invoke('try', { overwrite: shared });
      if (sharesMemory) await call;
      else await expect(call).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      expect([...shared]).toEqual(sharesMemory ? [0, 0, 0] : [7, 7, 7]);
    });

    it('throws what the role throws', async () => {
      const refused = invoker.invoke('try', { refuse: 'no room' });
      await expect(refused).rejects.toMatchObject({ name: 'StoreError', code: 'OVERLOADED' });
      await expect(refused).rejects.toThrow('no room');
      const thrown = invoker.invoke('try', { throw: 'a bug' });
      await expect(thrown).rejects.toBeInstanceOf(Error);
      await expect(thrown).rejects.toThrow('a bug');
    });

    it('keeps each answer with its call', async () => {
      const calls = Array.from({ length: 20 }, (_, echo) => invoker.invoke('try', { echo }));
      expect(await Promise.all(calls)).toEqual(Array.from({ length: 20 }, (_, echo) => echo));
    });

    it('refuses a role that there is not', async () => {
      for (const role of ['nobody', 'toString', '']) {
        await expect(invoker.invoke(role, {})).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
      }
    });
  });
}
