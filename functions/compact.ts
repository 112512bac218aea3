import { awsEngine } from '#runtime/aws.ts';
import { compactTimer } from '#runtime/timer.ts';

export const handler = compactTimer(awsEngine());
