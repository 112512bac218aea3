/** Which test fits which subject: comparisons, ranges, lists, patterns, arithmetic. */
import { isStoreError } from '#base/errors.ts';
import type { ArithmeticOp, CompareOp, Expr } from './ast.ts';
import {
  type Constant,
  compareNumbers,
  compareText,
  describeConstant,
  equalConstants,
  holds,
  isListConstant,
  isNumberConstant,
  mirrored,
  type ScalarConstant,
} from './literal.ts';
import type { ConstantOperand, Context, Operand, SubjectOperand } from './operand.ts';
import type { Bound, Predicate, Subject, Test } from './predicate.ts';
import { refuse } from './refusal.ts';
import { compileRegex } from './regex.ts';

const isInteger = ({ type }: Subject): boolean => type.startsWith('Int');
const isNumber = (subject: Subject): boolean =>
  isInteger(subject) || subject.type === 'Float' || subject.type === 'Double';
const isEquality = (op: CompareOp): boolean => op === '==' || op === '!=';
const isOrdered = (value: Constant): boolean =>
  isNumberConstant(value) || typeof value === 'string';

const describe = ({ subject, label }: SubjectOperand): string =>
  subject.path === undefined ? `${subject.type} field ${label}` : `JSON path ${label}`;

/** A whole JSON document has no order and no type to compare by. */
function requirePath(context: Context, operand: SubjectOperand): void {
  if (operand.subject.type === 'JSON' && operand.subject.path === undefined) {
    refuse(context.expression, operand.at, `JSON field ${operand.label} needs a path here`);
  }
}

/** Whether a value of the subject can equal the constant; a JSON path is typed by the constant. */
function accepts({ type }: Subject, value: Constant): boolean {
  switch (type) {
    case 'Bool':
      return typeof value === 'boolean';
    case 'VarChar':
      return typeof value === 'string';
    case 'JSON':
      return true;
    default:
      return isNumberConstant(value);
  }
}

type CompareExpr = Extract<Expr, { kind: 'compare' }>;

export function bindComparison(
  context: Context,
  expr: CompareExpr,
  left: Operand,
  right: Operand,
): Predicate {
  if (left.kind === 'constant' && right.kind === 'constant')
    return foldComparison(context, expr, left, right);
  if (left.kind === 'constant')
    return compareWith(context, expr.at, mirrored(expr.op), right, left);
  if (right.kind === 'constant') return compareWith(context, expr.at, expr.op, left, right);
  if (left.kind === 'subject' && right.kind === 'subject')
    return compareColumns(context, expr, left, right);
  return refuse(
    context.expression,
    expr.at,
    'only a column or path and a constant, or two columns, compare',
  );
}

function foldComparison(
  context: Context,
  { at, op }: CompareExpr,
  { value: a }: ConstantOperand,
  { value: b }: ConstantOperand,
): Predicate {
  if (isNumberConstant(a) && isNumberConstant(b)) return literal(holds(op, compareNumbers(a, b)));
  if (typeof a === 'string' && typeof b === 'string') return literal(holds(op, compareText(a, b)));
  if (typeof a === 'boolean' && typeof b === 'boolean' && isEquality(op)) {
    return literal(equalConstants(a, b) === (op === '=='));
  }
  return refuse(
    context.expression,
    at,
    `${describeConstant(a)} ${op} ${describeConstant(b)} has no meaning`,
  );
}

const literal = (value: boolean): Predicate => ({ kind: 'literal', value });

function compareWith(
  context: Context,
  at: number,
  op: CompareOp,
  operand: Operand,
  { value }: ConstantOperand,
): Predicate {
  switch (operand.kind) {
    case 'subject':
      return compareSubject(context, at, op, operand, value);
    case 'length':
      if (typeof value !== 'bigint')
        refuse(context.expression, at, 'array_length compares with an integer');
      return { kind: 'test', subject: operand.subject, test: { kind: 'length', op, value } };
    case 'arithmetic': {
      const { subject, op: arithmetic, operand: constant } = operand;
      if (!isNumberConstant(value)) {
        return refuse(
          context.expression,
          at,
          `arithmetic compares with a number, not with ${describeConstant(value)}`,
        );
      }
      return {
        kind: 'test',
        subject,
        test: { kind: 'arithmetic', arithmetic, operand: constant, op, value },
      };
    }
    default:
      return refuse(context.expression, at, 'a condition does not compare with a constant');
  }
}

function compareSubject(
  context: Context,
  at: number,
  op: CompareOp,
  operand: SubjectOperand,
  value: Constant,
): Predicate {
  requirePath(context, operand);
  const { subject } = operand;
  if (!accepts(subject, value)) {
    refuse(
      context.expression,
      at,
      `cannot compare ${describe(operand)} with ${describeConstant(value)}`,
    );
  }
  if (!isEquality(op) && !isOrdered(value)) {
    refuse(
      context.expression,
      at,
      `${op} has no meaning for ${describeConstant(value)}; use == or !=`,
    );
  }
  return { kind: 'test', subject, test: { kind: 'compare', op, value } };
}

function compareColumns(
  context: Context,
  { at, op }: CompareExpr,
  left: SubjectOperand,
  right: SubjectOperand,
): Predicate {
  const types = [left.subject.type, right.subject.type];
  if (types.includes('JSON'))
    refuse(context.expression, at, 'JSON does not compare with another column');
  const numbers = isNumber(left.subject) && isNumber(right.subject);
  if (!numbers && types[0] !== types[1]) {
    refuse(context.expression, at, `cannot compare ${describe(left)} with ${describe(right)}`);
  }
  if (types[0] === 'Bool' && !isEquality(op)) {
    refuse(context.expression, at, `${op} has no meaning for Bool fields; use == or !=`);
  }
  return { kind: 'columns', op, left: left.subject, right: right.subject };
}

