import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lambdaClient } from '#aws/clients.ts';
import { invokedHandler, openLambdaInvoker } from '#aws/invoker.ts';
import { ERRORS, StoreError } from '#base/errors.ts';
import type { Invoker } from '#ports/invoker.ts';
import { type LambdaEmulator, startLambda } from '../../support/emulators/lambda.ts';

let lambda: LambdaEmulator;
let invoker: Invoker;
let hasty: Invoker;
let ran: unknown[];
const clients: ReturnType<typeof lambdaClient>[] = [];

type Answered = Readonly<{ answer?: unknown; code?: keyof typeof ERRORS; waitMs?: number }>;

beforeEach(async () => {
  ran = [];
  const role = invokedHandler(async (received) => {
    ran.push(received);
    // Only this file calls this role.
    const { answer, code, waitMs } = (received ?? {}) as Answered;
    if (code !== undefined) throw new StoreError(code, `because of ${code}`);
    if (waitMs !== undefined) await new Promise((resolve) => setTimeout(resolve, waitMs));
    return answer;
  });
  lambda = await startLambda({ work: role, foreign: async () => ({ statusCode: 200 }) });
  const settings = {
    region: 'us-east-1',
    credentials: { accessKeyId: 'emulated', secretAccessKey: 'emulated' },
    endpoints: { lambda: lambda.endpoint },
  };
  const client = lambdaClient(settings);
  const hastyClient = lambdaClient({ ...settings, waits: { lambda: { answerMs: 300 } } });
  clients.push(client, hastyClient);
  const functions = { work: 'work', foreign: 'foreign', gone: 'gone' };
  invoker = openLambdaInvoker({
    client,
    functions,
    tenantOf: (_, payload) => (payload === undefined ? undefined : 'tenant-7'),
  });
  hasty = openLambdaInvoker({ client: hastyClient, functions });
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await lambda.close();
});

describe('payloads', () => {
  it('arrive as they were sent, also where they look like their own encoding', async () => {
    const answers = [
      null,
      0,
      -1.5,
      '',
      'ü\u0000\u2028',
      [],
      {},
      [[1], { a: [] }],
      new Uint8Array(),
      { bytes: new Uint8Array([0, 255]), deep: { list: [new Uint8Array([7])] } },
      { $bytes: 'AAAA' },
      { $plain: { $bytes: new Uint8Array([1]) } },
      { $bytes: 'AAAA', other: 1 },
      { value: 1 },
      JSON.parse('{"__proto__": {"a": 1}}'),
    ];
    for (const answer of answers) {
      expect(await invoker.invoke('work', { answer })).toEqual(answer);
    }
    expect(ran).toEqual(answers.map((answer) => ({ answer })));
    expect(await invoker.invoke('work', undefined)).toBeUndefined();
  });

  it('are refused before the call where they would change on their way', async () => {
    const loop: unknown[] = [];
    loop.push(loop);
    const refused = [1n, Number.NaN, new Map(), new Date(0), Symbol('s'), () => 1, [undefined]];
    for (const payload of [...refused, new Float32Array(1), loop]) {
      const call = invoker.invoke('work', { payload });
      await expect(call).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    expect(lambda.calls).toEqual([]);
  });

  it('have up to 6 MB, in both directions', async () => {
    const large = new Uint8Array(4_700_000);
    expect(await invoker.invoke('work', { answer: large })).toHaveLength(large.length);
    const tooLarge = invoker.invoke('work', { more: new Uint8Array(4_720_000) });
    await expect(tooLarge).rejects.toMatchObject({ code: 'TOO_LARGE' });
    expect(lambda.calls).toHaveLength(1);
    lambda.stop({ errorType: 'Function.ResponseSizeTooLarge', errorMessage: 'x' });
    await expect(invoker.invoke('work', {})).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  it('name the tenant where there is one', async () => {
    await invoker.invoke('work', {});
    await invoker.invoke('work', undefined);
    await hasty.invoke('work', {});
    expect(lambda.calls).toEqual(['work tenant-7', 'work -', 'work -']);
  });
});

describe('failures', () => {
  it('of the function keep code and sentence', async () => {
    for (const code of Object.keys(ERRORS)) {
      const call = invoker.invoke('work', { code });
      await expect(call).rejects.toBeInstanceOf(StoreError);
      await expect(call).rejects.toMatchObject({ code, message: `because of ${code}` });
    }
  });

  it('say that it ran where its answer cannot be sent', async () => {
    const lost = invokedHandler(() => new Map());
    await expect(lost({})).rejects.toMatchObject({ name: 'StoreError.INTERNAL' });
  });

  it.each([
    [{ errorMessage: '2026-01-01T00:00:00.000Z 1f Task timed out after 3.00 seconds' }],
    [{ errorType: 'Sandbox.Timedout', errorMessage: 'RequestId: 1f Error: Task timed out' }],
    [{ errorType: 'Runtime.ExitError', errorMessage: 'RequestId: 1f Error: Runtime exited' }],
    [{ errorType: 'Runtime.OutOfMemory', errorMessage: 'RequestId: 1f' }],
    [{ errorMessage: 'RequestId: 1f Process exited before completing request' }],
  ])('of a function that was stopped leave its effect open: %j', async (body) => {
    lambda.stop(body);
    await expect(invoker.invoke('work', {})).rejects.toMatchObject({ code: 'UNCERTAIN' });
    expect(ran).toHaveLength(1);
  });

  it('of the code itself are no StoreError', async () => {
    const message = "Error: Cannot find module 'x'";
    lambda.stop({ errorType: 'Runtime.ImportModuleError', errorMessage: message });
    const call = invoker.invoke('work', {});
    await expect(call).rejects.toThrow(message);
    await expect(call).rejects.not.toBeInstanceOf(StoreError);
    lambda.stop({ errorType: 'StoreError.NO_SUCH_CODE', errorMessage: 'newer' });
    const newer = invoker.invoke('work', {});
    await expect(newer).rejects.not.toBeInstanceOf(StoreError);
    await expect(newer).rejects.toThrow('newer');
  });

  it('of the connection leave it open too, and the call is not repeated', async () => {
    lambda.loseAnswer();
    await expect(invoker.invoke('work', {})).rejects.toMatchObject({ code: 'UNCERTAIN' });
    expect(ran).toHaveLength(1);
    const late = hasty.invoke('work', { waitMs: 600 });
    await expect(late).rejects.toMatchObject({ code: 'UNCERTAIN' });
    expect(ran).toHaveLength(2);
    expect(lambda.calls).toHaveLength(2);
  });

  it.each([
    [429, 'TooManyRequestsException', 'OVERLOADED'],
    [403, 'AccessDeniedException', 'PLATFORM_REFUSED'],
    [500, 'ServiceException', 'UNCERTAIN'],
    [503, 'ServiceUnavailableException', 'UNCERTAIN'],
  ])('of the service, %i %s, are %s', async (status, errorType, code) => {
    lambda.refuse({ status, errorType, message: 'no' });
    await expect(invoker.invoke('work', {})).rejects.toMatchObject({ code });
    expect(lambda.calls).toHaveLength(1);
    expect(ran).toEqual([]);
  });

  it('of the deployment name the role', async () => {
    const gone = invoker.invoke('gone', {});
    await expect(gone).rejects.toMatchObject({ code: 'PLATFORM_REFUSED' });
    await expect(gone).rejects.toThrow('role gone');
    const foreign = invoker.invoke('foreign', {});
    await expect(foreign).rejects.toMatchObject({ code: 'INTERNAL' });
  });
});
