/**
 * A template against AWS's own resource specification: types, names and values of properties, what is
 * required, and whether everything that is referred to is there.
 */
import { loadAwsServiceSpecSync } from '@aws-cdk/aws-service-spec';
import { callOf, isRecord, type Json, listOf, type Resource, type Template } from './template.ts';

type Database = ReturnType<typeof loadAwsServiceSpecSync>;
type ResourceSpec = Readonly<{
  properties: Properties;
  attributes: Readonly<Record<string, unknown>>;
}>;
type Properties = Readonly<Record<string, Readonly<{ type: PropertyType; required?: boolean }>>>;
type PropertyType =
  | Readonly<{ type: 'string'; allowedValues?: readonly string[] }>
  | Readonly<{ type: 'integer' | 'number' | 'boolean' | 'json' | 'date-time' | 'null' | 'tag' }>
  | Readonly<{ type: 'ref'; reference: Readonly<{ $ref: string }> }>
  | Readonly<{ type: 'array' | 'map'; element: PropertyType }>
  | Readonly<{ type: 'union'; types: readonly PropertyType[] }>;

/** The specification says of neither that it must be there; CloudFormation does. */
const ALSO_REQUIRED: Readonly<Record<string, readonly string[]>> = {
  'AWS::DynamoDB::GlobalTable': ['KeySchema'],
  'AWS::Lambda::EventSourceMapping': ['StartingPosition'],
};
const PSEUDO = new Set(
  ['AccountId', 'NoValue', 'Partition', 'Region', 'StackId', 'StackName', 'URLSuffix'].map(
    (name) => `AWS::${name}`,
  ),
);
/** A template nests some ten levels; more is a template that never ends. */
const DEPTH_MAX = 64;

let loaded: Database | undefined;

/** What is wrong, each with its place: `WalStream.ShardCount: ...`. Empty for a good template. */
export function checkSpecification(template: Template): readonly string[] {
  loaded ??= loadAwsServiceSpecSync();
  return new Checker(loaded, template).check();
}

class Checker {
  readonly #database: Database;
  readonly #template: Template;
  readonly #findings: string[] = [];

  constructor(database: Database, template: Template) {
    this.#database = database;
    this.#template = template;
  }

  check(): readonly string[] {
    for (const [id, resource] of Object.entries(this.#template.Resources)) {
      this.#resource(id, resource);
    }
    for (const [name, { Value }] of Object.entries(this.#template.Outputs ?? {})) {
      this.#references(`Outputs.${name}`, Value, 0);
    }
    for (const [name, condition] of Object.entries(this.#template.Conditions ?? {})) {
      this.#references(`Conditions.${name}`, condition, 0);
    }
    this.#findings.push(...cycles(this.#template));
    return this.#findings;
  }

  #find(place: string, sentence: string): void {
    this.#findings.push(`${place}: ${sentence}`);
  }

  #spec(type: string): ResourceSpec | undefined {
    const found = this.#database.lookup('resource', 'cloudFormationType', 'equals', type);
    // The parts of the database's own types that are looked at.
    return found[0] as unknown as ResourceSpec | undefined;
  }

  #resource(id: string, resource: Resource): void {
    const { Type, Properties = {}, DependsOn, Condition } = resource;
    const spec = this.#spec(Type);
    if (spec === undefined) {
      this.#find(id, `there is no resource type ${Type}`);
      return;
    }
    for (const other of listOf(DependsOn)) {
      if (!(String(other) in this.#template.Resources)) {
        this.#find(id, `depends on ${String(other)}, which is not there`);
      }
    }
    if (Condition !== undefined) this.#condition(id, Condition);
    const required = ALSO_REQUIRED[Type] ?? [];
    this.#properties(id, spec.properties, required, Properties, 0);
    this.#references(id, Properties, 0);
  }

  #condition(place: string, name: string): void {
    if (!(name in (this.#template.Conditions ?? {}))) {
      this.#find(place, `condition ${name} is not there`);
    }
  }

  #properties(
    place: string,
    specified: Properties,
    alsoRequired: readonly string[],
    given: Readonly<Record<string, Json>>,
    depth: number,
  ): void {
    for (const [name, value] of Object.entries(given)) {
      const property = specified[name];
      if (property === undefined) this.#find(place, `there is no property ${name}`);
      else this.#value(`${place}.${name}`, property.type, value, depth + 1);
    }
    for (const [name, { required }] of Object.entries(specified)) {
      if (required === true && !(name in given)) this.#find(place, `property ${name} is missing`);
    }
    for (const name of alsoRequired) {
      if (!(name in given)) this.#find(place, `property ${name} is missing`);
    }
  }

  #value(place: string, type: PropertyType, value: Json, depth: number): void {
    if (depth > DEPTH_MAX) {
      this.#find(place, 'is nested too deeply');
      return;
    }
    const [call, argument] = callOf(value) ?? [];
    if (call === 'Fn::If') {
      const [, yes = null, no = null] = listOf(argument);
      this.#value(place, type, yes, depth + 1);
      this.#value(place, type, no, depth + 1);
      return;
    }
    // What a call gives is known to CloudFormation only.
    if (call !== undefined) return;
    if (type.type === 'union') {
      if (!type.types.some((each) => this.#fits(place, each, value, depth))) {
        this.#find(place, `${shown(value)} is none of the types that it may have`);
      }
      return;
    }
    this.#typed(place, type, value, depth);
  }

  /** Without taking down what does not fit. */
  #fits(place: string, type: PropertyType, value: Json, depth: number): boolean {
    const before = this.#findings.length;
    this.#value(place, type, value, depth + 1);
    return this.#findings.splice(before).length === 0;
  }

