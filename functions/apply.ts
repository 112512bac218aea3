import { awsBase } from '#runtime/aws-base.ts';
import { applyStream } from '#runtime/stream.ts';

export const handler = applyStream(awsBase());
