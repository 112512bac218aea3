/** Writes the golden files that are missing. Those that exist are never touched: they are released. */
import { existsSync, writeFileSync } from 'node:fs';
import { GOLDEN as MANIFESTS } from './manifest-samples.ts';
import { GOLDEN as RECORDS } from './record-samples.ts';

for (const [name, { encode }] of Object.entries({ ...RECORDS, ...MANIFESTS })) {
  const file = new URL(name, import.meta.url);
  if (encode !== undefined && !existsSync(file)) writeFileSync(file, encode());
}
