import type { Scheduler } from 'fast-check';

/**
 * A port whose every call, and every answer, passes through fast-check's scheduler: the effects and
 * the continuations of concurrent tasks then interleave as the scheduler likes, and a failing
 * interleaving shrinks and replays.
 *
 * Only for ports whose methods all return promises: object store, log, table, invoker.
 */
export function scheduled<Port extends object>(
  scheduler: Pick<Scheduler, 'schedule'>,
  name: string,
  port: Port,
): Port {
  return new Proxy(port, {
    get(target, property) {
      const member: unknown = Reflect.get(target, property);
      if (typeof member !== 'function') return member;
      const label = `${name}.${String(property)}`;
      return async (...parameters: unknown[]) => {
        await scheduler.schedule(Promise.resolve(), label);
        const answer = await settled(async () => member.apply(target, parameters));
        await scheduler.schedule(Promise.resolve(), `${label} answers`);
        if (answer.failed) throw answer.error;
        return answer.value;
      };
    },
  });
}

type Settled = Readonly<{ failed: false; value: unknown } | { failed: true; error: unknown }>;

async function settled(call: () => Promise<unknown>): Promise<Settled> {
  try {
    return { failed: false, value: await call() };
  } catch (error) {
    return { failed: true, error };
  }
}
