/** Writes the golden file of cuts anew; only for a new version of the format. */
import { writeFileSync } from 'node:fs';
import { encodeCut } from '#manifest/cut.ts';
import { CUT } from './cut-samples.ts';

writeFileSync(new URL('./cut-v1.bin', import.meta.url), encodeCut(CUT));
