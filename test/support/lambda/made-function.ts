/** Functions of a few lines, written into a folder of their own. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type FunctionOptions, LambdaFunction } from './function.ts';

export type Workshop = Readonly<{
  /** @param code the body of `functions/made.js`; `handler` is to be exported. */
  make: (code: string, options?: Partial<FunctionOptions>) => Promise<LambdaFunction>;
  close: () => Promise<void>;
}>;

export async function openWorkshop(): Promise<Workshop> {
  const dir = await mkdtemp(join(tmpdir(), 'sterna-made-'));
  const made: LambdaFunction[] = [];
  return {
    make: async (code, options = {}) => {
      const codeDir = join(dir, `code-${made.length}`);
      const file = join(codeDir, 'functions/made.js');
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, code);
      const one = new LambdaFunction({
        name: `made-${made.length}`,
        codeDir,
        handler: 'functions/made.handler',
        memoryMb: 256,
        timeoutMs: 20_000,
        scratchRoot: join(dir, 'tmp'),
        ...options,
      });
      made.push(one);
      return one;
    },
    close: async () => {
      await Promise.all(made.map((one) => one.close()));
      await rm(dir, { recursive: true, force: true });
    },
  };
}
