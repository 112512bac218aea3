/** The harness itself: what it does to functions of a few lines is what Lambda would do to ours. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LambdaFunction } from '../support/lambda/function.ts';
import { openWorkshop, type Workshop } from '../support/lambda/made-function.ts';
import { resultOf } from '../support/lambda/outcome.ts';
import { PAYLOAD_BYTES_MAX } from '../support/lambda/runtime-api.ts';

let workshop: Workshop;
beforeAll(async () => {
  workshop = await openWorkshop();
});
afterAll(() => workshop.close());

/** Answers with its process and how often it was called there, after a while where the event says so. */
const COUNTING = `
  let calls = 0;
  exports.handler = async (event) => {
    calls += 1;
    if (event.waitMs) await new Promise((done) => setTimeout(done, event.waitMs));
    return { pid: process.pid, calls };
  };
`;

type Counted = Readonly<{ pid: number; calls: number }>;
const counted = async (made: LambdaFunction, event: object = {}, options = {}): Promise<Counted> =>
  // The handler above answers this.
  resultOf(await made.invoke(event, options)) as Counted;

const isAlive = (pid: number | undefined): boolean => {
  try {
    return pid !== undefined && process.kill(pid, 0);
  } catch {
    return false;
  }
};

const scratchOf = (made: LambdaFunction): string => made.environments[0]?.scratchDir ?? '';

describe('an environment', () => {
  test('serves one request at a time, and is used again', async () => {
    const made = await workshop.make(COUNTING);
    const first = await Promise.all([1, 2, 3].map(() => counted(made, { waitMs: 300 })));
    expect(new Set(first.map(({ pid }) => pid)).size).toBe(3);
    await made.settled();
    const last = made.environments.at(-1)?.pid;
    expect(await counted(made)).toEqual({ pid: last, calls: 2 });
    expect(made.counts).toMatchObject({ environments: 3, mostAtOnce: 3, throttled: 0 });
  });

  test('tells the handler what Lambda tells it, and nothing of the process that tests it', async () => {
    process.env['STERNA_LEAK'] = 'of the tests';
    const made = await workshop.make(
      `exports.handler = async (event, context) => ({
        event, cwd: process.cwd(), env: process.env, node: process.versions.node, flags: process.execArgv,
        context: { ...context }, leftMs: context.getRemainingTimeInMillis(),
      });`,
      { variables: { OWN: 'value', AWS_REGION: 'cannot be set' }, region: 'eu-west-1' },
    );
    // The handler answers with these.
    const told = resultOf(await made.invoke({ a: [1] }, { requestId: 'id-1' })) as {
      env: Record<string, string>;
      leftMs: number;
    };
    expect(told).toMatchObject({
      event: { a: [1] },
      cwd: made.options.codeDir,
      node: expect.stringMatching(/^2[24]\./),
      flags: ['--max-old-space-size=230', '--max-semi-space-size=12'],
      context: {
        awsRequestId: 'id-1',
        functionName: made.name,
        functionVersion: '$LATEST',
        memoryLimitInMB: '256',
        invokedFunctionArn: `arn:aws:lambda:eu-west-1:000000000000:function:${made.name}`,
      },
      env: {
        OWN: 'value',
        AWS_REGION: 'eu-west-1',
        AWS_LAMBDA_FUNCTION_NAME: made.name,
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '256',
        LAMBDA_TASK_ROOT: made.options.codeDir,
        TMPDIR: scratchOf(made),
        STERNA_SCRATCH: join(scratchOf(made), 'sterna'),
      },
    });
    expect(told.leftMs).toBeGreaterThan(0);
    expect(told.leftMs).toBeLessThanOrEqual(20_000);
    expect(Object.keys(told.env)).not.toContain('STERNA_LEAK');
    expect(Object.keys(told.env).filter((name) => /VITEST|NODE_/.test(name))).toEqual([]);
  });

  test('is frozen between invocations: a timer that the handler left fires in the next one', async () => {
    const made = await workshop.make(`
      const { existsSync, writeFileSync } = require('node:fs');
      const file = process.env.TMPDIR + '/fired';
      exports.handler = async (event) => {
        if (event.set) setTimeout(() => writeFileSync(file, ''), 1000);
        else for (let n = 0; n < 100 && !existsSync(file); n++) await new Promise((go) => setTimeout(go, 10));
        return existsSync(file);
      };
    `);
    expect(resultOf(await made.invoke({ set: true }))).toBe(false);
    await made.settled();
    await sleep(1_500);
    expect(existsSync(join(scratchOf(made), 'fired'))).toBe(false);
    expect(resultOf(await made.invoke({}))).toBe(true);
  });

  test('is killed when its time is up; its /tmp stays and the next invocation begins with an init', async () => {
    const made = await workshop.make(
      `require('node:fs').appendFileSync(process.env.TMPDIR + '/inits', 'i');
       exports.handler = async (event) => {
         while (event.busy) {}
         return require('node:fs').readFileSync(process.env.TMPDIR + '/inits', 'utf8');
       };`,
      { timeoutMs: 1_000 },
    );
    const going = made.invoke({ busy: true });
    const [environment] = made.environments;
    expect(await going).toEqual({ kind: 'timeout', afterMs: 1_000 });
    await made.settled();
    expect(environment?.pid).toBeUndefined();
    expect(resultOf(await made.invoke({}))).toBe('ii');
    expect(made.environments).toEqual([environment]);
  });

  test('is killed above its memory, whether it lies in the heap or beside it', async () => {
    const beside = await workshop.make(
      'exports.handler = async () => { const all = []; for (;;) { all.push(Buffer.alloc(8e6, 1)); await null; await new Promise(setImmediate); } };',
    );
    expect(await beside.invoke({})).toMatchObject({
      kind: 'killed',
      errorType: 'Runtime.OutOfMemory',
    });
    const heap = await workshop.make(
      'exports.handler = async () => { const all = []; for (;;) { all.push(new Array(1e5).fill({})); await new Promise(setImmediate); } };',
    );
    expect(await heap.invoke({})).toMatchObject({ kind: 'killed' });
  });

  test('that is fresh has an empty /tmp and an empty memory', async () => {
    const made = await workshop.make(`
      const { readdirSync, writeFileSync } = require('node:fs');
      let calls = 0;
      exports.handler = async () => {
        const found = readdirSync(process.env.TMPDIR);
        writeFileSync(process.env.TMPDIR + '/left', '');
        return { found, calls: ++calls };
      };
    `);
    expect(resultOf(await made.invoke({}))).toEqual({ found: [], calls: 1 });
    expect(resultOf(await made.invoke({}))).toEqual({ found: ['left'], calls: 2 });
    expect(resultOf(await made.invoke({}, { fresh: true }))).toEqual({ found: [], calls: 1 });
    expect(made.landed.fresh).toBe(1);
    const dirs = made.environments.map(({ scratchDir }) => scratchDir);
    await made.retire();
    expect(dirs.filter((dir) => existsSync(dir))).toEqual([]);
  });
});

