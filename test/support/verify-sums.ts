/**
 * Recomputes what the manifests of a deployment claim (I7): `held` from the bytes of all segments, and
 * `held + out = in`.
 */
import { addSum, emptySum, formatSum, parseSum, sumOf } from '#base/setsum.ts';
import { openCatalog } from '#catalog/collections.ts';
import { openClock } from '#local/clock.ts';
import { systemEntropy } from '#local/entropy.ts';
import { openLocal } from '#local/open-directory.ts';
import { readManifest } from '#manifest/head.ts';
import type { ObjectStore } from '#ports/object-store.ts';
import type { Table } from '#ports/table.ts';
import { heldSum } from './held-sum.ts';

export type SumPorts = Readonly<{ objects: ObjectStore; table: Table; global: Table }>;

/**
 * Of a data directory that no server uses.
 *
 * @returns how many shards were verified @throws where a sum does not agree
 */
export async function verifySums(dir: string): Promise<number> {
  const local = await openLocal(dir);
  try {
    const { objects, regionalTable: table, globalTable: global } = local;
    return await verifySumsOf({ objects, table, global });
  } finally {
    await local.close();
  }
}

/** As {@link verifySums}, of whatever the ports reach. Nobody may write or compact meanwhile. */
export async function verifySumsOf({ objects, table, global }: SumPorts): Promise<number> {
  const world = { clock: openClock(), entropy: systemEntropy };
  const catalog = openCatalog({ global, table, objects, ...world });
  let shards = 0;
  // A half-made collection may lack shards.
  for (const collection of await catalog.allCollections(['open', 'dropping'])) {
    for (let shard = 0; shard < collection.shards; shard++) {
      const id = { collectionId: collection.collectionId, shard };
      const { manifest } = await readManifest({ objects, table }, id);
      const held = emptySum();
      for (const entry of manifest.segments) {
        addSum(held, await heldSum(objects, collection, entry));
      }
      const claimed = manifest.sums;
      if (formatSum(held) !== claimed.held) {
        throw new Error(
          `shard ${shard}: the segments hold ${formatSum(held)}, the manifest says ${claimed.held}`,
        );
      }
      if (formatSum(sumOf(held, parseSum(claimed.out))) !== claimed.in) {
        throw new Error(`shard ${shard}: held + out is not in`);
      }
      shards++;
    }
  }
  return shards;
}
