/**
 * The garbage property (I11): mutants of a valid body are refused as API.md says, without a trace, or
 * succeed where they are valid still.
 *
 * Every mutant has a number, and its own seed made of the run's seed, its route and that number: one of
 * them can be sent again alone. Content is compared once per block of mutants that must be refused; where
 * it differs, the block is sent once more to a new server, one by one, to find out which it was.
 */
import { SeededEntropy } from '#sim/seeded-entropy.ts';
import { listed, type Mutant, mutate, render } from './mutate.ts';
import type { Complaints } from './spec.ts';
import { parseStrict } from './strict-json.ts';
import type { Subject } from './subject.ts';
import { type Reply, World } from './world.ts';

export type Counts = { mutants: number; refused: number; succeeded: number };

export type Hunt = Readonly<{
  seed: number | string;
  /** Mutants that chance chooses, for each body. */
  each: number;
  /** Also every text that the routes list, in every place of its name. */
  withListed?: boolean;
}>;

/** What the reply must be. */
type Expected = Readonly<{
  /** Empty where it must succeed. */
  codes: readonly number[];
  words: readonly string[];
  mayFail: boolean;
  maySucceed: boolean;
}>;

type Shot = Readonly<{ at: number | 'listed'; mutant: Mutant; expected: Expected }>;

const BLOCK = 50;
const NOT_JSON = 1801;

/** Sends `each` mutants of one subject; throws a message for every one whose reply was wrong. */
export async function hunt(world: World, subject: Subject, options: Hunt): Promise<Counts> {
  const counts = { mutants: 0, refused: 0, succeeded: 0 };
  const failures: string[] = [];
  const valid = await world.call(subject.verb, render(subject.body));
  if (valid.envelope['code'] !== 0) throw new Error(`${subject.name}, valid: ${valid.text}`);
  await world.mend(subject);
  const shots = [
    ...(options.withListed === true
      ? listed(subject).map((mutant) => aimed(subject, 'listed', mutant))
      : []),
    ...Array.from({ length: options.each }, (_, at) => aim(subject, options.seed, at)),
  ];
  for (let at = 0; at < shots.length; at += BLOCK) {
    failures.push(...(await shootBlock(world, subject, shots.slice(at, at + BLOCK), counts)));
  }
  if (failures.length === 0) return counts;
  const replay = `npm run garbage -- --seed ${options.seed} --only ${JSON.stringify(subject.name)}`;
  throw new Error(
    `${subject.name}: ${failures.length} of ${counts.mutants} mutants failed; ${replay} --each ${options.each}\n${failures.join('\n')}`,
  );
}

const aim = (subject: Subject, seed: number | string, at: number): Shot =>
  aimed(subject, at, mutate(subject, new SeededEntropy(`${seed} ${subject.name} ${at}`)));

const aimed = (subject: Subject, at: Shot['at'], mutant: Mutant): Shot => ({
  at,
  mutant,
  expected: expect(subject, mutant),
});

export function expect(subject: Subject, { text, inside }: Mutant): Expected {
  const parsed = text === undefined ? undefined : parseStrict(text);
  const complaints: Complaints =
    parsed === undefined
      ? [{ codes: [NOT_JSON], words: inside === undefined ? [] : [inside] }]
      : subject.spec(parsed.value, '');
  return {
    codes: complaints.flatMap(({ codes }) => codes),
    words: complaints.flatMap(({ words }) => words),
    mayFail: complaints.length > 0,
    maySucceed: complaints.every(({ maybe }) => maybe === true),
  };
}

async function shootBlock(
  world: World,
  subject: Subject,
  shots: readonly Shot[],
  counts: Counts,
): Promise<string[]> {
  const failures: string[] = [];
  const shoot = async (shot: Shot): Promise<number> => {
    const { body, headers } = shot.mutant;
    const reply = await world.call(subject.verb, body, headers);
    counts.mutants++;
    const ok = reply.envelope['code'] === 0;
    counts[ok ? 'succeeded' : 'refused']++;
    const wrong = complain(shot.expected, reply);
    if (wrong !== undefined) failures.push(describe(shot, wrong, reply));
    return ok ? 0 : 1;
  };
  const harmless = (shot: Shot): boolean => subject.writes !== true || !shot.expected.maySucceed;
  const refused = shots.filter(harmless);
  const before = await world.content();
  for (const shot of refused) await shoot(shot);
  if ((await world.content()) !== before) failures.push(await findCulprit(subject, refused));
  for (const shot of shots.filter((each) => !harmless(each))) {
    const unsure = shot.expected.mayFail ? await world.content() : undefined;
    if ((await shoot(shot)) === 0) await world.mend(subject);
    else if (unsure !== undefined && (await world.content()) !== unsure) {
      failures.push(describe(shot, 'it was refused, and the content is another'));
    }
  }
  return failures;
}

/** What is wrong with a reply, if anything. */
function complain(expected: Expected, { status, text, envelope }: Reply): string | undefined {
  const { code, message, retry, effect } = envelope;
  if (status !== 200) return `HTTP status ${status}`;
  if (typeof code !== 'number') return 'no envelope';
  if (/\.[jt]s:[0-9]|node:|\\n\s+at |TypeError|RangeError|\bundefined\b/.test(text)) {
    return 'it shows the inside of the server';
  }
  if (code === 0) {
    if (!('data' in envelope)) return 'success without data';
    return expected.maySucceed ? undefined : `expected a refusal with ${expected.codes}`;
  }
  if (!expected.mayFail) return 'expected success';
  if (!expected.codes.includes(code)) return `expected code ${[...new Set(expected.codes)]}`;
  if (typeof message !== 'string' || message === '') return 'no message';
  if (retry !== 'never' || effect !== 'none') return 'expected retry never and effect none';
  if ('data' in envelope) return 'a refusal with data';
  const { words } = expected;
  if (words.length > 0 && !words.some((word) => message.includes(word))) {
    return `expected one of ${JSON.stringify([...new Set(words)])} in the message`;
  }
  return message.length <= MESSAGE_CHARS_MAX
    ? undefined
    : `a message of ${message.length} characters`;
}

/** Enough for names, limits and a stretch of a filter; a reply must not echo the request. */
const MESSAGE_CHARS_MAX = 8000;

/** Sends the block again to a new server, comparing contents after every one. */
async function findCulprit(subject: Subject, shots: readonly Shot[]): Promise<string> {
  const world = await World.open();
  try {
    let before = await world.content();
    for (const shot of shots) {
      const reply = await world.call(subject.verb, shot.mutant.body, shot.mutant.headers);
      const after = await world.content();
      if (after !== before) return describe(shot, 'the content is another behind it', reply);
      before = after;
    }
  } finally {
    await world.close();
  }
  const numbers = shots.map(({ at }) => at);
  return `  the content changed under mutants ${numbers}, but not when they were sent again`;
}

const describe = ({ at, mutant }: Shot, wrong: string, reply?: Reply): string =>
  `  #${at} ${mutant.how}: ${wrong}\n     ${reply === undefined ? '' : reply.text.slice(0, 300)}`;