describe('an outcome', () => {
  test('says what was thrown; the environment serves on', async () => {
    const made = await workshop.make(
      `exports.handler = async (event) => {
         if (event.text) throw event.text;
         if (event.pid) return process.pid;
         throw new RangeError('too far');
       };`,
    );
    expect(await made.invoke({})).toMatchObject({
      kind: 'error',
      errorType: 'RangeError',
      errorMessage: 'too far',
      trace: expect.arrayContaining([expect.stringContaining('made.js')]),
    });
    expect(await made.invoke({ text: 'plain' })).toMatchObject({
      kind: 'error',
      errorType: 'string',
      errorMessage: 'plain',
    });
    expect(resultOf(await made.invoke({ pid: true }))).toBe(made.environments[0]?.pid);
    expect(made.environments).toHaveLength(1);
  });

  test('of an exit or of a rejection that nobody handles ends the process', async () => {
    const made = await workshop.make(
      `exports.handler = async (event) => {
         if (event.exit) process.exit(3);
         void Promise.reject(new Error('lost'));
         await new Promise((done) => setTimeout(done, 10_000));
       };`,
    );
    expect(await made.invoke({ exit: true })).toMatchObject({
      kind: 'killed',
      errorType: 'Runtime.ExitError',
      errorMessage: expect.stringContaining('exit status 3'),
    });
    expect(await made.invoke({})).toMatchObject({
      kind: 'error',
      errorType: 'Runtime.UnhandledPromiseRejection',
      errorMessage: expect.stringContaining('lost'),
    });
    await made.settled();
    expect(made.environments[0]?.pid).toBeUndefined();
    expect(made.environments[0]?.inits).toBe(2);
  });

  test('of an init that fails is its error, after it was tried twice', async () => {
    const throwing = await workshop.make('throw new TypeError("no start");');
    expect(await throwing.invoke({})).toMatchObject({
      kind: 'error',
      errorType: 'TypeError',
      errorMessage: 'no start',
    });
    expect(throwing.environments[0]?.inits).toBe(2);
    const leaving = await workshop.make('process.exit(7);');
    expect(await leaving.invoke({})).toMatchObject({
      kind: 'killed',
      errorMessage: expect.stringContaining('exit status 7'),
    });
    const unnamed = await workshop.make('exports.other = 1;');
    expect(await unnamed.invoke({})).toMatchObject({ errorType: 'Runtime.HandlerNotFound' });
    const absent = await workshop.make(COUNTING, { handler: 'functions/absent.handler' });
    expect(await absent.invoke({})).toMatchObject({ errorType: 'Runtime.ImportModuleError' });
    const callback = await workshop.make('exports.handler = (event, context, done) => done();');
    expect(await callback.invoke({})).toMatchObject({
      errorType: 'Runtime.CallbackHandlerDeprecated',
    });
  });

  test('beyond 6 MB is too large, in both directions, and to the byte', async () => {
    const made = await workshop.make(
      'exports.handler = async ({ text, reply }) => (text ? text.length : "r".repeat(reply));',
    );
    const around = '{"text":""}'.length;
    const most = PAYLOAD_BYTES_MAX - around;
    expect(resultOf(await made.invoke({ text: 't'.repeat(most) }))).toBe(most);
    expect(await made.invoke({ text: 't'.repeat(most + 1) })).toEqual({
      kind: 'too-large',
      sizeBytes: PAYLOAD_BYTES_MAX + 1,
      of: 'request',
    });
    const reply = PAYLOAD_BYTES_MAX - '""'.length;
    expect(resultOf(await made.invoke({ reply }))).toHaveLength(reply);
    expect(await made.invoke({ reply: reply + 1 })).toEqual({
      kind: 'too-large',
      sizeBytes: PAYLOAD_BYTES_MAX + 1,
      of: 'reply',
    });
    expect(resultOf(await made.invoke({ reply: 1 }))).toBe('r');
    expect(made.environments[0]?.inits).toBe(1);
  });

  test('is throttled beyond the concurrency', async () => {
    const made = await workshop.make(COUNTING, { concurrencyMax: 2 });
    const outcomes = await Promise.all([1, 2, 3].map(() => made.invoke({ waitMs: 300 })));
    expect(outcomes.map(({ kind }) => kind).sort()).toEqual(['result', 'result', 'throttled']);
    await made.settled();
    // What is idle makes room for what is to be fresh.
    await counted(made, {}, { fresh: true });
    await made.settled();
    expect(made.environments).toHaveLength(2);
    expect(made.counts).toMatchObject({ throttled: 1, environments: 3 });
  });
});

