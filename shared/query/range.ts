/** The ends of a range search (API.md 3.1). */
import { StoreError } from '#base/errors.ts';
import type { Metric } from '#schema/field.ts';
import type { Range } from './search.ts';

/** L2: `rangeFilter <= d < radius`. IP, COSINE: `radius < d <= rangeFilter`. */
export type RangeEnds = Readonly<{ radius: number; rangeFilter?: number | undefined }>;

/** @throws StoreError `INVALID_ARGUMENT` where the ends are in the wrong order for the metric */
export function rangeOf(metric: Metric, { radius, rangeFilter }: RangeEnds): Range {
  const isDistance = metric === 'L2';
  if (rangeFilter !== undefined && (isDistance ? rangeFilter >= radius : rangeFilter <= radius)) {
    throw new StoreError(
      'INVALID_ARGUMENT',
      `range_filter(${rangeFilter}) must be ${isDistance ? 'less' : 'more'} than radius(${radius}) for metric ${metric}`,
    );
  }
  const cutsNear = rangeFilter !== undefined;
  if (isDistance) {
    const near = rangeFilter ?? Number.NEGATIVE_INFINITY;
    return { accepts: (score) => near <= score && score < radius, cutsNear };
  }
  const near = rangeFilter ?? Number.POSITIVE_INFINITY;
  return { accepts: (score) => radius < score && score <= near, cutsNear };
}
