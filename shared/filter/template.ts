/** `{name}`: a constant that travels beside the expression, in `exprParams`. */
import type { Json, JsonObject } from '#schema/field.ts';
import {
  type Constant,
  describeConstant,
  INT64_MAX,
  INT64_MIN,
  isListConstant,
  isNumberConstant,
} from './literal.ts';
import { MEMBERS_MAX } from './parser.ts';

/** Lists in lists; more than a `json_contains` with a nested list has a use for. */
const TEMPLATE_DEPTH_MAX = 16;

/**
 * The constant of a template variable, or the sentence that says why there is none. A number without
 * a fraction is an integer: JSON has one kind of number.
 */
export function templateConstant(
  params: JsonObject,
  name: string,
): Readonly<{ value: Constant }> | Readonly<{ error: string }> {
  if (!Object.hasOwn(params, name)) return { error: `exprParams has no value for {${name}}` };
  // The member exists.
  const value = convert(params[name] as Json, 0);
  return value === undefined
    ? { error: `exprParams.${name} must be a boolean, number, string or a list of one of them` }
    : { value };
}

function convert(value: Json, depth: number): Constant | undefined {
  if (typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'bigint')
    return value >= INT64_MIN && value <= INT64_MAX ? value : undefined;
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (!Array.isArray(value) || depth === TEMPLATE_DEPTH_MAX || value.length > MEMBERS_MAX) {
    return undefined;
  }
  const members: Constant[] = [];
  for (const member of value) {
    const constant = convert(member, depth + 1);
    if (constant === undefined) return undefined;
    members.push(constant);
  }
  return isHomogeneous(members) ? members : undefined;
}

/** Integers and floats may meet, since `1.0` and `1` are the same JSON number. */
function isHomogeneous(members: readonly Constant[]): boolean {
  const kinds = new Set(
    members.map((member) =>
      isListConstant(member)
        ? 'list'
        : isNumberConstant(member)
          ? 'number'
          : describeConstant(member),
    ),
  );
  return kinds.size <= 1;
}
