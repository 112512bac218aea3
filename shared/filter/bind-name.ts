/** Names to subjects: columns, paths into JSON columns, keys of the dynamic field. */
import { DYNAMIC_FIELD, dynamicField, type Field } from '#schema/field.ts';
import type { Expr, NameExpr } from './ast.ts';
import type { Context, Operand } from './operand.ts';
import type { Predicate, Subject } from './predicate.ts';
import { refuse, unsupported } from './refusal.ts';

/** A name that no field has is a key of the dynamic field, where the collection has one. */
export function bindName(context: Context, expr: NameExpr): Operand {
  const { at, name } = expr;
  const steps = expr.path.map((step) => {
    if (step.kind === 'struct')
      unsupported(context.expression, at, `struct field ${name}[${step.name}]`);
    return step.kind === 'key' ? step.key : step.index;
  });
  const dynamic = dynamicField(context.schema);
  const field =
    name === DYNAMIC_FIELD
      ? dynamic
      : context.schema.fields.find((each) => each.name === name && !each.dynamic);
  if (field === undefined && (dynamic === undefined || name === DYNAMIC_FIELD)) {
    refuse(context.expression, at, `field ${name} does not exist`);
  }
  const path = field === undefined ? [name, ...steps] : steps;
  const subject = subjectOf(context, at, field ?? dynamic!, path);
  return { at, kind: 'subject', subject, label: labelOf(name, steps) };
}

function subjectOf(
  context: Context,
  at: number,
  field: Field,
  path: readonly (string | number)[],
): Subject {
  if (field.type === 'FloatVector') {
    return refuse(context.expression, at, `vector field ${field.name} cannot be filtered`);
  }
  const { id: fieldId, type } = field;
  if (path.length === 0) return { fieldId, type };
  if (type === 'JSON') return { fieldId, type, path };
  return refuse(
    context.expression,
    at,
    `only JSON fields have paths, and ${field.name} is ${type}`,
  );
}

const labelOf = (name: string, steps: readonly (string | number)[]): string =>
  name + steps.map((step) => `[${JSON.stringify(step)}]`).join('');

/** `x is null`, `x is not null` and `exists x`. */
export function bindPresence(
  context: Context,
  expr: Extract<Expr, { kind: 'null' | 'exists' }>,
  operand: Operand,
): Predicate {
  if (operand.kind !== 'subject') {
    const words = expr.kind === 'null' ? 'is null' : 'exists';
    return refuse(context.expression, operand.at, `${words} is for a column or a JSON path`);
  }
  const { subject, label } = operand;
  if (expr.kind === 'exists' && subject.path === undefined) {
    return refuse(
      context.expression,
      operand.at,
      `exists is for a JSON path, not for the field ${label}`,
    );
  }
  const present: Predicate = { kind: 'exists', subject };
  return expr.kind === 'null' && !expr.negated ? { kind: 'not', operand: present } : present;
}
