import { awsBase } from '#runtime/aws-base.ts';
import { scrubTimer } from '#runtime/scrub-timer.ts';

export const handler = scrubTimer(awsBase());
