/** The file that says what a directory is, and which version of its layout it has. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { utf8 } from '#base/bytes.ts';
import { StoreError } from '#base/errors.ts';
import { replaceFile, systemCode } from './durable-files.ts';

export type DirectoryFormat = 'sterna-data' | 'sterna-global';

export const FORMAT_FILE = 'format.json';
/** The newest layout this program knows; see docs/formats/data-directory.md. */
const FORMAT_VERSION = 1;

const FormatFile = z.object({
  format: z.string(),
  version: z.int().positive(),
  /** There from the first moment until everything else was made. */
  unfinished: z.literal(true).optional(),
  /** There once the directory's own `global` folder was completely made. */
  ownGlobal: z.literal(true).optional(),
});

/**
 * What a directory says of itself. While it is `unfinished` nothing in it was acknowledged; later
 * whatever it is made of must be there. `ownGlobal`: that includes a global directory within it.
 */
export type FormatState = Readonly<{ unfinished: boolean; ownGlobal: boolean }>;

/**
 * The state of a directory of the format; undefined where it is missing or empty, that is where it
 * may be made into one.
 *
 * @param ignored names that may stand in a directory without making it somebody else's
 * @throws StoreError `FORMAT_TOO_NEW`; `DIRECTORY_UNUSABLE` where it holds something else
 */
export async function readFormat(
  directory: string,
  format: DirectoryFormat,
  ignored: readonly string[],
): Promise<FormatState | undefined> {
  const path = join(directory, FORMAT_FILE);
  const text = await readFile(path, 'utf8').catch((error: unknown) => missing(error, directory));
  if (text === undefined) {
    await refuseForeign(directory, format, ignored);
    return undefined;
  }
  const found = parseFormat(text);
  if (found === undefined || found.format !== format) {
    throw new StoreError(
      'DIRECTORY_UNUSABLE',
      `${path} does not describe a ${format} directory; name another directory`,
    );
  }
  if (found.version > FORMAT_VERSION) {
    throw new StoreError(
      'FORMAT_TOO_NEW',
      `${directory} has version ${found.version} of the ${format} format; this program knows versions up to ${FORMAT_VERSION}: use a newer Sterna`,
    );
  }
  return { unfinished: found.unfinished === true, ownGlobal: found.ownGlobal === true };
}

/** Durable when it returns; the directory is what the file says from then on. */
export async function writeFormat(
  directory: string,
  format: DirectoryFormat,
  state: FormatState,
): Promise<void> {
  const file: z.infer<typeof FormatFile> = {
    format,
    version: FORMAT_VERSION,
    ...(state.unfinished && { unfinished: true }),
    ...(state.ownGlobal && { ownGlobal: true }),
  };
  const text = `${JSON.stringify(file)}\n`;
  await replaceFile(join(directory, FORMAT_FILE), utf8(text));
}

function parseFormat(text: string): z.infer<typeof FormatFile> | undefined {
  try {
    return FormatFile.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

async function refuseForeign(
  directory: string,
  format: DirectoryFormat,
  ignored: readonly string[],
): Promise<void> {
  const names = await readdir(directory).catch((error: unknown) => missing(error, directory));
  // What a first start that died before it wrote the format file leaves, and what a freshly
  // formatted volume brings along.
  const harmless = ['lost+found', ...ignored];
  const foreign = names?.find(
    (name) => !harmless.includes(name) && !name.startsWith(`${FORMAT_FILE}.`),
  );
  if (foreign === undefined) return;
  throw new StoreError(
    'DIRECTORY_UNUSABLE',
    `${directory} is neither empty nor a ${format} directory: it holds ${JSON.stringify(foreign)} and no ${FORMAT_FILE}; name an empty or a new directory`,
  );
}

function missing(error: unknown, directory: string): undefined {
  if (systemCode(error) === 'ENOENT') return undefined;
  throw new StoreError(
    'DIRECTORY_UNUSABLE',
    `${directory} cannot be used as a directory: ${systemCode(error) ?? String(error)}`,
    { cause: error },
  );
}
