/**
 * Regular expressions that cannot be made slow: all alternatives advance together, so the time is at
 * most (instructions of the pattern) x (characters of the text), whatever both are.
 */
import { StoreError } from '#base/errors.ts';
import { type Assertion, type CharSet, parseRegex, type RegexNode } from './regex-syntax.ts';

/** Whether the pattern matches somewhere in the text (RE2's partial match). */
export type TextTest = (text: string) => boolean;

/** Bounds the work per character; `[0-9]{4}` are five, `(a{30}){30}` would be 901. */
const INSTRUCTIONS_MAX = 2_000;

type Instruction =
  | Readonly<{ op: 'set'; ascii: Uint8Array; set: CharSet }>
  | Readonly<{ op: 'assert'; what: Assertion }>
  | { op: 'fork'; first: number; second: number }
  | { op: 'jump'; to: number }
  | Readonly<{ op: 'match' }>;

/** @throws StoreError `INVALID_ARGUMENT` where the pattern is none, or is too large. */
export function compileRegex(pattern: string): TextTest {
  const tree = parseRegex(pattern);
  const program: Instruction[] = [];
  if (!emit(program, tree)) {
    throw new StoreError(
      'INVALID_ARGUMENT',
      `regular expression: larger than ${INSTRUCTIONS_MAX} instructions`,
    );
  }
  program.push({ op: 'match' });
  const prefix = literalPrefix(tree);
  if (prefix.whole) return (text) => text.includes(prefix.text);
  const search = searcher(program);
  return (text) => {
    const from = prefix.text === '' ? 0 : text.indexOf(prefix.text);
    return from >= 0 && search(text, from);
  };
}

/** Characters that every match begins with; `whole` says that they are the entire pattern. */
function literalPrefix(tree: RegexNode): { text: string; whole: boolean } {
  const nodes = tree.kind === 'sequence' ? tree.nodes : [tree];
  let text = '';
  for (const node of nodes) {
    const range = node.kind === 'set' && !node.set.fold && !node.set.negated ? node.set.ranges : [];
    const only = range.length === 1 ? range[0] : undefined;
    if (only === undefined || only[0] !== only[1]) return { text, whole: false };
    text += String.fromCodePoint(only[0]);
  }
  return { text, whole: true };
}

/** @returns false where the program would grow too large. */
function emit(program: Instruction[], node: RegexNode): boolean {
  if (program.length > INSTRUCTIONS_MAX) return false;
  switch (node.kind) {
    case 'set':
      program.push({ op: 'set', ascii: asciiTable(node.set), set: node.set });
      return true;
    case 'assert':
      program.push({ op: 'assert', what: node.what });
      return true;
    case 'sequence':
      return node.nodes.every((each) => emit(program, each));
    case 'choice':
      return emitChoice(program, node.nodes);
    case 'repeat':
      return emitRepeat(program, node.node, node.min, node.max);
  }
}

function emitChoice(program: Instruction[], nodes: readonly RegexNode[]): boolean {
  const jumps: { op: 'jump'; to: number }[] = [];
  for (const [index, node] of nodes.entries()) {
    const last = index === nodes.length - 1;
    const fork = { op: 'fork' as const, first: program.length + 1, second: 0 };
    if (!last) program.push(fork);
    if (!emit(program, node)) return false;
    if (last) break;
    const jump = { op: 'jump' as const, to: 0 };
    program.push(jump);
    jumps.push(jump);
    fork.second = program.length;
  }
  for (const jump of jumps) jump.to = program.length;
  return true;
}

function emitRepeat(
  program: Instruction[],
  node: RegexNode,
  min: number,
  max: number | undefined,
): boolean {
  for (let count = 0; count < min; count++) {
    const before = program.length;
    if (!emit(program, node)) return false;
    // Nothing a thousand times is nothing; nested, it would be counted for ever.
    if (program.length === before) break;
  }
  if (max === undefined) {
    const start = program.length;
    const fork = { op: 'fork' as const, first: start + 1, second: 0 };
    program.push(fork);
    if (!emit(program, node)) return false;
    program.push({ op: 'jump', to: start });
    fork.second = program.length;
    return true;
  }
  const forks: { op: 'fork'; first: number; second: number }[] = [];
  for (let count = min; count < max; count++) {
    const fork = { op: 'fork' as const, first: program.length + 1, second: 0 };
    program.push(fork);
    forks.push(fork);
    if (!emit(program, node)) return false;
  }
  for (const fork of forks) fork.second = program.length;
  return true;
}

