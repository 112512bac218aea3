/** The graphs that a collection's indexes ask for. */
import type { Collection, Index } from '#catalog/collection.ts';
import type { Field, Metric } from '#schema/field.ts';
import { GRAPH_DEFAULTS } from '#segment/build.ts';

export type WantedGraph = Readonly<{
  field: Field;
  metric: Metric;
  /** Links of a point, and the width of the search for them when it is added. */
  m: number;
  efConstruction: number;
}>;

/** Milvus takes 2 to 2,048 links; beyond 64 a graph of 768 dimensions is mostly links. */
const M_RANGE = { min: 4, max: 64 } as const;
/** Time to build grows in proportion; beyond 500 recall hardly does. */
const EF_CONSTRUCTION_RANGE = { min: 8, max: 500 } as const;
/** An index of this type asks for exact answers. */
const EXACT = 'FLAT';

/** One per vector field at most: a field has one index. */
export function wantedGraphs({ schema, indexes }: Collection): readonly WantedGraph[] {
  return indexes.flatMap((index): WantedGraph[] => {
    const field = schema.fields.find(({ id }) => id === index.fieldId);
    if (field?.type !== 'FloatVector' || index.metric === undefined) return [];
    if (index.indexType.toUpperCase() === EXACT) return [];
    const { m, efConstruction } = GRAPH_DEFAULTS;
    return [
      {
        field,
        metric: index.metric,
        m: parameter(index, 'M', m, M_RANGE),
        efConstruction: parameter(index, 'efConstruction', efConstruction, EF_CONSTRUCTION_RANGE),
      },
    ];
  });
}

type Range = Readonly<{ min: number; max: number }>;

function parameter(
  { params }: Index,
  name: string,
  byDefault: number,
  { min, max }: Range,
): number {
  const given = Number(params[name] ?? byDefault);
  return Number.isInteger(given) ? Math.min(max, Math.max(min, given)) : byDefault;
}
