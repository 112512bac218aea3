/** Rows and facts as tables on standard output. */
import Table from 'cli-table3';
import type { Reply } from '#api/client.ts';
import { type Json, type JsonObject, stringifyJson } from '#base/json.ts';

/** A long value is cut: a terminal line is no place for 1,536 numbers. */
const CELL_CHARACTERS_MAX = 60;

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The rows of a reply as a table, or the whole reply as JSON. */
export function printRows(reply: Reply, asJson: boolean): void {
  if (asJson) {
    console.log(stringifyJson(reply));
    return;
  }
  const rows = Array.isArray(reply.data) ? reply.data.filter(isObject) : [];
  printTable(rows);
  const explain = reply['explain'];
  if (isObject(explain) && Array.isArray(explain['segments'])) {
    printTable(explain['segments'].filter(isObject).map(withoutFolder));
  }
}

/** The folder says what `shard` and the question say; `--json` has the whole key. */
function withoutFolder(segment: JsonObject): JsonObject {
  const key = segment['segment'];
  return typeof key === 'string' ? { ...segment, segment: key.split('/').at(-1) ?? key } : segment;
}

/** One column per key of any row, in order of first appearance. */
export function printTable(rows: readonly JsonObject[]): void {
  if (rows.length === 0) {
    console.log('no rows');
    return;
  }
  const head = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const table = new Table({ head, style: { head: [], border: [] } });
  for (const row of rows) table.push(head.map((name) => cell(row[name])));
  console.log(table.toString());
}

function cell(value: Json | undefined): string {
  if (value === undefined) return '';
  const text = typeof value === 'string' ? value : stringifyJson(value);
  return text.length <= CELL_CHARACTERS_MAX ? text : `${text.slice(0, CELL_CHARACTERS_MAX - 1)}…`;
}
