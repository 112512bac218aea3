/**
 * Unit prices of us-east-1 in US dollars, November 2026. Other regions differ by up to a third.
 *
 * `seen` is when the figure was read, and where: the vendor's own page where that shows figures, else
 * one that quotes it. `recalled` figures are of AWS's lists as known, and were not read again: each
 * of them is under a tenth of any total that it is part of.
 */
export type Price = Readonly<{
  /** Dollars for `per` units. */
  dollars: number;
  per: number;
  unit: string;
  source: string;
  seen: string;
}>;

export const PRICES_OF = 'us-east-1, November 2026';

const MILLION = 1_000_000;
const LAMBDA = 'https://aws.amazon.com/lambda/pricing/';
const S3 = 'https://aws.amazon.com/s3/pricing/';
const KINESIS = 'https://aws.amazon.com/kinesis/data-streams/pricing/';
const DYNAMODB = 'https://aws.amazon.com/dynamodb/pricing/on-demand/';
const CLOUDWATCH = 'https://aws.amazon.com/cloudwatch/pricing/';
const NOVEMBER = '2026-11';

export const PRICES = {
  httpRequest: {
    dollars: 1,
    per: MILLION,
    unit: 'request of 512 KB',
    source:
      'https://docs.aws.amazon.com/whitepapers/latest/best-practices-api-gateway-private-apis-integration/cost-optimization.html',
    seen: NOVEMBER,
  },
  lambdaRequest: {
    dollars: 0.2,
    per: MILLION,
    unit: 'invocation',
    source: LAMBDA,
    seen: '2026-09',
  },
  lambdaX86: { dollars: 0.0000166667, per: 1, unit: 'GB-second', source: LAMBDA, seen: '2026-05' },
  lambdaArm: { dollars: 0.0000133334, per: 1, unit: 'GB-second', source: LAMBDA, seen: '2026-05' },
  lambdaScratch: {
    dollars: 0.0000000309,
    per: 1,
    unit: 'GB-second above 512 MB',
    source: LAMBDA,
    seen: 'recalled',
  },
  s3Write: { dollars: 5, per: MILLION, unit: 'PUT, COPY or LIST', source: S3, seen: NOVEMBER },
  s3Read: { dollars: 0.4, per: MILLION, unit: 'GET or HEAD', source: S3, seen: NOVEMBER },
  s3Storage: { dollars: 0.023, per: 1, unit: 'GB-month', source: S3, seen: NOVEMBER },
  shardHour: { dollars: 0.015, per: 1, unit: 'shard-hour', source: KINESIS, seen: NOVEMBER },
  /** Between 24 hours and 7 days. */
  retentionHour: { dollars: 0.02, per: 1, unit: 'shard-hour', source: KINESIS, seen: '2026-11' },
  payloadUnit: {
    dollars: 0.014,
    per: MILLION,
    unit: 'payload unit of 25 KB',
    source: KINESIS,
    seen: '2026-11',
  },
  streamHour: { dollars: 0.04, per: 1, unit: 'stream-hour', source: KINESIS, seen: NOVEMBER },
  streamIn: { dollars: 0.08, per: 1, unit: 'GB written', source: KINESIS, seen: 'recalled' },
  streamOut: { dollars: 0.04, per: 1, unit: 'GB read', source: KINESIS, seen: 'recalled' },
  tableRead: { dollars: 0.125, per: MILLION, unit: 'read unit', source: DYNAMODB, seen: NOVEMBER },
  tableWrite: {
    dollars: 0.625,
    per: MILLION,
    unit: 'write unit',
    source: DYNAMODB,
    seen: NOVEMBER,
  },
  /** Per replica: since November 2024 the same as any write. */
  replicatedWrite: {
    dollars: 0.625,
    per: MILLION,
    unit: 'replicated write unit',
    source: DYNAMODB,
    seen: 'recalled',
  },
  tableStorage: { dollars: 0.25, per: 1, unit: 'GB-month', source: DYNAMODB, seen: 'recalled' },
  tableRecovery: { dollars: 0.2, per: 1, unit: 'GB-month', source: DYNAMODB, seen: 'recalled' },
  secret: {
    dollars: 0.4,
    per: 1,
    unit: 'secret-month',
    source: 'https://aws.amazon.com/secrets-manager/pricing/',
    seen: '2026-09',
  },
  kmsKey: {
    dollars: 1,
    per: 1,
    unit: 'key-month',
    source: 'https://aws.amazon.com/kms/pricing/',
    seen: NOVEMBER,
  },
  kmsRequest: {
    dollars: 0.03,
    per: 10_000,
    unit: 'request',
    source: 'https://aws.amazon.com/kms/pricing/',
    seen: '2026-03',
  },
  alarm: { dollars: 0.1, per: 1, unit: 'metric of an alarm', source: CLOUDWATCH, seen: '2026-06' },
  dashboard: { dollars: 3, per: 1, unit: 'dashboard', source: CLOUDWATCH, seen: '2026-06' },
  metric: { dollars: 0.3, per: 1, unit: 'custom metric', source: CLOUDWATCH, seen: '2026-06' },
  logs: { dollars: 0.5, per: 1, unit: 'GB ingested', source: CLOUDWATCH, seen: '2026-06' },
  transferOut: {
    dollars: 0.09,
    per: 1,
    unit: 'GB to the internet',
    source: 'https://aws.amazon.com/ec2/pricing/on-demand/',
    seen: '2026-06',
  },
  transferBetween: {
    dollars: 0.02,
    per: 1,
    unit: 'GB to another region',
    source: 'https://aws.amazon.com/ec2/pricing/on-demand/',
    seen: '2026-06',
  },
} as const satisfies Record<string, Price>;

export type PriceName = keyof typeof PRICES;

/**
 * What an AWS account has free every month without end, whoever else in it uses it up. New accounts have
 * credits besides. HTTP APIs, Kinesis, Secrets Manager and on-demand requests of DynamoDB have nothing.
 */
export const ALLOWANCES = {
  lambdaRequest: MILLION,
  lambdaGbSeconds: 400_000,
  tableStorage: 25,
  kmsRequest: 20_000,
  alarm: 10,
  dashboard: 3,
  metric: 10,
  logs: 5,
  transferOut: 100,
} as const;
