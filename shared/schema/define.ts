/** A collection definition checked against the rules and limits, and numbered. */
import { StoreError } from '#base/errors.ts';
import {
  type CollectionSchema,
  DYNAMIC_FIELD,
  FIELD_ID_FIRST,
  type Field,
  type FieldType,
  type Json,
  KNOWN_TYPES,
  SCALAR_TYPES,
  type ScalarValue,
  VECTOR_TYPES,
} from './field.ts';
import {
  DESCRIPTION_BYTES_MAX,
  DIM_MAX,
  DIM_MIN,
  FIELDS_MAX,
  MAX_LENGTH_MAX,
  MAX_LENGTH_MIN,
  NAME_CHARS_MAX,
  NAME_PATTERN,
  VECTOR_FIELDS_MAX,
} from './limits.ts';
import { Misfit, readScalar } from './value.ts';

/** A field as somebody asks for it. What does not concern its type is ignored. */
export type FieldInput = Readonly<{
  name: string;
  /** A Milvus type name; names are case-sensitive. */
  type: string;
  description?: string;
  primaryKey?: boolean;
  autoId?: boolean;
  nullable?: boolean;
  partitionKey?: boolean;
  clusteringKey?: boolean;
  /** Vector fields: number of components. */
  dim?: number;
  /** VarChar fields: longest value in bytes. */
  maxLength?: number;
  /** Null is no default. */
  defaultValue?: Json;
}>;

export type CollectionInput = Readonly<{
  fields: readonly FieldInput[];
  enableDynamic: boolean;
  /** Applies to the primary key, as if the field said so. */
  autoId?: boolean;
}>;

/** Names that Milvus keeps for its own columns; `$meta` fails the pattern anyway. */
const RESERVED_NAMES: readonly string[] = ['RowID', 'Timestamp', DYNAMIC_FIELD];

const refuse = (message: string): never => {
  throw new StoreError('INVALID_ARGUMENT', `invalid parameter: ${message}`);
};

/**
 * The first version of a collection's schema: fields numbered from {@link FIELD_ID_FIRST} in the
 * given order, the hidden dynamic field last.
 *
 * @throws StoreError `INVALID_ARGUMENT` that names the field and the rule; `INVALID_FIELD_NAME`; `UNSUPPORTED` for what is
 *   part of the Milvus surface and not built, by its name.
 */
export function defineCollection(input: CollectionInput): CollectionSchema {
  if (input.fields.length > FIELDS_MAX) {
    refuse(`${input.fields.length} fields, the maximum is ${FIELDS_MAX}`);
  }
  const fields = input.fields.map((field, index) =>
    defineField(
      field.primaryKey && input.autoId ? { ...field, autoId: true } : field,
      FIELD_ID_FIRST + index,
    ),
  );
  checkTogether(fields);
  if (input.enableDynamic) fields.push(dynamicMeta(FIELD_ID_FIRST + fields.length));
  return { version: 1, fields };
}

/** Rows without dynamic keys have no value in it. */
const dynamicMeta = (id: number): Field => ({
  id,
  name: DYNAMIC_FIELD,
  type: 'JSON',
  description: '',
  primaryKey: false,
  autoId: false,
  nullable: true,
  dynamic: true,
});

function checkTogether(fields: readonly Field[]): void {
  const names = new Set<string>();
  for (const { name } of fields) {
    if (names.has(name)) refuse(`duplicated field name ${name}`);
    names.add(name);
  }
  const keys = fields.filter(({ primaryKey }) => primaryKey);
  if (keys.length === 0) refuse('the schema has no primary key field');
  if (keys.length > 1) {
    refuse(
      `there are ${keys.length} primary key fields: ${keys.map(({ name }) => name).join(', ')}`,
    );
  }
  const vectors = fields.filter(({ type }) => type === 'FloatVector').length;
  if (vectors === 0) refuse('the schema has no vector field');
  if (vectors > VECTOR_FIELDS_MAX) {
    refuse(`${vectors} vector fields, the maximum is ${VECTOR_FIELDS_MAX}`);
  }
}

