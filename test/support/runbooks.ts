/** The pages of docs/operations, and the commands in them. */
import { readdirSync, readFileSync } from 'node:fs';

const FOLDER = 'docs/operations';

export type Block = Readonly<{
  /** The word behind `sh`: `local` is run by a test, `aws` needs an account. */
  kind: string;
  text: string;
  /** The line of the page on which it begins. */
  line: number;
}>;

export type Page = Readonly<{ name: string; text: string; blocks: readonly Block[] }>;

export const runbooks = (): readonly Page[] =>
  readdirSync(FOLDER)
    .filter((name) => name.endsWith('.md'))
    .sort()
    .map((name) => {
      const text = readFileSync(`${FOLDER}/${name}`, 'utf8');
      return { name, text, blocks: blocksOf(text) };
    });

const blocksOf = (page: string): readonly Block[] =>
  [...page.matchAll(/^```sh(?: (\w+))?\n([\s\S]*?)^```$/gm)].map((match) => ({
    kind: match[1] ?? '',
    text: match[2] ?? '',
    line: page.slice(0, match.index).split('\n').length,
  }));

/** What a block's `# => ` lines say that its output holds, in this order. */
export const expectedOf = ({ text }: Block): readonly string[] =>
  [...text.matchAll(/^# => (.*)$/gm)].map((match) => match[1] ?? '');

/** The content of the fenced `ini` block that begins with this comment. */
export function fileIn({ text, name }: Page, comment: string): string {
  const found = [...text.matchAll(/^```ini\n([\s\S]*?)^```$/gm)]
    .map((match) => match[1] ?? '')
    .find((block) => block.startsWith(`# ${comment}`));
  if (found === undefined) throw new Error(`${name} has no file ${comment}`);
  return found;
}
