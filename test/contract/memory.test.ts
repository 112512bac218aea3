import { ManualClock } from '#sim/manual-clock.ts';
import { MemoryLog } from '#sim/memory-log.ts';
import { MemoryObjectStore } from '#sim/memory-object-store.ts';
import { MemoryTable } from '#sim/memory-table.ts';
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import { RecordingTelemetry, silentTelemetry } from '#sim/silent-telemetry.ts';
import { clockContract } from './clock.ts';
import { entropyContract } from './entropy.ts';
import { logContract } from './log.ts';
import { objectStoreContract } from './object-store.ts';
import type { OpenSubject } from './subject.ts';
import { tableContract } from './table.ts';
import { telemetryContract } from './telemetry.ts';

const inMemory =
  <Port>(make: () => Port): OpenSubject<Port> =>
  async () => ({ port: make(), close: async () => {} });

const volatile = { durable: false };

objectStoreContract(
  'memory',
  inMemory(() => new MemoryObjectStore(new ManualClock())),
  volatile,
);
tableContract(
  'memory',
  inMemory(() => new MemoryTable()),
  volatile,
);
logContract(
  'memory, one stream shard',
  inMemory(() => new MemoryLog({ clock: new ManualClock() })),
  volatile,
);
logContract(
  'memory, four stream shards and gaps in the sequences',
  inMemory(
    () =>
      new MemoryLog({
        clock: new ManualClock(),
        streamShards: 4,
        entropy: new SeededEntropy('log contract'),
      }),
  ),
  volatile,
);
logContract(
  'memory, resharded',
  inMemory(() => {
    const log = new MemoryLog({ clock: new ManualClock(), streamShards: 2 });
    log.reshard(3);
    return log;
  }),
  volatile,
);
clockContract('manual', () => {
  const clock = new ManualClock();
  return { clock, elapse: (ms) => clock.advance(ms) };
});
entropyContract('seeded', () => new SeededEntropy('entropy contract'));
telemetryContract('silent', () => silentTelemetry);
telemetryContract('recording', () => new RecordingTelemetry());
