import { describe, expect, it } from 'vitest';
import { isStoreError } from '#base/errors.ts';
import { type CollectionInput, defineCollection, type FieldInput } from '#schema/define.ts';
import { dynamicField, KNOWN_TYPES, primaryField, vectorFields } from '#schema/field.ts';

const id: FieldInput = { name: 'id', type: 'Int64', primaryKey: true };
const vector: FieldInput = { name: 'v', type: 'FloatVector', dim: 2 };

function refusal(input: Partial<CollectionInput>): readonly [string, string] {
  try {
    defineCollection({ fields: [id, vector], enableDynamic: false, ...input });
  } catch (error) {
    if (isStoreError(error)) return [error.code, error.message];
    throw error;
  }
  throw new Error('was accepted');
}

describe('defineCollection', () => {
  it('numbers the fields, the dynamic one last', () => {
    const schema = defineCollection({
      fields: [
        { ...vector, description: 'meaning' },
        { name: 'key', type: 'VarChar', maxLength: 65_535, primaryKey: true },
        { name: 'price', type: 'Float', nullable: true, defaultValue: 1.5 },
        { name: 'count', type: 'Int64', defaultValue: 9007199254740993n },
      ],
      enableDynamic: true,
      autoId: true,
    });
    expect(schema.version).toBe(1);
    expect(schema.fields.map(({ id: number, name, type }) => [number, name, type])).toEqual([
      [100, 'v', 'FloatVector'],
      [101, 'key', 'VarChar'],
      [102, 'price', 'Float'],
      [103, 'count', 'Int64'],
      [104, '$meta', 'JSON'],
    ]);
    expect(primaryField(schema)).toMatchObject({ name: 'key', autoId: true, maxLength: 65_535 });
    expect(vectorFields(schema)).toMatchObject([{ dim: 2, description: 'meaning', autoId: false }]);
    expect(dynamicField(schema)).toMatchObject({ nullable: true, dynamic: true });
    expect(schema.fields[2]).toMatchObject({ defaultValue: 1.5, nullable: true });
    expect(schema.fields[3]).toMatchObject({ defaultValue: 9007199254740993n });
  });

  const field = (rest: Partial<FieldInput>): readonly FieldInput[] => [
    id,
    vector,
    { name: 'x', type: 'Int64', ...rest },
  ];
  const cases: readonly [readonly FieldInput[], string][] = [
    [[vector], 'no primary key'],
    [[id], 'no vector field'],
    [[id, { ...id, name: 'id2' }, vector], '2 primary key fields: id, id2'],
    [[id, vector, vector], 'duplicated field name v'],
    [[{ ...id, type: 'Int32' }, vector], 'primary key id is Int32'],
    [[{ ...id, nullable: true }, vector], 'cannot be nullable'],
    [[{ ...id, defaultValue: 1 }, vector], 'cannot have a default'],
    [[id, { ...vector, nullable: true }], 'vector field v cannot be nullable'],
    [[id, { ...vector, defaultValue: [1, 2] }], 'a FloatVector field cannot have a default'],
    [[id, { ...vector, dim: 1 }], 'dimension 1, expected an integer from 2 to 32768'],
    [[id, { ...vector, dim: 32_769 }], 'dimension 32769'],
    [[id, { ...vector, dim: 2.5 }], 'dimension 2.5'],
    [[id, { name: 'v', type: 'FloatVector' }], 'v needs its dimension'],
    [
      [id, ...Array.from({ length: 11 }, (_, n) => ({ ...vector, name: `v${n}` }))],
      '11 vector fields',
    ],
    [
      [id, vector, ...Array.from({ length: 63 }, (_, n) => ({ name: `x${n}`, type: 'Bool' }))],
      '65 fields',
    ],
    [field({ autoId: true }), 'autoID is for the primary key'],
    [field({ type: 'VarChar' }), 'VarChar field x needs max_length'],
    [field({ type: 'VarChar', maxLength: 0 }), 'max_length 0'],
    [field({ type: 'VarChar', maxLength: 65_536 }), 'max_length 65536'],
    [field({ name: '$meta' }), '$meta is reserved'],
    [field({ name: 'RowID' }), 'RowID is reserved'],
    [field({ type: 'int64' }), 'no data type "int64"'],
    [field({ description: 'é'.repeat(513) }), 'description of more than 1024 bytes'],
    [field({ defaultValue: '1' }), 'convert defaultValue fail'],
    [field({ defaultValue: 1.5 }), 'convert defaultValue fail'],
    [field({ type: 'Int8', defaultValue: 128 }), 'convert defaultValue fail'],
    [field({ type: 'Bool', defaultValue: 0 }), 'convert defaultValue fail'],
    [field({ type: 'Float', defaultValue: 1e39 }), 'convert defaultValue fail'],
    [field({ type: 'VarChar', maxLength: 2, defaultValue: 1 }), 'convert defaultValue fail'],
    [field({ type: 'VarChar', maxLength: 2, defaultValue: 'abc' }), 'convert defaultValue fail'],
    [field({ type: 'JSON', defaultValue: {} }), 'a JSON field cannot have a default'],
  ];
  it.each(cases)('refuses case %#', (fields, reason) => {
    const [code, message] = refusal({ fields });
    expect(code).toBe('INVALID_ARGUMENT');
    expect(message).toContain(reason);
  });

  it.each([
    ['', 'field name ""'],
    ['1x', 'field name "1x"'],
    ['a-b', 'field name "a-b"'],
    ['x'.repeat(256), '256 characters'],
  ])('refuses the name %j', (name, reason) => {
    const [code, message] = refusal({ fields: field({ name }) });
    expect(code).toBe('INVALID_FIELD_NAME');
    expect(message).toContain(reason);
  });

  it('names what is known and not built', () => {
    for (const type of KNOWN_TYPES) {
      const [code, message] = refusal({ fields: field({ type }) });
      expect(code).toBe('UNSUPPORTED');
      expect(message).toContain(`field x: the data type ${type}`);
    }
    expect(refusal({ fields: field({ partitionKey: true }) })[1]).toContain('a partition key');
    expect(refusal({ fields: field({ clusteringKey: true }) })[0]).toBe('UNSUPPORTED');
  });

  it('takes 64 fields, 10 vectors and a default of null, which is none', () => {
    const vectors = Array.from({ length: 10 }, (_, n) => ({ ...vector, name: `v${n}` }));
    const rest = Array.from({ length: 53 }, (_, n) => ({
      name: `x${n}`,
      type: 'JSON',
      defaultValue: null,
    }));
    const schema = defineCollection({ fields: [id, ...vectors, ...rest], enableDynamic: true });
    expect(schema.fields).toHaveLength(65);
    expect(schema.fields[20]).not.toHaveProperty('defaultValue');
  });
});
