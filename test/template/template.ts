/** A CloudFormation template as data, and what is left of it once its conditions are decided. */

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
export type JsonRecord = { [name: string]: Json };

export type Resource = {
  Type: string;
  Properties?: JsonRecord;
  Condition?: string;
  DependsOn?: string | string[];
  DeletionPolicy?: string;
  UpdateReplacePolicy?: string;
};

export type Template = {
  Resources: Record<string, Resource>;
  Conditions?: JsonRecord;
  Outputs?: Record<string, { Value: Json; Condition?: string }>;
};

export const isRecord = (value: Json | undefined): value is JsonRecord =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Name and argument of a call such as `{ "Fn::Sub": ... }`. */
export function callOf(value: Json | undefined): readonly [string, Json] | undefined {
  if (!isRecord(value)) return undefined;
  const [entry, ...others] = Object.entries(value);
  if (entry === undefined || others.length > 0) return undefined;
  return entry[0] === 'Ref' || entry[0].startsWith('Fn::') ? entry : undefined;
}

export const listOf = (value: Json | undefined): readonly Json[] => {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
};

export const resourcesOf = (
  template: Template,
  type: string,
): readonly (readonly [string, Resource])[] =>
  Object.entries(template.Resources).filter(([, resource]) => resource.Type === type);

/** The resource that a `Ref`, or an `Fn::GetAtt` of any attribute, means. */
export function targetOf(value: Json | undefined): string | undefined {
  const [name, argument] = callOf(value) ?? [];
  if (name === 'Ref') return String(argument);
  if (name !== 'Fn::GetAtt') return undefined;
  return String(Array.isArray(argument) ? argument[0] : String(argument).split('.')[0]);
}

const ABSENT = Symbol('AWS::NoValue');

/** What CloudFormation would make: conditions decided for a region, `Fn::If` gone, the rest as it is. */
export function decide({ Resources, Conditions = {}, Outputs = {} }: Template, region: string) {
  // A condition that is not there holds for nothing; that it is missing, `specification.ts` says.
  const holds = (name: string | undefined): boolean =>
    name === undefined || (name in Conditions && test(Conditions[name] ?? null));

  const test = (condition: Json): boolean => {
    const [name, argument] = isRecord(condition) ? (Object.entries(condition)[0] ?? []) : [];
    const parts = listOf(argument);
    if (name === 'Condition') return holds(String(argument));
    if (name === 'Fn::Equals') return textOf(parts[0]) === textOf(parts[1]);
    if (name === 'Fn::Not') return !test(parts[0] ?? null);
    if (name === 'Fn::And') return parts.every(test);
    if (name === 'Fn::Or') return parts.some(test);
    throw new Error(`no condition: ${JSON.stringify(condition)}`);
  };
  const textOf = (value: Json | undefined): string =>
    JSON.stringify(targetOf(value) === 'AWS::Region' ? region : value);

  const walk = (value: Json): Json | typeof ABSENT => {
    const [name, argument] = callOf(value) ?? [];
    if (name === 'Ref' && argument === 'AWS::NoValue') return ABSENT;
    if (name === 'Fn::If') {
      const [condition, yes = null, no = null] = listOf(argument);
      return walk(holds(String(condition)) ? yes : no);
    }
    if (Array.isArray(value)) return value.map(walk).filter((each) => each !== ABSENT);
    if (!isRecord(value)) return value;
    const members = Object.entries(value).map(([key, each]) => [key, walk(each)] as const);
    // What is absent was taken out.
    return Object.fromEntries(members.filter(([, each]) => each !== ABSENT)) as JsonRecord;
  };

  const made = Object.entries(Resources).filter(([, { Condition }]) => holds(Condition));
  const ids = new Set(made.map(([id]) => id));
  const decided: Template = { Resources: {}, Outputs: {} };
  for (const [id, { Condition: _, DependsOn, Properties = {}, ...rest }] of made) {
    // To depend on what is not made is no error.
    const depends = listOf(DependsOn)
      .map(String)
      .filter((other) => ids.has(other) || !(other in Resources));
    decided.Resources[id] = {
      ...rest,
      ...(depends.length === 0 ? {} : { DependsOn: depends }),
      // A record walks into a record.
      Properties: walk(Properties) as JsonRecord,
    };
  }
  for (const [name, { Value, Condition }] of Object.entries(Outputs)) {
    const value = walk(Value);
    if (holds(Condition) && value !== ABSENT)
      decided.Outputs = { ...decided.Outputs, [name]: { Value: value } };
  }
  return decided;
}