/** One field, numbered `id`. The rules between fields are not looked at. */
export function defineField(input: FieldInput, id: number): Field {
  checkName(input.name);
  const type = readType(input);
  const description = input.description ?? '';
  if (Buffer.byteLength(description) > DESCRIPTION_BYTES_MAX) {
    refuse(`field ${input.name}: description of more than ${DESCRIPTION_BYTES_MAX} bytes`);
  }
  if (input.partitionKey) unsupported(input.name, 'a partition key');
  if (input.clusteringKey) unsupported(input.name, 'a clustering key');
  const field: Field = {
    id,
    name: input.name,
    type,
    description,
    primaryKey: input.primaryKey ?? false,
    autoId: input.autoId ?? false,
    nullable: input.nullable ?? false,
    ...(type === 'FloatVector' ? { dim: readDim(input) } : {}),
    ...(type === 'VarChar' ? { maxLength: readMaxLength(input) } : {}),
    dynamic: false,
  };
  checkRole(field);
  const defaultValue = input.defaultValue ?? null;
  return defaultValue === null
    ? field
    : { ...field, defaultValue: readDefault(field, defaultValue) };
}

function checkName(name: string): void {
  if (name.length > NAME_CHARS_MAX) {
    misnamed(`a field name of ${name.length} characters, the maximum is ${NAME_CHARS_MAX}`);
  }
  if (RESERVED_NAMES.includes(name)) refuse(`the field name ${name} is reserved`);
  if (!NAME_PATTERN.test(name)) {
    misnamed(
      `field name ${JSON.stringify(name)}: letters, digits and _, no digit first, not empty`,
    );
  }
}

function misnamed(message: string): never {
  throw new StoreError('INVALID_FIELD_NAME', message);
}

function readType({ name, type }: FieldInput): FieldType {
  const built = [...SCALAR_TYPES, ...VECTOR_TYPES].find((known) => known === type);
  if (built !== undefined) return built;
  if (KNOWN_TYPES.some((known) => known === type)) unsupported(name, `the data type ${type}`);
  return refuse(`field ${name}: there is no data type ${JSON.stringify(type.slice(0, 64))}`);
}

function unsupported(name: string, what: string): never {
  throw new StoreError('UNSUPPORTED', `field ${name}: ${what} is not supported yet`);
}

function readDim({ name, dim }: FieldInput): number {
  if (dim === undefined) return refuse(`vector field ${name} needs its dimension, dim`);
  if (!Number.isInteger(dim) || dim < DIM_MIN || dim > DIM_MAX) {
    refuse(`field ${name}: dimension ${dim}, expected an integer from ${DIM_MIN} to ${DIM_MAX}`);
  }
  return dim;
}

function readMaxLength({ name, maxLength }: FieldInput): number {
  if (maxLength === undefined) return refuse(`VarChar field ${name} needs max_length`);
  if (!Number.isInteger(maxLength) || maxLength < MAX_LENGTH_MIN || maxLength > MAX_LENGTH_MAX) {
    const range = `from ${MAX_LENGTH_MIN} to ${MAX_LENGTH_MAX}`;
    refuse(`field ${name}: max_length ${maxLength}, expected an integer ${range}`);
  }
  return maxLength;
}

function checkRole({ name, type, primaryKey, autoId, nullable }: Field): void {
  if (primaryKey && type !== 'Int64' && type !== 'VarChar') {
    refuse(`the primary key ${name} is ${type}, expected Int64 or VarChar`);
  }
  if (autoId && !primaryKey) refuse(`field ${name}: autoID is for the primary key only`);
  if (nullable && primaryKey) refuse(`the primary key ${name} cannot be nullable`);
  if (nullable && type === 'FloatVector') refuse(`vector field ${name} cannot be nullable`);
}

/** The JSON type must be the field's own: a default is not converted, unlike a value in a row. */
function readDefault(field: Field, value: Json): ScalarValue {
  const what = `field ${field.name}`;
  if (field.primaryKey) refuse(`${what}: the primary key cannot have a default value`);
  if (field.type === 'FloatVector' || field.type === 'JSON') {
    refuse(`${what}: a ${field.type} field cannot have a default value`);
  }
  const isText = typeof value === 'string';
  if (isText !== (field.type === 'VarChar')) {
    refuse(`${what}: convert defaultValue fail, it is no ${field.type}`);
  }
  const stored = readScalar(field, value);
  if (stored instanceof Misfit)
    return refuse(`${what}: convert defaultValue fail, ${stored.reason}`);
  return stored;
}
