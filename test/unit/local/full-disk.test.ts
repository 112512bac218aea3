import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { openLocal } from '#local/open-directory.ts';

const FILLER = fileURLToPath(new URL('../../support/directory-filler.ts', import.meta.url));

it('survives a disk that takes no more: nothing acknowledged is lost, nothing else is there', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'sterna-full-'));
  // A limit on the size of files (in blocks of 512 bytes) fails writes as a full disk does.
  const { stdout } = await promisify(execFile)('/bin/sh', [
    '-c',
    'ulimit -f 2048; exec "$0" "$1" "$2"',
    process.execPath,
    FILLER,
    directory,
  ]);
  // Written by the filler, in this form.
  const said = JSON.parse(stdout) as { acknowledged: string[]; refusal: string; read: string[] };
  expect(said.refusal).toBe('UNCERTAIN');
  expect(said.acknowledged.length).toBeGreaterThan(3);
  expect(said.read).toEqual(said.acknowledged);
  const platform = await openLocal(directory);
  const entries = await platform.log.read('shard-0', { limit: 10_000 });
  expect(entries.map((entry) => entry.sequence)).toEqual(said.acknowledged);
  await platform.log.append('p', new Uint8Array(50_000));
  await platform.close();
  await rm(directory, { recursive: true });
});
