/** The packaged deployment that a test runs against, and a test's own way to its data. */
import { type AwsSettings, dynamoClient, s3Client } from '#aws/clients.ts';
import { openS3ObjectStore } from '#aws/object-store.ts';
import { openDynamoTable } from '#aws/table.ts';
import { must } from '#base/assert.ts';
import { openClock } from '#local/clock.ts';
import { systemEntropy } from '#local/entropy.ts';
import type { Clock } from '#ports/clock.ts';
import type { Entropy } from '#ports/entropy.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import { ask } from './clients.ts';
import { type Stack, type StackOptions, startStack } from './stack.ts';

/** What `test/support/vitest-package.ts` packaged. */
export const deploy = (options: Omit<StackOptions, 'packageDir'> = {}): Promise<Stack> =>
  startStack({
    ...options,
    packageDir: must(process.env['STERNA_PACKAGE_DIR'], 'what was packaged'),
  });

export type DeployedPorts = Readonly<{
  objects: ObjectStore;
  table: Table;
  global: Table;
  clock: Clock;
  entropy: Entropy;
}>;

/** The ports of a deployment's functions, in this process. */
export function portsOf(stack: Pick<Stack, 'settings' | 'nameOf'>): DeployedPorts & {
  close(): void;
} {
  const settings: AwsSettings = stack.settings;
  const [dynamo, s3] = [dynamoClient(settings), s3Client(settings)];
  const world = { clock: openClock(), entropy: systemEntropy };
  const tableOf = (id: string) =>
    openDynamoTable({ client: dynamo, tableName: stack.nameOf(id), ...world });
  return {
    ...world,
    objects: openS3ObjectStore({ client: s3, bucket: stack.nameOf('ObjectsBucket') }),
    table: tableOf('RegionalTable'),
    global: tableOf('GlobalTable'),
    close: () => {
      dynamo.destroy();
      s3.destroy();
    },
  };
}

/** A collection of the rows that `clients.ts` writes. */
export async function createRows(
  url: string,
  collectionName: string,
  shards: number,
): Promise<void> {
  await create(url, {
    collectionName,
    schema: {
      fields: [
        { fieldName: 'id', dataType: 'Int64', isPrimary: true },
        { fieldName: 'stamp', dataType: 'Int64' },
        { fieldName: 'text', dataType: 'VarChar', elementTypeParams: { max_length: '40000' } },
        { fieldName: 'vector', dataType: 'FloatVector', elementTypeParams: { dim: '8' } },
      ],
    },
    indexParams: [{ fieldName: 'vector', indexName: 'vector', metricType: 'L2' }],
    params: { shardsNum: shards },
  });
}

/** @throws where the deployment refuses */
export async function create(url: string, body: Readonly<Record<string, unknown>>): Promise<void> {
  const reply = await ask(url, 'collections/create', body);
  if (reply?.['code'] !== 0) throw new Error(`collections/create: ${JSON.stringify(reply)}`);
}
