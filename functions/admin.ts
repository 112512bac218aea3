import { awsHttp } from '#runtime/aws.ts';
import { adminRoutes } from '#service/admin.ts';
import { inspectRoutes } from '#service/inspect.ts';
import { parkedRoutes } from '#service/parked.ts';
import { scrubRoutes } from '#service/scrub.ts';
import { userRoutes } from '#service/users.ts';

export const handler = awsHttp((engine, access) => ({
  ...adminRoutes(engine),
  ...inspectRoutes(engine),
  ...parkedRoutes(engine),
  ...scrubRoutes(engine),
  ...userRoutes(access),
}));
