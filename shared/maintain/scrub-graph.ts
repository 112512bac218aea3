/** An object beside a segment: every byte, and for a graph what it says of itself. */
import { StoreError } from '#base/errors.ts';
import type { AuxiliaryEntry } from '#segment/entry.ts';
import { type Footer, HEADER_BYTES, requireKnown, SECTION_ALIGN } from '#segment/layout.ts';
import { GRAPH_SECTIONS } from '#segment/names.ts';
import { type ObjectReads, readFooterFromEnd, readSection } from '#segment/sections.ts';
import { openReads, verifyRest } from './scrub-container.ts';
import type { Findings } from './scrub-findings.ts';

/**
 * @param filled vectors that its segment has; undefined where nobody counted them
 * @throws StoreError `OBJECT_NOT_FOUND`
 */
export async function scrubAuxiliary(
  findings: Findings,
  entry: AuxiliaryEntry,
  filled: number | undefined,
): Promise<void> {
  const { key } = entry;
  findings.verified();
  await findings.attempt(key, async () => {
    const reads = await openReads(findings.objects, entry);
    const footer = await readFooterFromEnd(reads, entry);
    const isGraph = entry.kind === 'graph';
    if (isGraph) {
      requireKnown(footer, GRAPH_SECTIONS);
      await findings.attempt(key, () => checkFacts(reads, footer, entry));
    }
    const points = entry.facts['rows'];
    findings.check(
      key,
      !isGraph || filled === undefined || points === filled,
      `a graph of ${points} points over ${filled} vectors`,
    );
    const place = { key, footerOffset: endOfSections(footer) };
    const attempt = (work: () => Promise<void>) => findings.attempt(key, work);
    await verifyRest(reads, place, footer, new Set(), attempt);
  });
}

/** No manifest names the place of a graph's footer: it follows the last section at the next line. */
function endOfSections({ sections }: Footer): number {
  const ends = [...sections.values()].map(({ offset, length }) => offset + length);
  return Math.ceil(Math.max(HEADER_BYTES, ...ends) / SECTION_ALIGN) * SECTION_ALIGN;
}

/** What the object says of its graph is what the manifest says of it. */
async function checkFacts(
  reads: ObjectReads,
  footer: Footer,
  { key, facts }: AuxiliaryEntry,
): Promise<void> {
  const corrupt = (message: string): never => {
    throw new StoreError('DATA_CORRUPT', `${key}: ${message}`);
  };
  const section = footer.sections.get('facts');
  if (section === undefined || !footer.sections.has('graph')) return corrupt('no graph in it');
  const bytes = await readSection(reads, key, section);
  let own: Record<string, unknown>;
  try {
    // Whatever JSON holds can be asked for its members, but for null, which fails just as well.
    own = JSON.parse(Buffer.from(bytes).toString('utf8')) as Record<string, unknown>;
  } catch {
    return corrupt('facts that are no JSON');
  }
  const other = Object.keys(facts).find((name) => own[name] !== facts[name]);
  if (other !== undefined) corrupt(`its ${other} is not what the manifest says`);
}
