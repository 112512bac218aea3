import { Command } from 'commander';
import type { Client } from '#api/client.ts';
import type { Json, JsonObject } from '#base/json.ts';
import { stringifyJson } from '#base/json.ts';
import { type ConnectionOptions, connect, speaking, withConnection } from './connection.ts';
import { printTable } from './table.ts';

type Options = ConnectionOptions & Readonly<{ json?: boolean; full?: boolean }>;

export function scrubCommand(): Command {
  const command = new Command('scrub')
    .description('read everything that is stored and prove it; exit code 1 where damage is found')
    .argument('[collection]', 'one collection instead of all')
    .option('--full', 'read again also what was read within the last hour')
    .option('--json', 'as JSON');
  return withConnection(command).action((collection: string | undefined, options: Options) =>
    speaking(() => scrub(collection, options)),
  );
}

/** A call reads for some 20 s: 5,000 of them are a day. */
const CALLS_MAX = 5_000;

async function scrub(collection: string | undefined, options: Options): Promise<void> {
  const client = connect(options);
  const report = await untilComplete(client, collection, options.full === true);
  const parts = [...objects(report['shards']), ...pinsOf(report)];
  const damaged = findings(parts, 'damaged');
  const missing = findings(parts, 'missing');
  if (options.json === true) console.log(stringifyJson(report));
  else {
    printTable(parts.map(withoutLists));
    for (const [kind, found] of [
      ['damaged', damaged],
      ['missing', missing],
    ] as const) {
      for (const { key, what } of found) console.log(`${kind}: ${String(key)}\n  ${String(what)}`);
    }
    for (const { collectionID, objects: count, bytes } of objects(report['unknown'])) {
      const size = `${String(count)} objects, ${String(bytes)} bytes`;
      console.log(`unknown collection ${String(collectionID)}: ${size}`);
    }
    const total = damaged.length + missing.length;
    console.log(total === 0 ? 'nothing is damaged' : `${total} findings`);
    if (report['complete'] !== true) console.log('not complete: scrub again');
  }
  if (damaged.length + missing.length > 0 || report['complete'] !== true) process.exitCode = 1;
}

/** Each call goes on where the one before stopped. */
async function untilComplete(
  client: Client,
  collectionName: string | undefined,
  full: boolean,
): Promise<JsonObject> {
  const scope = collectionName === undefined ? {} : { collectionName };
  let report: JsonObject = {};
  for (let call = 1; call <= CALLS_MAX; call++) {
    const { data } = await client.call('/v2/clusters/scrub', {
      ...scope,
      ...(full && call === 1 ? { full: true } : {}),
    });
    report = isObject(data) ? data : {};
    if (report['complete'] === true) return report;
    process.stderr.write('.');
  }
  return report;
}

function pinsOf({ pins }: JsonObject): readonly JsonObject[] {
  return isObject(pins) ? [{ collectionName: '(snapshots)', ...pins }] : [];
}

const HIDDEN = ['damaged', 'missing', 'startedMs', 'finishedMs', 'orphansOldestMs'];

const withoutLists = (part: JsonObject): JsonObject => ({
  ...Object.fromEntries(Object.entries(part).filter(([name]) => !HIDDEN.includes(name))),
  damaged: objects(part['damaged']).length,
  missing: objects(part['missing']).length,
});

const findings = (parts: readonly JsonObject[], kind: string): readonly JsonObject[] =>
  parts.flatMap((part) => objects(part[kind]));

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const objects = (value: Json | undefined): readonly JsonObject[] =>
  Array.isArray(value) ? value.filter(isObject) : [];
