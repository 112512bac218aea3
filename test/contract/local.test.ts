import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { openClock } from '#local/clock.ts';
import { systemEntropy } from '#local/entropy.ts';
import { directInvoker, workerInvoker } from '#local/invoker.ts';
import { type LocalPlatform, openLocal } from '#local/open-directory.ts';
import { openTelemetry } from '#local/telemetry.ts';
import { tryOut } from '../support/invoked-role.ts';
import { clockContract } from './clock.ts';
import { entropyContract } from './entropy.ts';
import { invokerContract } from './invoker.ts';
import { logContract } from './log.ts';
import { objectStoreContract } from './object-store.ts';
import type { OpenSubject } from './subject.ts';
import { tableContract } from './table.ts';
import { telemetryContract } from './telemetry.ts';

/** One port of an embedded platform in a directory of its own. */
const onDisk =
  <Port>(pick: (platform: LocalPlatform) => Port): OpenSubject<Port> =>
  async () => {
    const directory = await mkdtemp(join(tmpdir(), 'sterna-contract-'));
    let platform = await openLocal(directory);
    return {
      port: pick(platform),
      close: async () => {
        await platform.close();
        await rm(directory, { recursive: true });
      },
      reopen: async () => {
        await platform.close();
        platform = await openLocal(directory);
        return pick(platform);
      },
    };
  };

const durable = { durable: true };

objectStoreContract(
  'files',
  onDisk((platform) => platform.objects),
  durable,
);
tableContract(
  'LMDB, regional',
  onDisk((platform) => platform.regionalTable),
  durable,
);
tableContract(
  'LMDB, global',
  onDisk((platform) => platform.globalTable),
  durable,
);
logContract(
  'LMDB',
  onDisk((platform) => platform.log),
  durable,
);
clockContract('machine', () => ({ clock: openClock(), elapse: (ms) => delay(ms) }));
entropyContract('machine', () => systemEntropy);
telemetryContract('pino and prom-client', () => openTelemetry({ lines: { write() {} } }));
invokerContract('direct', async () => ({
  port: directInvoker({ try: tryOut }),
  close: async () => {},
}));
invokerContract('worker threads', async () => {
  const invoker = workerInvoker({ try: new URL('../support/invoked-role.ts', import.meta.url) });
  return { port: invoker, close: () => invoker.close() };
});