test('nothing that the harness started outlives it', async () => {
  const made = await workshop.make(COUNTING);
  const { pid } = await counted(made);
  const going = made.invoke({ waitMs: 10_000 });
  await sleep(50);
  const all = made.environments.map((environment) => environment.pid);
  await made.close();
  expect(await going).toMatchObject({ kind: 'killed' });
  expect([pid, ...all].filter(isAlive)).toEqual([]);
});

test('what is frozen ends when the tests are killed', async () => {
  const made = await workshop.make(COUNTING);
  const { codeDir, handler, memoryMb, scratchRoot, timeoutMs } = made.options;
  const options = { name: 'left', codeDir, handler, memoryMb, scratchRoot, timeoutMs };
  const harness = new URL('../support/lambda/function.ts', import.meta.url).href;
  const tests = spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `const { LambdaFunction } = await import(${JSON.stringify(harness)});
       const made = new LambdaFunction(${JSON.stringify(options)});
       const outcome = await made.invoke({});
       console.log(outcome.payload.pid);
       setInterval(() => {}, 1000);`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [line] = await once(tests.stdout, 'data');
  const pid = Number(line);
  expect(isAlive(pid)).toBe(true);
  tests.kill('SIGKILL');
  while (isAlive(pid)) await sleep(20);
});
