import { awsBase } from '#runtime/aws-base.ts';
import { compactTimer } from '#runtime/timer.ts';

export const handler = compactTimer(awsBase());
