/**
 * Names and types: a tree and a schema to a predicate (API.md 2.2).
 *
 * Every part of an expression is one of five things: a constant, a subject (column or path), an
 * arithmetic over one subject, the length of an array, or a predicate. What may meet what is decided
 * here and in `bind-test.ts`, so that evaluation never meets a surprise.
 */
import type { Expr } from './ast.ts';
import { bindCall, refuseUnbuilt } from './bind-call.ts';
import { bindName, bindPresence } from './bind-name.ts';
import {
  bindArithmetic,
  bindComparison,
  bindMatch,
  bindMembership,
  bindRange,
} from './bind-test.ts';
import { type Constant, fold, INT64_MAX, isNumberConstant } from './literal.ts';
import type { Context, Operand } from './operand.ts';
import type { Predicate } from './predicate.ts';
import { refuse, unsupported } from './refusal.ts';
import { templateConstant } from './template.ts';

/** The whole expression, or an operand of `and`, `or`, `not`: something that is true of a row or not. */
export function bindPredicate(context: Context, expr: Expr): Predicate {
  const operand = bindOperand(context, expr);
  if (operand.kind === 'predicate') return operand.predicate;
  return refuse(context.expression, operand.at, `not a boolean expression: ${explain(operand)}`);
}

function explain(operand: Operand): string {
  switch (operand.kind) {
    case 'constant':
      return 'a constant is no predicate';
    case 'subject':
      return operand.subject.type === 'Bool'
        ? `a Bool column is no predicate, write ${operand.label} == true`
        : `${operand.label} is no predicate, compare it with something`;
    default:
      return 'arithmetic is no predicate, compare it with a constant';
  }
}

export function bindOperand(context: Context, expr: Expr): Operand {
  const { at } = expr;
  switch (expr.kind) {
    case 'integer':
      if (expr.value > INT64_MAX)
        refuse(context.expression, at, `integer ${expr.value} is beyond 64 bits`);
      return { at, kind: 'constant', value: expr.value };
    case 'float':
    case 'boolean':
    case 'string':
      return { at, kind: 'constant', value: expr.value };
    case 'array':
      return {
        at,
        kind: 'constant',
        value: expr.members.map((member) => bindConstant(context, member)),
      };
    case 'template':
      return bindTemplate(context, at, expr.name);
    case 'name':
      return bindName(context, expr);
    case 'element':
      return unsupported(context.expression, at, 'struct matcher element $');
    case 'time':
      return unsupported(context.expression, at, `timestamptz comparison (${expr.word})`);
    case 'unary':
      return bindUnary(context, at, expr.op, bindOperand(context, expr.operand));
    case 'binary':
      return bindBinary(context, at, expr);
    case 'call':
      refuseUnbuilt(context, expr);
      return bindCall(
        context,
        expr,
        expr.args.map((argument) => bindOperand(context, argument)),
      );
    default:
      return { at, kind: 'predicate', predicate: bindLogic(context, expr) };
  }
}

type Logic = Exclude<
  Expr,
  {
    kind:
      | 'integer'
      | 'float'
      | 'boolean'
      | 'string'
      | 'array'
      | 'template'
      | 'name'
      | 'element'
      | 'time'
      | 'unary'
      | 'binary'
      | 'call';
  }
>;

function bindLogic(context: Context, expr: Logic): Predicate {
  switch (expr.kind) {
    case 'and':
    case 'or':
      return {
        kind: expr.kind,
        operands: expr.operands.map((operand) => bindPredicate(context, operand)),
      };
    case 'not':
      return { kind: 'not', operand: bindPredicate(context, expr.operand) };
    case 'null':
    case 'exists':
      return bindPresence(context, expr, bindOperand(context, expr.operand));
    case 'compare': {
      const left = bindOperand(context, expr.left);
      return bindComparison(context, expr, left, bindOperand(context, expr.right));
    }
    case 'range':
      return bindRange(context, expr, {
        left: bindOperand(context, expr.left),
        middle: bindOperand(context, expr.middle),
        right: bindOperand(context, expr.right),
      });
    case 'in':
      return bindMembership(
        context,
        expr,
        bindOperand(context, expr.left),
        bindOperand(context, expr.right),
      );
    case 'match':
      return bindMatch(
        context,
        expr,
        bindOperand(context, expr.left),
        bindOperand(context, expr.right),
      );
  }
}

/** A member of a list: known without a row. */
function bindConstant(context: Context, expr: Expr): Constant {
  const operand = bindOperand(context, expr);
  if (operand.kind === 'constant') return operand.value;
  return refuse(context.expression, operand.at, 'expected a constant here');
}

function bindTemplate(context: Context, at: number, name: string): Operand {
  const found = templateConstant(context.params, name);
  if ('error' in found) return refuse(context.expression, at, found.error);
  return { at, kind: 'constant', value: found.value };
}

function bindUnary(context: Context, at: number, op: '+' | '-' | '~', operand: Operand): Operand {
  if (op === '~') return refuse(context.expression, at, 'bit operators are not evaluated: ~');
  if (op === '+' && operand.kind === 'subject') return operand;
  if (operand.kind !== 'constant' || !isNumberConstant(operand.value)) {
    return refuse(context.expression, at, `${op} before anything but a number`);
  }
  if (op === '+') return { ...operand, at };
  const value = fold('-', typeof operand.value === 'bigint' ? 0n : 0, operand.value);
  return typeof value === 'string'
    ? refuse(context.expression, at, value)
    : { at, kind: 'constant', value };
}

function bindBinary(
  context: Context,
  at: number,
  expr: Extract<Expr, { kind: 'binary' }>,
): Operand {
  const { op } = expr;
  if (op === '&' || op === '|' || op === '^' || op === '<<' || op === '>>') {
    return refuse(context.expression, at, `bit operators are not evaluated: ${op}`);
  }
  const left = bindOperand(context, expr.left);
  const right = bindOperand(context, expr.right);
  if (left.kind !== 'constant' || right.kind !== 'constant') {
    if (op === '**') return refuse(context.expression, at, '** is for constants only');
    return bindArithmetic(context, at, op, left, right);
  }
  if (!isNumberConstant(left.value) || !isNumberConstant(right.value)) {
    return refuse(context.expression, at, `${op} is for numbers only`);
  }
  const value = fold(op, left.value, right.value);
  return typeof value === 'string'
    ? refuse(context.expression, at, value)
    : { at, kind: 'constant', value };
}
