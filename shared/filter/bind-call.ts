/** Functions: what is evaluated, and what the grammar has and we do not. */
import type { CallExpr } from './ast.ts';
import { isListConstant } from './literal.ts';
import type { Context, Operand } from './operand.ts';
import type { Predicate, Subject } from './predicate.ts';
import { refuse, unsupported } from './refusal.ts';

const CONTAINS: ReadonlyMap<string, 'one' | 'all' | 'any'> = new Map([
  ['json_contains', 'one'],
  ['json_contains_all', 'all'],
  ['json_contains_any', 'any'],
  ['array_contains', 'one'],
  ['array_contains_all', 'all'],
  ['array_contains_any', 'any'],
]);

/** In the grammar, not evaluated: listed in docs/filters.md. */
const UNSUPPORTED = new Set([
  'text_match',
  'text_match_fuzzy',
  'phrase_match',
  'random_sample',
  'element_filter',
  'match_all',
  'match_any',
  'match_least',
  'match_most',
  'match_exact',
  'st_equals',
  'st_touches',
  'st_overlaps',
  'st_crosses',
  'st_contains',
  'st_intersects',
  'st_within',
  'st_dwithin',
  'st_isvalid',
]);

/** Like every keyword, a function's name is all-lower or ALL-UPPER. */
const canonicalName = (name: string): string =>
  name === name.toUpperCase() ? name.toLowerCase() : name;

/** @throws StoreError `UNSUPPORTED` for a function of the grammar that is not evaluated. */
export function refuseUnbuilt(context: Context, { name, at }: CallExpr): void {
  const known = canonicalName(name);
  if (UNSUPPORTED.has(known)) unsupported(context.expression, at, known);
}

export function bindCall(context: Context, expr: CallExpr, args: readonly Operand[]): Operand {
  const { at } = expr;
  const name = canonicalName(expr.name);
  const [option] = expr.options;
  if (option !== undefined)
    refuse(context.expression, at, `${expr.name} has no option ${option.name}`);
  const mode = CONTAINS.get(name);
  if (mode !== undefined) {
    return { at, kind: 'predicate', predicate: bindContains(context, expr, args, mode) };
  }
  if (name !== 'array_length')
    return refuse(context.expression, at, `function ${expr.name} does not exist`);
  const [argument] = args;
  if (argument === undefined || args.length !== 1) {
    return refuse(context.expression, at, `${expr.name} takes one argument`);
  }
  return { at, kind: 'length', subject: arraySubject(context, expr, argument) };
}

function bindContains(
  context: Context,
  expr: CallExpr,
  args: readonly Operand[],
  mode: 'one' | 'all' | 'any',
): Predicate {
  const [first, second] = args;
  if (first === undefined || second === undefined || args.length !== 2) {
    return refuse(context.expression, expr.at, `${expr.name} takes two arguments`);
  }
  const subject = arraySubject(context, expr, first);
  if (second.kind !== 'constant') {
    return refuse(
      context.expression,
      second.at,
      `the second argument of ${expr.name} is a constant`,
    );
  }
  const { value } = second;
  if (mode === 'one') {
    return { kind: 'test', subject, test: { kind: 'contains', mode: 'all', values: [value] } };
  }
  if (!isListConstant(value)) {
    return refuse(context.expression, second.at, `the second argument of ${expr.name} is a list`);
  }
  return { kind: 'test', subject, test: { kind: 'contains', mode, values: value } };
}

/** A path, or a JSON field whose documents are arrays; the dynamic field's are objects. */
function arraySubject(context: Context, expr: CallExpr, operand: Operand): Subject {
  if (operand.kind !== 'subject' || operand.subject.type !== 'JSON') {
    return refuse(
      context.expression,
      operand.at,
      `the first argument of ${expr.name} is a JSON path`,
    );
  }
  const { subject, label } = operand;
  if (subject.path === undefined && label === '$meta') {
    return refuse(context.expression, operand.at, `${expr.name} needs a path into $meta`);
  }
  return subject;
}
