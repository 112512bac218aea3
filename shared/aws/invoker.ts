/** Roles as Lambda functions: how one is called, and how a called one answers. */
import { InvokeCommand, type InvokeCommandOutput, type LambdaClient } from '@aws-sdk/client-lambda';
import { fromUtf8 } from '#base/bytes.ts';
import { ERRORS, type ErrorCode, isStoreError, StoreError } from '#base/errors.ts';
import type { Invoker } from '#ports/invoker.ts';
import { toStoreError } from './errors.ts';
import { decodePayload, encodePayload, isPayload, PAYLOAD_BYTES_MAX } from './invoker-payload.ts';

/**
 * `functions`: name or ARN of the function of each role. `tenantOf`: for functions whose
 * environments are kept apart by tenant, whose call it is; undefined for the others.
 */
export type LambdaInvokerOptions = Readonly<{
  client: LambdaClient;
  functions: Readonly<Record<string, string>>;
  tenantOf?: (role: string, payload: unknown) => string | undefined;
}>;

/**
 * Calls a role's function and waits for its answer. The client must not try again by itself
 * (`clients.ts`): the first call may be running still.
 *
 * - what the function threw: a StoreError stays one, another error is an Error with its message
 * - `INVALID_ARGUMENT`, `TOO_LARGE`: no such role; a payload that does not fit JSON or 6 MB
 * - `OVERLOADED`: too many calls at once; the function did not run
 * - `PLATFORM_REFUSED`: no such function, no permission; it did not run
 * - `UNCERTAIN`: no answer, or the function was stopped (time, memory); it may have done its work,
 *   or be doing it still
 * - `INTERNAL`: it did its work and its answer exceeds 6 MB
 */
export function openLambdaInvoker(options: LambdaInvokerOptions): Invoker {
  const { client, functions, tenantOf } = options;
  return {
    async invoke(role, payload) {
      const name = Object.hasOwn(functions, role) ? functions[role] : undefined;
      if (name === undefined) {
        const shown = JSON.stringify(role);
        throw new StoreError('INVALID_ARGUMENT', `there is no role ${shown} to invoke`);
      }
      const bytes = Buffer.from(encodePayload(payload));
      if (bytes.length > PAYLOAD_BYTES_MAX) {
        throw new StoreError(
          'TOO_LARGE',
          `the payload for role ${role} has ${bytes.length} bytes; Lambda takes ${PAYLOAD_BYTES_MAX}`,
        );
      }
      const tenant = tenantOf?.(role, payload);
      const request = {
        FunctionName: name,
        InvocationType: 'RequestResponse' as const,
        Payload: bytes,
        ...(tenant === undefined ? {} : { TenantId: tenant }),
      };
      const answer = await client.send(new InvokeCommand(request)).catch((error: unknown) => {
        const resource = `the function of role ${role}`;
        throw toStoreError(error, {
          service: 'lambda',
          action: 'Invoke',
          resource,
          idempotent: false,
        });
      });
      return readAnswer(role, answer);
    },
  };
}

/** A Lambda handler that is called by {@link openLambdaInvoker}. */
export type InvokedHandler = (event: unknown) => Promise<unknown>;

/**
 * The function's half: takes the payload out of the event, runs the role, and returns or throws so
 * that the caller gets what `run` returned or threw.
 */
export function invokedHandler(run: (payload: unknown) => unknown): InvokedHandler {
  return async (event) => {
    try {
      if (!isPayload(event)) {
        throw new StoreError(
          'INVALID_ARGUMENT',
          'the event is not of the invoker of this deployment',
        );
      }
      return encodeAnswer(await run(decodePayload(event)));
    } catch (error) {
      throw isStoreError(error) ? new TravellingError(error) : error;
    }
  };
}

/** Lambda makes JSON of what a handler returns, so it gets the parsed form of ours. */
function encodeAnswer(answer: unknown): unknown {
  try {
    return JSON.parse(encodePayload(answer));
  } catch (error) {
    // The role did its work: that its answer was refused must not read as if nothing had happened.
    const message = `the role ran, but its answer cannot be sent: ${String(error)}`;
    throw new StoreError('INTERNAL', message, { cause: error });
  }
}

const NAME_BEGINS = 'StoreError.';

/** Of what a function throws, Lambda tells the caller name, message and stack: the code is in the name. */
class TravellingError extends Error {
  constructor(error: StoreError) {
    super(error.message, { cause: error });
    this.name = `${NAME_BEGINS}${error.code}`;
    if (error.stack !== undefined) this.stack = error.stack;
  }
}

function readAnswer(role: string, answer: InvokeCommandOutput): unknown {
  const text = fromUtf8(answer.Payload ?? new Uint8Array());
  const parsed = parseJson(text);
  if (answer.FunctionError !== undefined) throw thrownBy(role, parsed);
  if (parsed === undefined) {
    throw new StoreError('UNCERTAIN', `role ${role} ended, but its answer is no JSON`);
  }
  if (isPayload(parsed)) return decodePayload(parsed);
  throw new StoreError('INTERNAL', `the function of role ${role} is no handler of an invoked role`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Names that Lambda gives to the end of a function which it stopped, or which stopped itself. */
const STOPPED = /^(Sandbox\.Timedout|Runtime\.(ExitError|OutOfMemory))$/;
/** Some of its runtimes tell so in the message alone. */
const STOPPED_MESSAGE = /Task timed out after|Runtime exited|RequestId: \S+ Process exited/;

function thrownBy(role: string, parsed: unknown): Error {
  const { errorType, errorMessage, trace } = errorFacts(parsed);
  const message = errorMessage ?? 'it did not say why';
  if (errorType?.startsWith(NAME_BEGINS)) {
    const code = errorType.slice(NAME_BEGINS.length);
    if (isErrorCode(code)) return withStack(new StoreError(code, message), trace);
  }
  if (errorType === 'Function.ResponseSizeTooLarge') {
    const text = `role ${role} did its work, but its answer exceeds ${PAYLOAD_BYTES_MAX} bytes`;
    return new StoreError('INTERNAL', text);
  }
  if (STOPPED.test(errorType ?? '') || STOPPED_MESSAGE.test(message)) {
    return new StoreError('UNCERTAIN', `role ${role} was stopped before it answered: ${message}`);
  }
  return withStack(new Error(message), trace);
}

type ErrorFacts = Readonly<{ errorType?: string; errorMessage?: string; trace?: string }>;

function errorFacts(parsed: unknown): ErrorFacts {
  if (typeof parsed !== 'object' || parsed === null) return {};
  const text = (key: string): string | undefined => {
    const value: unknown = Reflect.get(parsed, key);
    return typeof value === 'string' ? value : undefined;
  };
  const lines: unknown = Reflect.get(parsed, 'trace');
  const [errorType, errorMessage] = [text('errorType'), text('errorMessage')];
  return {
    ...(errorType === undefined ? {} : { errorType }),
    ...(errorMessage === undefined ? {} : { errorMessage }),
    ...(Array.isArray(lines) ? { trace: lines.join('\n') } : {}),
  };
}

function withStack(error: Error, stack: string | undefined): Error {
  if (stack !== undefined) error.stack = stack;
  return error;
}

const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(ERRORS, code);
