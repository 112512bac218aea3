/** What a month costs on AWS, from request counts that a test meters. Asks no server. */
import { Command, Option } from 'commander';
import { StoreError } from '#base/errors.ts';
import { stringifyJson } from '#base/json.ts';
import { COLLECTIONS_MAX, DIM_MAX, SHARDS_MAX } from '#schema/limits.ts';
import { wholeNumber } from './arguments.ts';
import { speaking } from './connection.ts';
import { costOf, type Workload } from './cost-model.ts';
import { costJson, costText } from './cost-text.ts';
import { type Architecture, DEPLOYMENT, MEMORY_MB_MAX, WAITS } from './cost-time.ts';

type Options = Readonly<{
  rows: number;
  dim: number;
  writesPerMonth: number;
  rowsPerWrite: number;
  queriesPerMonth: number;
  regions: number;
  collections: number;
  shards: number;
  streamShards?: number;
  onDemand?: boolean;
  retentionHours: number;
  memory?: number;
  architecture: Architecture;
  tableMs: number;
  freshEnvironments: number;
  requestIds?: boolean;
  alarms: boolean;
  dashboard?: boolean;
  json?: boolean;
}>;

/** A thousand billion of anything: far beyond what one deployment can do, and exact in a number. */
const COUNT_MAX = 1e12;
/** Three replicas are the most of a strongly consistent global table. */
const REGIONS_MAX = 3;
/** Every two hours; Lambda does not say how long it keeps an environment. */
const FRESH_ENVIRONMENTS = 360;

export function costCommand(): Command {
  const count = wholeNumber(0, COUNT_MAX);
  return new Command('cost')
    .description('what a month costs on AWS, line by line, and elsewhere')
    .option('--rows <n>', 'rows stored', count, 0)
    .option('--dim <n>', 'dimensions of their vectors', wholeNumber(1, DIM_MAX), 768)
    .option('--writes-per-month <n>', 'insert or upsert requests', count, 0)
    .option('--rows-per-write <n>', 'rows of a request', wholeNumber(1, 100_000), 100)
    .option('--queries-per-month <n>', 'searches, one vector each', count, 0)
    .option('--regions <n>', 'regions', wholeNumber(1, REGIONS_MAX), 1)
    .option('--collections <n>', 'collections', wholeNumber(1, COLLECTIONS_MAX), 1)
    .option('--shards <n>', 'shards of each collection', wholeNumber(1, SHARDS_MAX), 1)
    .option(
      '--stream-shards <n>',
      'shards of the Kinesis stream, 1 by default',
      wholeNumber(1, 10_000),
    )
    .option('--on-demand', 'a Kinesis stream without shards to count')
    .option('--retention-hours <n>', 'how long the stream keeps records', wholeNumber(24, 168), 24)
    .option('--memory <MB>', 'of the function that reads', wholeNumber(128, MEMORY_MB_MAX))
    .addOption(
      new Option('--architecture <name>', 'of the functions')
        .choices(['x86_64', 'arm64'])
        .default('x86_64'),
    )
    .option('--table-ms <n>', 'for a read of DynamoDB', wholeNumber(1, 1000), WAITS.tableMs)
    .option('--fresh-environments <n>', 'cold starts of read', count, FRESH_ENVIRONMENTS)
    .option('--request-ids', 'clients send a RequestId with each write')
    .option('--no-alarms', 'without the alarms of the template')
    .option('--dashboard', 'with the dashboard of the template')
    .option('--json', 'as JSON, with the source of each price')
    .action((options: Options) => speaking(async () => print(options)));
}

function print(options: Options): void {
  const workload = workloadOf(options);
  const month = costOf(workload);
  console.log(
    options.json === true ? stringifyJson(costJson(workload, month)) : costText(workload, month),
  );
}

/** @throws StoreError `INVALID_ARGUMENT` where options contradict one another */
export function workloadOf(options: Options): Workload {
  const { streamShards, onDemand = false, rows, queriesPerMonth, writesPerMonth } = options;
  if (onDemand && streamShards !== undefined) {
    throw new StoreError('INVALID_ARGUMENT', '--on-demand and --stream-shards: give one of them');
  }
  if (onDemand && options.retentionHours > DEPLOYMENT.retentionHours) {
    throw new StoreError(
      'INVALID_ARGUMENT',
      '--retention-hours: the price of keeping records longer is known for --stream-shards only',
    );
  }
  if (queriesPerMonth > 0 && rows === 0 && writesPerMonth === 0) {
    throw new StoreError('INVALID_ARGUMENT', '--queries-per-month needs --rows to search in');
  }
  return {
    rows,
    dim: options.dim,
    writesPerMonth,
    rowsPerWrite: options.rowsPerWrite,
    queriesPerMonth,
    regions: options.regions,
    collections: options.collections,
    shards: options.shards,
    streamShards: onDemand ? undefined : (streamShards ?? 1),
    retentionHours: options.retentionHours,
    memoryMb: options.memory,
    architecture: options.architecture,
    waits: { ...WAITS, tableMs: options.tableMs },
    freshEnvironments: options.freshEnvironments,
    requestIds: options.requestIds ?? false,
    alarms: options.alarms,
    dashboard: options.dashboard ?? false,
  };
}
