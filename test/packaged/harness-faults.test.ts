/** Faults of the harness meet a handler in the midst of its work, at the very spot that they name. */
import { existsSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Fault, randomFaults } from '../support/lambda/faults.ts';
import { openWorkshop, type Workshop } from '../support/lambda/made-function.ts';
import { resultOf } from '../support/lambda/outcome.ts';
import { type CallWatch, startWatch } from '../support/lambda/watch.ts';

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop();
});
afterAll(() => workshop.close());

/** Waits, leaves a file, and answers with its process. */
const WAITING = `
  const { writeFileSync } = require('node:fs');
  exports.handler = async ({ waitMs }) => {
    await new Promise((done) => setTimeout(done, waitMs));
    writeFileSync(process.env.TMPDIR + '/done', '');
    return process.pid;
  };
`;

describe('a fault at a time', () => {
  test('kill ends the process and counts; one that comes too late does not', async () => {
    const made = await workshop.make(WAITING);
    const kill = (afterMs: number): Fault => ({ kind: 'kill', at: { afterMs } });
    expect(await made.invoke({ waitMs: 10_000 }, { fault: kill(50) })).toMatchObject({
      kind: 'killed',
      errorMessage: expect.stringContaining('SIGKILL'),
    });
    expect(made.landed.kill).toBe(1);
    const pid = resultOf(await made.invoke({ waitMs: 1 }, { fault: kill(5_000) }));
    expect(made.landed.kill).toBe(1);
    expect(made.environments[0]).toMatchObject({ pid, inits: 2 });
  });

  test('freeze stops the handler for a while, and then it goes on', async () => {
    const made = await workshop.make(WAITING);
    const fault: Fault = { kind: 'freeze', at: { afterMs: 50 }, forMs: 5_000 };
    const going = made.invoke({ waitMs: 1_500 }, { fault });
    while (made.environments[0]?.underWay === undefined) await sleep(5);
    await sleep(2_500);
    const file = join(made.environments[0]?.scratchDir ?? '', 'done');
    expect(existsSync(file)).toBe(false);
    expect(resultOf(await going)).toBe(made.environments[0]?.pid);
    expect(existsSync(file)).toBe(true);
    expect(made.landed.freeze).toBe(1);
  });

  test('freeze does not stop the clock: what is frozen is killed when its time is up', async () => {
    const made = await workshop.make(WAITING, { timeoutMs: 1_000 });
    const fault: Fault = { kind: 'freeze', at: { afterMs: 10 }, forMs: 2_500 };
    expect(await made.invoke({ waitMs: 800 }, { fault })).toEqual({
      kind: 'timeout',
      afterMs: 1_000,
    });
    // Another process in the same environment is not thawed by what was meant for the first.
    resultOf(await made.invoke({ waitMs: 1 }));
    await sleep(2_500);
    expect(made.landed.freeze).toBe(0);
    expect(resultOf(await made.invoke({ waitMs: 1 }))).toBe(made.environments[0]?.pid);
  });

  test('abandon tells of a timeout, and the handler goes on', async () => {
    const made = await workshop.make(WAITING);
    const fault: Fault = { kind: 'abandon', at: { afterMs: 50 } };
    const outcome = await made.invoke({ waitMs: 2_000 }, { fault });
    expect(outcome.kind).toBe('timeout');
    const [environment] = made.environments;
    const file = join(environment?.scratchDir ?? '', 'done');
    expect(existsSync(file)).toBe(false);
    await made.settled();
    expect(existsSync(file)).toBe(true);
    expect(environment?.inits).toBe(1);
    expect(made.landed.abandon).toBe(1);
  });

  test('duplicate gives the same event to a second process while the first is under way', async () => {
    const made = await workshop.make(WAITING);
    const fault: Fault = { kind: 'duplicate', at: { afterMs: 10 } };
    const pid = resultOf(await made.invoke({ waitMs: 4_000 }, { fault }));
    await made.settled();
    expect(made.landed.duplicate).toBe(1);
    const both = made.environments;
    expect(both).toHaveLength(2);
    expect(both.map((each) => each.pid)).toContain(pid);
    expect(both.filter(({ scratchDir }) => existsSync(join(scratchDir, 'done')))).toHaveLength(2);
  });
});

