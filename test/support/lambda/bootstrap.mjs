/**
 * The managed Node runtime of Lambda, as far as a handler can tell: it loads `_HANDLER` from
 * LAMBDA_TASK_ROOT and then, for ever, asks the Runtime API for an invocation, runs the handler and
 * posts what came of it. The rules are those of the developer guide, "Using the Lambda runtime API for
 * custom runtimes" and "Define Lambda function handler in Node.js".
 *
 * Plain JavaScript: stripping types would count as init time. Nothing of Sterna is imported here.
 */
import { existsSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { basename, dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const { env } = process;
const API = `http://${env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime`;
const agent = new Agent({ keepAlive: true, maxSockets: 2 });

/** `GET` waits without end: the process may be frozen for hours in the midst of it. */
function call(method, path, body, headers = {}) {
  return new Promise((done, failed) => {
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const sent = request(`${API}${path}`, { method, agent, headers: { ...headers, ...length } });
    sent.on('error', failed);
    sent.on('response', (answer) => {
      const parts = [];
      answer.on('error', failed);
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () =>
        done({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(parts) }),
      );
    });
    sent.end(body);
  });
}

/** As Node's runtime writes it; `trace` is the stack, a line per frame. */
function describe(error) {
  if (!(error instanceof Error)) {
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  }
  const { name, message, stack } = error;
  return { errorType: name, errorMessage: message, trace: (stack ?? '').split('\n') };
}

function postError(path, error) {
  const described = describe(error);
  console.error(JSON.stringify(described));
  return call('POST', path, JSON.stringify(described), {
    'content-type': 'application/json',
    'lambda-runtime-function-error-type': described.errorType,
  });
}

function named(name, message) {
  const error = new Error(message);
  error.name = name;
  return error;
}

/** `functions/write.handler`: the export `handler` of `functions/write.js`, `.mjs` or `.cjs`. */
async function loadHandler() {
  const root = env.LAMBDA_TASK_ROOT ?? '.';
  const text = env._HANDLER ?? '';
  const file = basename(text);
  const dot = file.indexOf('.');
  if (dot < 1) throw named('Runtime.MalformedHandlerName', `Bad handler: ${text}`);
  const path = resolve(root, dirname(text), file.slice(0, dot));
  const found = ['.js', '.mjs', '.cjs'].map((end) => path + end).find((each) => existsSync(each));
  if (found === undefined) {
    throw named('Runtime.ImportModuleError', `Error: Cannot find module '${basename(path)}'`);
  }
  const module = await import(pathToFileURL(found).href);
  const parts = file.slice(dot + 1).split('.');
  const pick = (from) => parts.reduce((value, part) => value?.[part], from);
  // What require() would give stands in `default` where Node sees no names in a CommonJS module.
  const handler = pick(module) ?? pick(module.default);
  if (handler === undefined) {
    throw named('Runtime.HandlerNotFound', `${text} is undefined or not exported`);
  }
  if (typeof handler !== 'function') {
    throw named('Runtime.HandlerNotFound', `${text} is not a function`);
  }
  // Node.js 24 and later know no callbacks.
  if (handler.length > 2) {
    throw named('Runtime.CallbackHandlerDeprecated', `${text} takes a callback`);
  }
  return handler;
}

function contextOf(headers) {
  const deadlineMs = Number(headers['lambda-runtime-deadline-ms']);
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    getRemainingTimeInMillis: () => deadlineMs - Date.now(),
  };
}

let under = '/init/error';
let ending = false;

/** An error that nobody caught: Lambda is told, and the environment ends. */
function end(name, code) {
  return (error) => {
    if (ending) return;
    ending = true;
    const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const told = name === undefined && error instanceof Error ? error : named(name, message);
    void postError(under, told).finally(() => process.exit(code));
  };
}
process.on('uncaughtException', end(undefined, 129));
process.on('unhandledRejection', end('Runtime.UnhandledPromiseRejection', 128));

async function serve(handler) {
  for (;;) {
    const { headers, body } = await call('GET', '/invocation/next');
    const id = headers['lambda-runtime-aws-request-id'];
    under = `/invocation/${id}/error`;
    env._X_AMZN_TRACE_ID = headers['lambda-runtime-trace-id'] ?? '';
    let result;
    try {
      const value = await handler(JSON.parse(body.toString()), contextOf(headers));
      result = JSON.stringify(value === undefined ? null : value);
    } catch (error) {
      await postError(under, error);
      continue;
    }
    const { status } = await call('POST', `/invocation/${id}/response`, result, {
      'content-type': 'application/json',
    });
    if (status !== 202) console.error(`Failed to post handler success response: ${status}`);
  }
}

let handler;
try {
  handler = await loadHandler();
} catch (error) {
  ending = true;
  await postError('/init/error', error).finally(() => process.exit(1));
}
// The Runtime API is gone only when the harness is: nothing is left to serve.
await serve(handler).catch((error) => {
  if (!ending) console.error(`The Runtime API is gone: ${error}`);
  process.exit(0);
});
