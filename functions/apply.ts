import { awsEngine } from '#runtime/aws.ts';
import { applyStream } from '#runtime/stream.ts';

export const handler = applyStream(awsEngine());
