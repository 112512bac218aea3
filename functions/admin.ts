import { awsHttp } from '#runtime/aws.ts';
import { adminRoutes } from '#service/admin.ts';
import { inspectRoutes } from '#service/inspect.ts';
import { userRoutes } from '#service/users.ts';

export const handler = awsHttp((engine, access) => ({
  ...adminRoutes(engine),
  ...inspectRoutes(engine),
  ...userRoutes(access),
}));