describe('a fault at a call', () => {
  let service: Server;
  let watch: CallWatch;
  const received: string[] = [];

  beforeEach(async () => {
    received.length = 0;
    service = createServer((incoming, outgoing) => {
      received.push(`${incoming.method} ${incoming.url} ${incoming.headers['x-amz-target']}`);
      outgoing.end('{"ok":true}');
    });
    await new Promise<void>((resolve) => {
      service.listen(0, '127.0.0.1', resolve);
    });
    // A server that listens on a port has an address of this kind.
    const { port } = service.address() as AddressInfo;
    watch = await startWatch({ kinesis: `http://127.0.0.1:${port}` });
  });
  afterEach(async () => {
    await watch.close();
    service.closeAllConnections();
    service.close();
  });

  /** Two calls, one after the other, to the address that the environment has for Kinesis. */
  const CALLING = `
    const [, url] = process.env.STERNA_AWS_ENDPOINTS.split('=');
    const call = (name) => fetch(url + '/path?a=1', {
      method: 'POST', body: name, headers: { 'x-amz-target': 'Kinesis_20131202.' + name },
    }).then((answer) => answer.json());
    exports.handler = async () => [await call('PutRecord'), await call('GetRecords')];
  `;
  const at = (side: 'before' | 'after', operation: string) =>
    ({ service: 'kinesis', operation, side }) as const;
  const PUT = 'POST /path?a=1 Kinesis_20131202.PutRecord';
  const GET = 'POST /path?a=1 Kinesis_20131202.GetRecords';

  test('calls pass, under an address of the environment', async () => {
    const made = await workshop.make(CALLING, { watch });
    expect(resultOf(await made.invoke({}))).toEqual([{ ok: true }, { ok: true }]);
    expect(received).toEqual([PUT, GET]);
    expect([...watch.counts]).toEqual([
      ['kinesis PutRecord', 1],
      ['kinesis GetRecords', 1],
    ]);
  });

  test.each([
    ['before', 'PutRecord', []],
    ['after', 'PutRecord', [PUT]],
    ['before', 'GetRecords', [PUT]],
    ['after', 'GetRecords', [PUT, GET]],
  ] as const)(
    'a kill %s %s leaves the service exactly what came before',
    async (side, operation, left) => {
      const made = await workshop.make(CALLING, { watch });
      const fault: Fault = { kind: 'kill', at: at(side, operation) };
      expect(await made.invoke({}, { fault })).toMatchObject({ kind: 'killed' });
      expect(made.landed.kill).toBe(1);
      expect(received).toEqual(left);
    },
  );

  test('a duplicate begins while the first is held at its call', async () => {
    const made = await workshop.make(CALLING, { watch });
    const fault: Fault = { kind: 'duplicate', at: at('after', 'PutRecord') };
    resultOf(await made.invoke({}, { fault }));
    await made.settled();
    expect(made.landed.duplicate).toBe(1);
    expect(received.toSorted()).toEqual([GET, GET, PUT, PUT]);
  });

  test('another environment is not hit', async () => {
    const made = await workshop.make(CALLING, { watch });
    const fault: Fault = { kind: 'kill', at: at('before', 'GetRecords') };
    const [hit, spared] = await Promise.all([made.invoke({}, { fault }), made.invoke({})]);
    expect(hit).toMatchObject({ kind: 'killed' });
    expect(spared).toMatchObject({ kind: 'result' });
  });
});

test('random faults follow from their seed, each in its share', () => {
  const shares = { kill: 0.2, freeze: 0.2, abandon: 0.1, duplicate: 0.1, fresh: 0.1 };
  const draw = (seed: number) => {
    const plan = randomFaults({ seed, shares });
    return Array.from({ length: 1_000 }, (_, nth) => plan('write', nth + 1));
  };
  const drawn = draw(7);
  expect(draw(7)).toEqual(drawn);
  expect(draw(8)).not.toEqual(drawn);
  for (const [kind, share] of Object.entries(shares)) {
    const count = drawn.filter((fault) => fault?.kind === kind).length;
    expect(Math.abs(count - share * 1_000), kind).toBeLessThan(60);
  }
});