  #typed(
    place: string,
    type: Exclude<PropertyType, { type: 'union' }>,
    value: Json,
    depth: number,
  ) {
    switch (type.type) {
      case 'ref': {
        if (!isRecord(value)) return this.#find(place, `${shown(value)} is no object`);
        const definition = this.#database.get('typeDefinition', type.reference.$ref);
        // As above.
        const { properties } = definition as unknown as Readonly<{ properties: Properties }>;
        return this.#properties(place, properties, [], value, depth);
      }
      case 'array':
        if (!Array.isArray(value)) return this.#find(place, `${shown(value)} is no list`);
        value.forEach((each, index) => {
          this.#value(`${place}.${index}`, type.element, each, depth + 1);
        });
        return;
      case 'map':
        if (!isRecord(value)) return this.#find(place, `${shown(value)} is no object`);
        for (const [name, each] of Object.entries(value)) {
          this.#value(`${place}.${name}`, type.element, each, depth + 1);
        }
        return;
      default:
        if (!isScalar(type, value)) this.#find(place, `${shown(value)} is no ${named(type)}`);
    }
  }

  /** Everything that is referred to exists. */
  #references(place: string, value: Json, depth: number): void {
    if (depth > DEPTH_MAX) return;
    const [call, argument = null] = callOf(value) ?? [];
    if (call === 'Ref') this.#target(place, String(argument));
    else if (call === 'Fn::GetAtt') {
      const [id = '', ...rest] = Array.isArray(argument)
        ? argument.map(String)
        : String(argument).split('.');
      this.#attribute(place, id, rest.join('.'));
    } else if (call === 'Fn::Sub') this.#substitutions(place, argument);
    else if (call === 'Fn::If') this.#condition(place, String(listOf(argument)[0]));
    if (Array.isArray(value)) {
      value.forEach((each, index) => {
        this.#references(`${place}.${index}`, each, depth + 1);
      });
    } else if (isRecord(value)) {
      for (const [name, each] of Object.entries(value)) {
        if (name === 'Condition' && typeof each === 'string') this.#condition(place, each);
        this.#references(`${place}.${name}`, each, depth + 1);
      }
    }
  }

  #substitutions(place: string, argument: Json): void {
    const [text, own] = Array.isArray(argument) ? argument : [argument, {}];
    for (const [, name = ''] of String(text).matchAll(/\$\{([^!}][^}]*)\}/g)) {
      if (isRecord(own) && name in own) continue;
      const [id = '', ...rest] = name.split('.');
      if (rest.length === 0) this.#target(place, id);
      else this.#attribute(place, id, rest.join('.'));
    }
  }

  #target(place: string, id: string): void {
    if (id in this.#template.Resources || PSEUDO.has(id)) return;
    this.#find(place, `refers to ${id}, which is not there`);
  }

  #attribute(place: string, id: string, attribute: string): void {
    const resource = this.#template.Resources[id];
    if (resource === undefined) this.#target(place, id);
    else if (!(attribute in (this.#spec(resource.Type)?.attributes ?? {})))
      this.#find(place, `${id} has no attribute ${attribute}`);
  }
}

function isScalar({ type, ...rest }: PropertyType, value: Json): boolean {
  switch (type) {
    case 'string': {
      if (!['string', 'number', 'boolean'].includes(typeof value)) return false;
      const { allowedValues } = rest as { allowedValues?: readonly string[] };
      return allowedValues === undefined || allowedValues.includes(String(value));
    }
    // CloudFormation takes numbers and truths as texts too.
    case 'integer':
      return /^-?\d+$/.test(String(value)) && typeof value !== 'object';
    case 'number':
      return value !== '' && typeof value !== 'object' && Number.isFinite(Number(value));
    case 'boolean':
      return ['true', 'false'].includes(String(value));
    case 'json':
      return typeof value === 'object' || typeof value === 'string';
    case 'tag':
      return isRecord(value) && 'Key' in value && 'Value' in value;
    case 'date-time':
      return typeof value === 'string';
    default:
      return value === null;
  }
}

const named = (type: PropertyType): string =>
  type.type === 'string' && type.allowedValues !== undefined
    ? `one of ${type.allowedValues.join(', ')}`
    : type.type;

const shown = (value: Json): string => JSON.stringify(value).slice(0, 80);

/** Resources that wait for each other, which CloudFormation refuses. */
function cycles(template: Template): readonly string[] {
  const edges = new Map(
    Object.entries(template.Resources).map(([id, { Properties = {}, DependsOn }]) => [
      id,
      new Set([...listOf(DependsOn).map(String), ...mentioned(Properties)]),
    ]),
  );
  // What waits for nothing that is left goes, and what nothing that is left waits for, round by round;
  // what stays waits in a circle.
  for (let gone = 1; gone > 0; ) {
    gone = 0;
    const awaited = new Set([...edges.values()].flatMap((others) => [...others]));
    for (const [id, others] of edges) {
      if (awaited.has(id) && [...others].some((other) => edges.has(other))) continue;
      edges.delete(id);
      gone += 1;
    }
  }
  return edges.size === 0 ? [] : [`${[...edges.keys()].join(', ')}: wait for each other`];
}

function mentioned(value: Json): readonly string[] {
  const [call, argument = null] = callOf(value) ?? [];
  if (call === 'Ref') return [String(argument)];
  if (call === 'Fn::GetAtt') return [String(listOf(argument)[0]).split('.')[0] ?? ''];
  const parts = Array.isArray(value) ? value : isRecord(value) ? Object.values(value) : [];
  const inside = parts.flatMap(mentioned);
  if (call !== 'Fn::Sub') return inside;
  const text = String(listOf(argument)[0]);
  return [...inside, ...[...text.matchAll(/\$\{([^!}.]+)[^}]*\}/g)].map((match) => match[1] ?? '')];
}