function asciiTable(set: CharSet): Uint8Array {
  return Uint8Array.from({ length: 128 }, (_, point) => (inSet(set, point) ? 1 : 0));
}

const inRanges = ({ ranges }: CharSet, point: number): boolean =>
  ranges.some(([low, high]) => point >= low && point <= high);

function inSet(set: CharSet, point: number): boolean {
  if (!set.fold) return inRanges(set, point) !== set.negated;
  const char = String.fromCodePoint(point);
  const found =
    inRanges(set, point) ||
    inRanges(set, char.toLowerCase().codePointAt(0)!) ||
    inRanges(set, char.toUpperCase().codePointAt(0)!);
  return found !== set.negated;
}

/** The instructions to try at one place of the text, each once, in the order they were added. */
type Threads = {
  readonly list: Uint16Array;
  readonly seen: Uint32Array;
  length: number;
  round: number;
};

const threadsFor = (size: number): Threads => ({
  list: new Uint16Array(size),
  seen: new Uint32Array(size),
  length: 0,
  round: 0,
});

function searcher(program: readonly Instruction[]): (text: string, from: number) => boolean {
  let here = threadsFor(program.length);
  let next = threadsFor(program.length);
  const stack = new Uint16Array(2 * program.length + 2);
  const begin = (threads: Threads) => {
    // The marks of earlier rounds are stale by their number; at the end of the numbers they are cleared.
    if (threads.round === 0xffff_ffff) {
      threads.seen.fill(0);
      threads.round = 0;
    }
    threads.length = 0;
    threads.round++;
  };
  return (text, from) => {
    begin(here);
    let before = from === 0 ? -1 : pointBefore(text, from);
    for (let at = from; ; ) {
      const point = text.codePointAt(at) ?? -1;
      if (addThread(program, here, stack, 0, before, point)) return true;
      if (point < 0) return false;
      at += point > 0xffff ? 2 : 1;
      const after = text.codePointAt(at) ?? -1;
      begin(next);
      for (let index = 0; index < here.length; index++) {
        const pc = here.list[index]!;
        const instruction = program[pc]!;
        if (instruction.op !== 'set') continue;
        const hit = point < 128 ? instruction.ascii[point] === 1 : inSet(instruction.set, point);
        if (hit && addThread(program, next, stack, pc + 1, point, after)) return true;
      }
      [here, next] = [next, here];
      before = point;
    }
  };
}

const pointBefore = (text: string, at: number): number => {
  const unit = text.charCodeAt(at - 1);
  return unit >= 0xdc00 && unit <= 0xdfff && at > 1 ? text.codePointAt(at - 2)! : unit;
};

/** Follows jumps and assertions from `start`; true where the pattern is matched. */
function addThread(
  program: readonly Instruction[],
  threads: Threads,
  stack: Uint16Array,
  start: number,
  before: number,
  after: number,
): boolean {
  let height = 0;
  stack[height++] = start;
  while (height > 0) {
    const pc = stack[--height]!;
    if (threads.seen[pc] === threads.round) continue;
    threads.seen[pc] = threads.round;
    const instruction = program[pc]!;
    switch (instruction.op) {
      case 'match':
        return true;
      case 'jump':
        stack[height++] = instruction.to;
        break;
      case 'fork':
        stack[height++] = instruction.second;
        stack[height++] = instruction.first;
        break;
      case 'assert':
        if (asserted(instruction.what, before, after)) stack[height++] = pc + 1;
        break;
      case 'set':
        threads.list[threads.length++] = pc;
    }
  }
  return false;
}

const isWord = (point: number): boolean =>
  (point >= 48 && point <= 57) ||
  (point >= 65 && point <= 90) ||
  point === 95 ||
  (point >= 97 && point <= 122);

/** -1 stands for the ends of the text. */
function asserted(what: Assertion, before: number, after: number): boolean {
  switch (what) {
    case 'text-start':
      return before < 0;
    case 'text-end':
      return after < 0;
    case 'line-start':
      return before < 0 || before === 10;
    case 'line-end':
      return after < 0 || after === 10;
    case 'word':
      return isWord(before) !== isWord(after);
    case 'no-word':
      return isWord(before) === isWord(after);
  }
}
