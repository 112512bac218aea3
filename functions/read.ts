import { awsEngine, awsHttp } from '#runtime/aws.ts';
import { readMemory } from '#runtime/memory.ts';
import { readRoutes } from '#service/read.ts';

export const handler = awsHttp(readRoutes, awsEngine(readMemory));
