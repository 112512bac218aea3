import { awsBase } from '#runtime/aws-base.ts';
import { collectTimer } from '#runtime/collect-timer.ts';

export const handler = collectTimer(awsBase());
