/**
 * What the parser makes of an expression: the whole grammar, before names and types mean anything.
 *
 * `at` is the offset of the node in the expression (UTF-16 units, from 0), for messages. `depth` is
 * the height of the tree below the node: the parser bounds it, so that everything behind the parser
 * may recurse without a thought for the stack.
 */
export type CompareOp = '==' | '!=' | '<' | '<=' | '>' | '>=';
export type ArithmeticOp = '+' | '-' | '*' | '/' | '%';
export type BitOp = '&' | '^' | '|' | '<<' | '>>';

/** One step of a path: `["key"]`, `[3]`, or `[name]`, which only struct arrays have. */
export type PathStep =
  | Readonly<{ kind: 'key'; key: string }>
  | Readonly<{ kind: 'index'; index: number }>
  | Readonly<{ kind: 'struct'; name: string }>;

type Place = Readonly<{ at: number; depth: number }>;

export type Expr = Place &
  (
    | Readonly<{ kind: 'integer'; value: bigint }>
    | Readonly<{ kind: 'float'; value: number }>
    | Readonly<{ kind: 'boolean'; value: boolean }>
    | Readonly<{ kind: 'string'; value: string }>
    | Readonly<{ kind: 'array'; members: readonly Expr[] }>
    | Readonly<{ kind: 'template'; name: string }>
    /** A column, `$meta`, or a key of `$meta`, with the path behind it. */
    | Readonly<{ kind: 'name'; name: string; path: readonly PathStep[] }>
    /** `$` and `$[name]`: an element of the array that a struct matcher walks over. */
    | Readonly<{ kind: 'element' }>
    /** `iso '...'` and `interval '...'`, the operands of timestamptz comparisons. */
    | Readonly<{ kind: 'time'; word: 'iso' | 'interval' }>
    | Readonly<{ kind: 'unary'; op: '+' | '-' | '~'; operand: Expr }>
    | Readonly<{ kind: 'not'; operand: Expr }>
    | Readonly<{ kind: 'binary'; op: ArithmeticOp | BitOp | '**'; left: Expr; right: Expr }>
    | Readonly<{ kind: 'compare'; op: CompareOp; left: Expr; right: Expr }>
    /** `low < middle <= high`, or the same with `>`: `first` and `second` look the same way. */
    | Readonly<{
        kind: 'range';
        first: CompareOp;
        second: CompareOp;
        left: Expr;
        middle: Expr;
        right: Expr;
      }>
    | Readonly<{ kind: 'in'; negated: boolean; left: Expr; right: Expr }>
    | Readonly<{ kind: 'match'; op: 'like' | '=~' | '!~'; left: Expr; right: Expr }>
    /** Flat, so that a thousand terms are not a thousand levels. */
    | Readonly<{ kind: 'and' | 'or'; operands: readonly Expr[] }>
    | Readonly<{ kind: 'null'; negated: boolean; operand: Expr }>
    | Readonly<{ kind: 'exists'; operand: Expr }>
    | Readonly<{
        kind: 'call';
        name: string;
        args: readonly Expr[];
        /** `minimum_should_match=2`, `threshold=3`. */
        options: readonly Readonly<{ name: string; value: bigint }>[];
      }>
  );

export type NameExpr = Extract<Expr, { kind: 'name' }>;
export type CallExpr = Extract<Expr, { kind: 'call' }>;
