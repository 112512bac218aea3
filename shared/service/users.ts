/** users/*: what a user, or root, may change about who may speak. */

import { BASE_PATH } from '#api/routes.ts';
import { UpdatePasswordRequest } from '#api/users.ts';
import { StoreError } from '#base/errors.ts';
import { type Access, ROOT_USER } from '#catalog/access.ts';
import { type RequestContext, type Routes, writeRoute } from './route.ts';

const path = (verb: string): string => `POST ${BASE_PATH}/users/${verb}`;

export const userRoutes = (access: Pick<Access, 'changePassword'>): Routes => ({
  [path('update_password')]: writeRoute(UpdatePasswordRequest, async (request, context) => {
    const { userName: user, password, newPassword, description } = request;
    permit(context, user, 'UpdateUser');
    await access.changePassword({ user, password, newPassword, description });
    return { data: {} };
  }),
});

/** Until there are roles, each user may do this to himself, and root to everybody. */
function permit({ user }: RequestContext, to: string, privilege: string): void {
  if (user === to || user === ROOT_USER) return;
  throw new StoreError(
    'PERMISSION_DENIED',
    `privilege not permitted: ${privilege} of ${to.slice(0, 64)} is not for ${user}`,
  );
}
