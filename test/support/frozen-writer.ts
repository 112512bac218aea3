/**
 * A process that is frozen by its test: it puts a row into the table of the endpoint in its arguments for
 * each line on its standard input, and says of each what became of it.
 */
import { createInterface } from 'node:readline';
import { dynamoClient } from '#aws/clients.ts';
import { openDynamoTable } from '#aws/table.ts';
import { isStoreError } from '#base/errors.ts';
import { openClock } from '#local/clock.ts';
import { systemEntropy } from '#local/entropy.ts';
import { EMULATOR_CREDENTIALS } from './emulators/s3.ts';

const [endpoint = '', answerMs = '0'] = process.argv.slice(2);
const client = dynamoClient({
  region: 'us-east-1',
  credentials: EMULATOR_CREDENTIALS,
  endpoints: { dynamodb: endpoint },
  waits: { dynamodb: { answerMs: Number(answerMs), idleMs: Number(answerMs) } },
});
const table = openDynamoTable({
  client,
  tableName: 't',
  clock: openClock(),
  entropy: systemEntropy,
});

for await (const line of createInterface({ input: process.stdin })) {
  const outcome = await table.put({ partition: 'p', sort: line }, new Uint8Array(1), 'absent').then(
    (version) => `version ${version}`,
    (error: unknown) => (isStoreError(error) ? error.code : String(error)),
  );
  process.stdout.write(`${outcome}\n`);
}
