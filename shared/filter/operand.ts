/** What a part of an expression can be, once names and constants are known. */
import type { CollectionSchema, JsonObject } from '#schema/field.ts';
import type { ArithmeticOp } from './ast.ts';
import type { Constant, NumberConstant } from './literal.ts';
import type { Predicate, Subject } from './predicate.ts';

export type Context = Readonly<{
  expression: string;
  schema: CollectionSchema;
  params: JsonObject;
}>;

export type ConstantOperand = Readonly<{ kind: 'constant'; at: number; value: Constant }>;
/** The label is what the expression calls it. */
export type SubjectOperand = Readonly<{
  kind: 'subject';
  at: number;
  subject: Subject;
  label: string;
}>;

export type Operand =
  | ConstantOperand
  | SubjectOperand
  | Readonly<{
      kind: 'arithmetic';
      at: number;
      subject: Subject;
      op: ArithmeticOp;
      operand: NumberConstant;
    }>
  | Readonly<{ kind: 'length'; at: number; subject: Subject }>
  | Readonly<{ kind: 'predicate'; at: number; predicate: Predicate }>;
