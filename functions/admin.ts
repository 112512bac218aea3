import { awsHttp } from '#runtime/aws.ts';
import { adminRoutes } from '#service/admin.ts';
import { inspectRoutes } from '#service/inspect.ts';

export const handler = awsHttp((engine) => ({ ...adminRoutes(engine), ...inspectRoutes(engine) }));
