import { awsHttp } from '#runtime/aws.ts';
import { writeRoutes } from '#service/write.ts';

export const handler = awsHttp(writeRoutes);