type RangeOperands = Readonly<{ left: Operand; middle: Operand; right: Operand }>;

export function bindRange(
  context: Context,
  expr: Extract<Expr, { kind: 'range' }>,
  { left, middle, right }: RangeOperands,
): Predicate {
  if (middle.kind !== 'subject' || left.kind !== 'constant' || right.kind !== 'constant') {
    return refuse(context.expression, expr.at, 'a range is a column or path between two constants');
  }
  requirePath(context, middle);
  const upward = expr.first.startsWith('<');
  const inclusive = (op: CompareOp): boolean => op.endsWith('=');
  const first: Bound = { value: boundOf(context, middle, left), inclusive: inclusive(expr.first) };
  const second: Bound = {
    value: boundOf(context, middle, right),
    inclusive: inclusive(expr.second),
  };
  const [lower, upper] = upward ? [first, second] : [second, first];
  if ((typeof lower.value === 'string') !== (typeof upper.value === 'string')) {
    refuse(context.expression, expr.at, 'the bounds of a range must have one type');
  }
  if (compareBounds(lower.value, upper.value) > 0) {
    refuse(context.expression, expr.at, 'the lower bound of the range is above the upper');
  }
  return { kind: 'test', subject: middle.subject, test: { kind: 'between', lower, upper } };
}

function boundOf(
  context: Context,
  middle: SubjectOperand,
  { at, value }: ConstantOperand,
): ScalarConstant {
  if (isListConstant(value) || typeof value === 'boolean' || !accepts(middle.subject, value)) {
    return refuse(
      context.expression,
      at,
      `${describeConstant(value)} cannot bound ${describe(middle)}`,
    );
  }
  return value;
}

const compareBounds = (a: ScalarConstant, b: ScalarConstant): number =>
  typeof a === 'string' && typeof b === 'string'
    ? compareText(a, b)
    : isNumberConstant(a) && isNumberConstant(b)
      ? compareNumbers(a, b)
      : 0;

export function bindMembership(
  context: Context,
  expr: Extract<Expr, { kind: 'in' }>,
  left: Operand,
  right: Operand,
): Predicate {
  if (left.kind !== 'subject') {
    return refuse(context.expression, expr.at, 'only a column or path can be in a list');
  }
  requirePath(context, left);
  if (right.kind !== 'constant' || !isListConstant(right.value)) {
    return refuse(context.expression, right.at, 'expected a list behind in, such as [1, 2]');
  }
  const { subject } = left;
  const values = right.value.map((value): ScalarConstant => {
    const fits = accepts(subject, value) && !(isInteger(subject) && typeof value === 'number');
    if (!fits || isListConstant(value)) {
      return refuse(
        context.expression,
        right.at,
        `${describeConstant(value)} cannot be a value of ${describe(left)}`,
      );
    }
    return value;
  });
  const predicate: Predicate = { kind: 'test', subject, test: { kind: 'in', values } };
  return expr.negated ? { kind: 'not', operand: predicate } : predicate;
}

export function bindMatch(
  context: Context,
  expr: Extract<Expr, { kind: 'match' }>,
  left: Operand,
  right: Operand,
): Predicate {
  const { at, op } = expr;
  if (left.kind !== 'subject')
    return refuse(context.expression, at, `${op} is for a column or path`);
  requirePath(context, left);
  if (left.subject.type !== 'VarChar' && left.subject.type !== 'JSON') {
    refuse(context.expression, at, `${op} is for strings, and this is ${describe(left)}`);
  }
  if (right.kind !== 'constant' || typeof right.value !== 'string') {
    return refuse(context.expression, right.at, `expected a string behind ${op}`);
  }
  const pattern = right.value;
  const test: Test = op === 'like' ? { kind: 'like', pattern } : { kind: 'regex', pattern };
  if (op !== 'like') checkRegex(context, right.at, pattern);
  const predicate: Predicate = { kind: 'test', subject: left.subject, test };
  return op === '!~' ? { kind: 'not', operand: predicate } : predicate;
}

function checkRegex(context: Context, at: number, pattern: string): void {
  try {
    compileRegex(pattern);
  } catch (error) {
    if (!isStoreError(error, 'INVALID_ARGUMENT')) throw error;
    refuse(context.expression, at, error.message);
  }
}

/** One column or path, one operator, one constant. */
export function bindArithmetic(
  context: Context,
  at: number,
  op: ArithmeticOp,
  left: Operand,
  right: Operand,
): Operand {
  const no = (what: string): never => refuse(context.expression, at, what);
  if (left.kind === 'constant' && right.kind === 'subject' && op !== '+' && op !== '*') {
    return no(`a constant before ${op} is not evaluated; write the column first`);
  }
  const [side, other] = left.kind === 'constant' ? [right, left] : [left, right];
  if (side.kind !== 'subject' || other.kind !== 'constant') {
    return no('arithmetic takes one column or path, one operator and one constant');
  }
  requirePath(context, side);
  const { subject } = side;
  if (!isNumber(subject) && subject.type !== 'JSON')
    return no(`${op} is for numbers, and this is ${describe(side)}`);
  const operand = other.value;
  if (!isNumberConstant(operand))
    return no(`${op} is for numbers, not for ${describeConstant(operand)}`);
  if ((op === '/' || op === '%') && Number(operand) === 0) return no('division by zero');
  const floats =
    subject.type === 'Float' || subject.type === 'Double' || typeof operand === 'number';
  if (op === '%' && floats) return no('% is for integers only');
  return { at, kind: 'arithmetic', subject, op, operand };
}
