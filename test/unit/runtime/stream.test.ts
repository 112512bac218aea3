/** A Kinesis batch against the function's time: what is done is kept, the rest is delivered again. */
import { expect, test } from 'vitest';
import { acceptRows } from '#ingest/accept.ts';
import { ManifestCache } from '#manifest/head.ts';
import type { LogEntry } from '#ports/log.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import { applyStream, type KinesisEvent } from '#runtime/stream.ts';
import { RecordingTelemetry } from '#sim/silent-telemetry.ts';
import { liveValues, manifestOf, openWorld, row, STREAM, start } from '../ingest/world.ts';

const eventOf = (entries: readonly LogEntry[]): KinesisEvent => ({
  Records: entries.map(({ sequence, partition, data, arrivalMs }) => ({
    kinesis: {
      sequenceNumber: sequence,
      partitionKey: partition,
      data: Buffer.from(data).toString('base64'),
      approximateArrivalTimestamp: arrivalMs / 1000,
    },
  })),
});

async function openStream(writes: number, rowsEach: number) {
  const telemetry = new RecordingTelemetry();
  const world = await openWorld({ telemetry });
  let passing = false;
  const { objects } = world.disk;
  /** Puts that take a minute, once time is let pass. */
  const slow: ObjectStore = {
    put: async (key, bytes) => {
      if (passing) await world.clock.advance(60_000);
      return objects.put(key, bytes);
    },
    get: (...get) => objects.get(...get),
    head: (...head) => objects.head(...head),
    list: (...list) => objects.list(...list),
    delete: (...gone) => objects.delete(...gone),
    copy: (...copy) => objects.copy(...copy),
  };
  const disk = { ...world.disk, objects: slow };
  const ports = { ...start(world, disk), manifests: new ManifestCache() };
  for (let write = 0; write < writes; write++) {
    const rows = Array.from({ length: rowsEach }, (_, index) => row(write * rowsEach + index, 1));
    await acceptRows(ports, world.collection, { kind: 'insert', rows, partitionId: 1 });
  }
  const entries = await ports.log.read(STREAM, { limit: 10_000 });
  const catalog = { getCollection: async () => world.collection };
  let flushed = 0;
  const flush = () => {
    flushed += 1;
  };
  const handler = applyStream(async () => ({ ports, catalog, flush }));
  const letPass = () => {
    passing = true;
  };
  return { world, telemetry, entries, handler, letPass, flushed: () => flushed };
}

test('a batch that is applied names nothing', async () => {
  const { world, entries, handler, flushed } = await openStream(3, 2);
  const left = { getRemainingTimeInMillis: () => 120_000 };
  expect(await handler(eventOf(entries), left)).toEqual({ batchItemFailures: [] });
  expect(await handler(eventOf(entries))).toEqual({ batchItemFailures: [] });
  expect(await liveValues(world)).toHaveLength(6);
  expect(flushed()).toBe(2);
});

test('a batch that outlasts the function is named, and what was committed is kept', async () => {
  // Beyond 65,536 rows a batch becomes several objects: 40,000 and 40,000 here.
  const { world, telemetry, entries, handler, letPass } = await openStream(2, 40_000);
  const event = eventOf(entries);
  const failures = [{ itemIdentifier: entries[0]?.sequence }];
  const late = { getRemainingTimeInMillis: () => 15_000 };
  expect(await handler(event, late)).toEqual({ batchItemFailures: failures });
  expect((await manifestOf(world)).segments).toHaveLength(0);

  // Time for the first object: it passes while that is committed.
  letPass();
  const short = { getRemainingTimeInMillis: () => 60_000 };
  expect(await handler(event, short)).toEqual({ batchItemFailures: failures });
  expect((await manifestOf(world)).rowsApplied).toBe(40_000);

  // The same batch again: the first object's records are recognised, the second's applied.
  expect(await handler(event, short)).toEqual({ batchItemFailures: [] });
  expect((await manifestOf(world)).rowsApplied).toBe(80_000);
  // None of it is a failure: nobody needs to look.
  expect(telemetry.counted('apply_failures_total')).toBe(0);
  expect(telemetry.events.filter(({ name }) => name === 'apply-out-of-time')).toHaveLength(2);
});
