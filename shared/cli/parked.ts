/** `sterna parked`: shards that stand still at a record that cannot be applied. */
import { open } from 'node:fs/promises';
import { Command } from 'commander';
import type { Client } from '#api/client.ts';
import { StoreError } from '#base/errors.ts';
import type { Json, JsonObject } from '#base/json.ts';
import { stringifyJson } from '#base/json.ts';
import { type ConnectionOptions, connect, speaking, withConnection } from './connection.ts';
import { printTable } from './table.ts';

type Options = ConnectionOptions & Readonly<{ json?: boolean }>;
type ReplayOptions = Options & Readonly<{ shard?: string }>;

export function parkedCommand(): Command {
  return new Command('parked')
    .description('records that cannot be applied: list, replay, set aside, export')
    .addCommand(listCommand())
    .addCommand(replayCommand())
    .addCommand(setAsideCommand())
    .addCommand(exportCommand());
}

const listCommand = (): Command =>
  withConnection(
    new Command('list')
      .description('parked shards, why they are, and what was set aside')
      .argument('[collection]', 'one collection instead of all')
      .option('--json', 'as JSON'),
  ).action((collection: string | undefined, options: Options) =>
    speaking(async () => {
      const scope = collection === undefined ? {} : { collectionName: collection };
      const { data } = await connect(options).call('/v2/clusters/parked/list', scope);
      if (options.json === true) console.log(stringifyJson(data ?? []));
      else showList(objects(data));
    }),
  );

const replayCommand = (): Command =>
  withConnection(
    new Command('replay')
      .description('try again now, in order, what is done by itself with growing pauses')
      .argument('<collection>', 'its name')
      .option('--shard <number>', 'one shard instead of all')
      .option('--json', 'as JSON'),
  ).action((collection: string, options: ReplayOptions) =>
    speaking(async () => {
      const shard = options.shard === undefined ? {} : { shard: Number(options.shard) };
      const body = { collectionName: collection, ...shard };
      const { data } = await connect(options).call('/v2/clusters/parked/replay', body);
      const shards = objects(data);
      if (options.json === true) console.log(stringifyJson(data ?? []));
      else if (shards.length === 0) console.log('no shard is parked');
      else for (const each of shards) console.log(outcomeOf(each));
      if (shards.some(({ state }) => state === 'parked')) process.exitCode = 1;
    }),
  );

const setAsideCommand = (): Command =>
  withConnection(
    new Command('set-aside')
      .description('never apply the record at which a shard stands still; its content is kept')
      .argument('<collection>', 'its name')
      .argument('<shard>', 'its number', Number)
      .argument('<sequence>', 'of the record, as `parked list` shows it')
      .option('--json', 'as JSON'),
  ).action((collectionName: string, shard: number, sequence: string, options: Options) =>
    speaking(async () => {
      const body = { collectionName, shard, sequence };
      const { data } = await connect(options).call('/v2/clusters/parked/set_aside', body);
      if (options.json === true) {
        console.log(stringifyJson(data ?? {}));
        return;
      }
      const [aside = {}] = objects([data ?? {}]);
      console.log(`Record ${sequence} is set aside: ${String(aside['consequence'])}.`);
      for (const part of ['record', 'payload']) {
        if (aside[part] !== undefined) console.log(`${part}: ${String(aside[part])}`);
      }
      console.log(outcomeOf(aside));
    }),
  );

const exportCommand = (): Command =>
  withConnection(
    new Command('export')
      .description('write the bytes of a record that was set aside into a file')
      .argument('<collection>', 'its name')
      .argument('<shard>', 'its number', Number)
      .argument('<sequence>', 'of the record')
      .argument('<file>', 'where to; an existing file is not overwritten')
      .option('--payload', 'its payload instead of the record'),
  ).action(
    (
      collectionName: string,
      shard: number,
      sequence: string,
      file: string,
      options: Options & Readonly<{ payload?: boolean }>,
    ) =>
      speaking(async () => {
        const part = options.payload === true ? 'payload' : 'record';
        const what = { collectionName, shard, sequence, part };
        const sizeBytes = await download(connect(options), what, file);
        console.log(`${file}: ${sizeBytes} bytes`);
      }),
  );

/** A payload has up to 64 MB, which come in parts of 1 MiB. */
const PARTS_MAX = 128;

async function download(client: Client, what: JsonObject, file: string): Promise<number> {
  const first = await part(client, what, 0);
  const handle = await open(file, 'wx').catch((cause: Error) => {
    throw new StoreError('INVALID_ARGUMENT', `cannot write ${file}: ${cause.message}`, { cause });
  });
  try {
    let { bytes } = first;
    for (let count = 1, offset = 0; count <= PARTS_MAX && bytes.length > 0; count++) {
      await handle.write(bytes);
      offset += bytes.length;
      if (offset >= first.sizeBytes) break;
      ({ bytes } = await part(client, what, offset));
    }
  } finally {
    await handle.close();
  }
  return first.sizeBytes;
}

async function part(
  client: Client,
  what: JsonObject,
  offset: number,
): Promise<Readonly<{ bytes: Uint8Array; sizeBytes: number }>> {
  const { data } = await client.call('/v2/clusters/parked/export', { ...what, offset });
  const [answer = {}] = objects([data ?? {}]);
  const bytes = new Uint8Array(Buffer.from(String(answer['base64'] ?? ''), 'base64'));
  return { bytes, sizeBytes: Number(answer['sizeBytes']) };
}

function showList(shards: readonly JsonObject[]): void {
  if (shards.length === 0) console.log('no shard is parked, and nothing was set aside');
  for (const { collectionName, shard, state, parked, setAside } of shards) {
    console.log(`\n${String(collectionName)}, shard ${String(shard)}: ${String(state)}`);
    for (const { record, reason, ...facts } of objects([parked ?? null])) {
      printTable([withTimes(facts)]);
      console.log(String(reason));
      printTable(objects([record ?? null]).map(withTimes));
    }
    for (const { reason, record, payload, ...facts } of objects(setAside)) {
      console.log('set aside:');
      printTable([withTimes(facts)]);
      for (const line of [reason, record, payload]) {
        if (line !== undefined) console.log(String(line));
      }
    }
  }
}

/** Times as people read them. */
const withTimes = (facts: JsonObject): JsonObject =>
  Object.fromEntries(
    Object.entries(facts).map(([name, value]) =>
      name.endsWith('Ms')
        ? [name.slice(0, -2), new Date(Number(value)).toISOString()]
        : [name, value ?? null],
    ),
  );

function outcomeOf({
  shard,
  state,
  appliedRecords,
  appliedRows,
  isUnfinished,
  parked,
}: JsonObject): string {
  const applied = `${String(appliedRecords)} records, ${String(appliedRows)} rows applied`;
  if (state === 'open') return `shard ${String(shard)} goes on: ${applied}`;
  if (isUnfinished === true) return `shard ${String(shard)}: ${applied}, more are left: replay it`;
  const [cause = {}] = objects([parked ?? null]);
  const at = cause['sequence'] === undefined ? '' : ` at record ${String(cause['sequence'])}`;
  return `shard ${String(shard)} is parked${at}: ${applied}\n${String(cause['code'])}: ${String(cause['reason'])}`;
}

const objects = (value: Json | undefined): readonly JsonObject[] =>
  Array.isArray(value)
    ? value.filter(
        (item): item is JsonObject =>
          typeof item === 'object' && item !== null && !Array.isArray(item),
      )
    : [];
