/**
 * Where the consumers of a stream have got to: a row each in a table. Kinesis keeps no checkpoints,
 * and Lambda's event source keeps its own, which nobody can read.
 *
 * Row: partition `log-checkpoints/<stream>`, sort `<stream shard>/<consumer>`, value the sequence as
 * text. A stream shard's name has no slash, so the two parts of a sort cannot be confused.
 */
import { StoreError } from '#base/errors.ts';
import { checkSequence } from '#ports/arguments.ts';
import { compareSequences, type Sequence } from '#ports/log.ts';
import type { Row, RowKey, Table } from '#ports/table.ts';

export type Checkpoints = Readonly<{
  get: (consumer: string, streamShard: string) => Promise<Sequence | undefined>;
  /** Ignores a sequence that is not beyond the one saved. */
  save: (consumer: string, streamShard: string, sequence: Sequence) => Promise<void>;
}>;

/**
 * Each lost race means that another writer has raised the checkpoint. Meant is one consumer per
 * stream shard, with a few that were thought dead; a hundred racers lose at most 99 races each.
 */
const RACES_MAX = 100;

export function openCheckpoints(table: Table, streamName: string): Checkpoints {
  const keyOf = (consumer: string, streamShard: string): RowKey => ({
    partition: `log-checkpoints/${streamName}`,
    sort: `${streamShard}/${consumer}`,
  });
  return {
    async get(consumer, streamShard) {
      const row = await table.get(keyOf(consumer, streamShard));
      return row && sequenceIn(row);
    },

    async save(consumer, streamShard, sequence) {
      const key = keyOf(consumer, streamShard);
      const value = new TextEncoder().encode(sequence);
      for (let races = 0; races < RACES_MAX; races++) {
        const row = await table.get(key);
        if (row !== undefined && compareSequences(sequence, sequenceIn(row)) <= 0) return;
        if ((await table.put(key, value, row?.version ?? 'absent')) !== undefined) return;
      }
      throw new StoreError(
        'OVERLOADED',
        `the checkpoint of ${consumer} in stream shard ${streamShard} was changed by others ${RACES_MAX} times; nothing was saved`,
      );
    },
  };
}

function sequenceIn(row: Row): Sequence {
  const sequence = new TextDecoder().decode(row.value);
  try {
    checkSequence(sequence);
  } catch (cause) {
    const message = `row ${row.partition} ${row.sort} holds no sequence`;
    throw new StoreError('DATA_CORRUPT', message, { cause });
  }
  return sequence;
}
