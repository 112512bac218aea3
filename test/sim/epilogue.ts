/** What is looked at when everything is over and nothing goes wrong any more. */
import { TTL_PROPERTY } from '#catalog/ttl.ts';
import { lastScrub } from '#maintain/scrub.ts';
import type { ScrubFindings } from '#maintain/scrub-findings.ts';
import { lastPins } from '#maintain/scrub-pins.ts';
import { scrubRound } from '#maintain/scrub-round.ts';
import type { Stage } from './actors/actor.ts';
import { invoke } from './actors/background.ts';
import { BRIEF } from './actors/collections.ts';
import type { World } from './services.ts';

/** What had a time to live has none any more: what was dropped is gone, what was not is seen again. */
export async function liveForEver(stage: Stage): Promise<void> {
  const process = stage.fleet.start('maintain');
  const { catalog } = process.engine;
  const changed = await invoke(stage, process, async () => {
    const { collectionId } = await catalog.findCollection('default', BRIEF.name);
    await catalog.updateCollection(collectionId, (current) => {
      const { [TTL_PROPERTY]: ttl, ...properties } = current.properties;
      return ttl === undefined ? undefined : { ...current, properties };
    });
  });
  if (changed.is !== 'ended') stage.world.violate('I12', 'a property cannot be changed in calm');
}

/** I6, I7: every byte that is reachable is there and is what it should be. */
export async function scrubAll(stage: Stage): Promise<void> {
  const { world } = stage;
  const process = stage.fleet.start('maintain');
  const { ports, catalog } = process.engine;
  const bounds = { bytesMax: Number.POSITIVE_INFINITY, untilMs: Number.POSITIVE_INFINITY };
  const scrubbed = await invoke(stage, process, () => scrubRound(ports, catalog, bounds, 0));
  if (scrubbed.is !== 'ended') world.violate('I12', 'scrub does not end in calm');
  else if (scrubbed.value.findings > 0 || scrubbed.value.failures > 0) await tellScrub(world);
}

async function tellScrub(world: World): Promise<void> {
  const { table, records } = world;
  const found: (ScrubFindings | undefined)[] = [await lastPins(table)];
  for (const [, { manifest }] of records.heads) found.push(await lastScrub(table, manifest));
  for (const { damaged, missing } of found.filter((each) => each !== undefined)) {
    for (const { key, what } of missing) {
      world.violate('I6', `scrub: ${key} is missing: ${what}`);
    }
    for (const { key, what } of damaged) {
      world.violate('I7', `scrub: ${key} is damaged: ${what}`);
    }
  }
}
