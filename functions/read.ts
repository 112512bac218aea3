import { awsHttp } from '#runtime/aws.ts';
import { readRoutes } from '#service/read.ts';

export const handler = awsHttp(readRoutes);
