/** The invoker's contract over Lambda's Invoke, against a small server that this file starts. */
import { lambdaClient } from '#aws/clients.ts';
import { invokedHandler, openLambdaInvoker } from '#aws/invoker.ts';
import { startLambda } from '../support/emulators/lambda.ts';
import { tryOut } from '../support/invoked-role.ts';
import { invokerContract } from './invoker.ts';

invokerContract(
  'Lambda',
  async () => {
    const lambda = await startLambda({ 'sterna-try': invokedHandler(tryOut) });
    const client = lambdaClient({
      region: 'us-east-1',
      credentials: { accessKeyId: 'emulated', secretAccessKey: 'emulated' },
      endpoints: { lambda: lambda.endpoint },
    });
    return {
      port: openLambdaInvoker({ client, functions: { try: 'sterna-try' } }),
      close: async () => {
        client.destroy();
        await lambda.close();
      },
    };
  },
  { sharesMemory: false },
);
