/** A valid body of a route, and what is said about it. */
import type { Tree } from './fixture-rows.ts';
import type { Spec } from './spec.ts';
import { TEXTS } from './texts.ts';

export type Subject = Readonly<{
  /** The verb, and what is special about this body of it. */
  name: string;
  /** Below /v2/vectordb/, or a whole path. */
  verb: string;
  body: Tree;
  spec: Spec;
  /** A reply with code 0 may change what the store holds. */
  writes?: boolean;
  /** JSON texts to put where a member of this name stands. */
  texts?: Readonly<Record<string, readonly string[]>>;
  /** Members to add to the body, as JSON text. */
  extras?: Readonly<Record<string, string>>;
}>;

export const subject = (
  verb: string,
  body: Tree,
  spec: Spec,
  more: Partial<Subject> & Readonly<{ special?: string }> = {},
): Subject => ({
  name: more.special === undefined ? verb : `${verb} (${more.special})`,
  verb,
  body,
  spec,
  ...more,
  texts: { ...TEXTS, ...more.texts },
});
