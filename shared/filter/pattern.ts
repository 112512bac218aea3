/**
 * `like` patterns: `%` stands for any run of characters, `_` for one, a backslash makes the next
 * character itself. Prefix, suffix, infix and whole patterns are answered by the string's own search.
 */
import type { TextTest } from './regex.ts';

/** Stands for `_`. No character is negative. */
const ANY = -1;

/** The pattern must match the whole text. */
export function compileLike(pattern: string): TextTest {
  const runs = parseLike(pattern);
  if (runs.every((run) => !run.includes(ANY))) {
    return matchTexts(runs.map((run) => String.fromCodePoint(...run)));
  }
  return matchRuns(runs);
}

/** What stands between the `%`: code points, and {@link ANY}. */
function parseLike(pattern: string): readonly (readonly number[])[] {
  const runs: number[][] = [[]];
  let escaped = false;
  for (const char of pattern) {
    const run = runs.at(-1)!;
    if (!escaped && char === '\\') {
      escaped = true;
      continue;
    }
    if (!escaped && char === '%') runs.push([]);
    else run.push(!escaped && char === '_' ? ANY : char.codePointAt(0)!);
    escaped = false;
  }
  // A backslash at the very end escapes nothing and is itself.
  if (escaped) runs.at(-1)!.push(0x5c);
  return runs;
}

function matchTexts(texts: readonly string[]): TextTest {
  const first = texts[0]!;
  if (texts.length === 1) return (text) => text === first;
  const last = texts.at(-1)!;
  const inner = texts.slice(1, -1).filter((part) => part !== '');
  const sizeMin = first.length + last.length;
  return (text) => {
    if (text.length < sizeMin || !text.startsWith(first) || !text.endsWith(last)) return false;
    let at = first.length;
    for (const part of inner) {
      const found = text.indexOf(part, at);
      if (found < 0) return false;
      at = found + part.length;
    }
    return at <= text.length - last.length;
  };
}

/** The leftmost place for each run is as good as any: what follows has the most room. */
function matchRuns(runs: readonly (readonly number[])[]): TextTest {
  const first = runs[0]!;
  const last = runs.at(-1)!;
  return (text) => {
    const points = Array.from(text, (char) => char.codePointAt(0)!);
    if (runs.length === 1) return points.length === first.length && fits(points, 0, first);
    const end = points.length - last.length;
    if (end < first.length || !fits(points, 0, first) || !fits(points, end, last)) return false;
    let at = first.length;
    for (const run of runs.slice(1, -1)) {
      while (at + run.length <= end && !fits(points, at, run)) at++;
      at += run.length;
      if (at > end) return false;
    }
    return true;
  };
}

function fits(points: readonly number[], at: number, run: readonly number[]): boolean {
  for (let index = 0; index < run.length; index++) {
    if (run[index] !== ANY && run[index] !== points[at + index]) return false;
  }
  return true;
}
