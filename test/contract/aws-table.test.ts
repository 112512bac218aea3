/**
 * The table's contract over DynamoDB's protocol, against an emulator that this file starts and
 * stops. Against AWS, in tables that are created and deleted:
 *
 *   STERNA_CONTRACT_AWS=us-east-1 npx vitest run test/contract/aws-table.test.ts --testTimeout 600000 --hookTimeout 600000
 */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll } from 'vitest';
import { type AwsSettings, dynamoClient } from '#aws/clients.ts';
import { openDynamoTable } from '#aws/table.ts';
import { openClock } from '#local/clock.ts';
import { systemEntropy } from '#local/entropy.ts';
import type { Table } from '#ports/table.ts';
import {
  createTable,
  type DynamoEmulator,
  deleteTable,
  startDynamo,
} from '../support/emulators/dynamo.ts';
import type { OpenSubject } from './subject.ts';
import { tableContract } from './table.ts';

const realRegion = process.env['STERNA_CONTRACT_AWS'];
let emulator: DynamoEmulator | undefined;
let settings: AwsSettings;

beforeAll(async () => {
  if (realRegion !== undefined) {
    settings = { region: realRegion };
    return;
  }
  emulator = await startDynamo();
  settings = {
    region: 'us-east-1',
    credentials: { accessKeyId: 'emulated', secretAccessKey: 'emulated' },
    endpoints: { dynamodb: emulator.endpoint },
  };
});
afterAll(() => emulator?.close());

const open: OpenSubject<Table> = async () => {
  const tableName = `sterna-contract-${randomUUID()}`;
  const first = dynamoClient(settings);
  const clients = [first];
  const openWith = (client: (typeof clients)[number]) =>
    openDynamoTable({ client, tableName, clock: openClock(), entropy: systemEntropy });
  await createTable(first, tableName);
  return {
    port: openWith(first),
    close: async () => {
      await deleteTable(first, tableName);
      for (const client of clients) client.destroy();
    },
    reopen: async () => {
      const client = dynamoClient(settings);
      clients.push(client);
      return openWith(client);
    },
  };
};

tableContract('DynamoDB', open, { durable: true });
