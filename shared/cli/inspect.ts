import { Command } from 'commander';
import type { Json, JsonObject } from '#base/json.ts';
import { stringifyJson } from '#base/json.ts';
import { type ConnectionOptions, connect, speaking, withConnection } from './connection.ts';
import { printTable } from './table.ts';

type Options = ConnectionOptions & Readonly<{ json?: boolean }>;

export function inspectCommand(): Command {
  const command = new Command('inspect')
    .description('look inside: collections, shards, manifests, segments, tail, positions')
    .argument('[collection]', 'one collection instead of all')
    .option('--json', 'as JSON');
  return withConnection(command).action((collection: string | undefined, options: Options) =>
    speaking(() => inspect(collection, options)),
  );
}

async function inspect(collection: string | undefined, options: Options): Promise<void> {
  const { data } = await connect(options).call('/v2/clusters/inspect', {
    ...(collection === undefined ? {} : { collectionName: collection }),
  });
  if (options.json === true) {
    console.log(stringifyJson(data ?? []));
    return;
  }
  const collections = objects(data);
  if (collections.length === 0) console.log('no collections');
  for (const entry of collections) {
    const { shards, ...facts } = entry;
    console.log(`\n${String(entry['collectionName'])}`);
    printTable([facts]);
    for (const shard of objects(shards)) {
      const { segments, ...shardFacts } = shard;
      for (const part of parted(shardFacts)) printTable([part]);
      if (objects(segments).length > 0) printTable(objects(segments).map(withShortPositions));
    }
  }
}

/** Sums are told apart by their beginnings; `--json` has them whole. */
const SUM_CHARACTERS = 12;
const SUMS = ['sumIn', 'sumHeld', 'sumOut'];
/** What only somebody who hunts a fault looks at: a row of its own, so that both fit a terminal. */
const SECOND_ROW = ['generation', 'epoch', 'fenceNumber', 'logTimeMs', ...SUMS];

/**
 * Positions are told apart by their ends: one of Kinesis has up to 72 characters, and all of a stream
 * shard begin alike.
 */
const POSITION_CHARACTERS = 24;
const POSITIONS = ['applied', 'newest', 'minPosition', 'maxPosition'];

const withShortPositions = (facts: JsonObject): JsonObject =>
  Object.fromEntries(
    Object.entries(facts).map(([name, value]) =>
      POSITIONS.includes(name) && typeof value === 'string' && value.length > POSITION_CHARACTERS
        ? [name, `…${value.slice(1 - POSITION_CHARACTERS)}`]
        : [name, value ?? null],
    ),
  );

function parted(shardFacts: JsonObject): readonly JsonObject[] {
  const facts = Object.entries(withShortPositions(shardFacts)).map(
    ([name, value]): readonly [string, Json] =>
      SUMS.includes(name) && typeof value === 'string'
        ? [name, value.slice(0, SUM_CHARACTERS)]
        : [name, value ?? null],
  );
  const isSecond = ([name]: readonly [string, Json]): boolean => SECOND_ROW.includes(name);
  return [
    Object.fromEntries(facts.filter((fact) => !isSecond(fact))),
    Object.fromEntries(facts.filter(isSecond)),
  ];
}

const objects = (value: Json | undefined): readonly JsonObject[] =>
  Array.isArray(value)
    ? value.filter(
        (item): item is JsonObject =>
          typeof item === 'object' && item !== null && !Array.isArray(item),
      )
    : [];
