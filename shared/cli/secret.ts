/** Passwords from where no other user of the machine sees them: the keyboard or standard input, never the command line. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { StoreError } from '#base/errors.ts';

/** A few lines of at most 72 bytes; whatever is longer is another file. */
const INPUT_BYTES_MAX = 4096;

/** Asks without showing what is typed. Ctrl-C and Ctrl-D end it. */
export async function askSecret(question: string): Promise<string> {
  if (!process.stdin.isTTY) {
    const message = 'standard input is no terminal: give the passwords with --passwords-stdin';
    throw new StoreError('INVALID_ARGUMENT', message);
  }
  process.stderr.write(question);
  // As a terminal readline takes over the echo, and writes it where it goes nowhere.
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: silent, terminal: true });
  try {
    return await new Promise<string>((resolve, reject) => {
      const stop = () => reject(new StoreError('INVALID_ARGUMENT', 'stopped; nothing was changed'));
      lines.once('line', resolve);
      lines.once('SIGINT', stop);
      lines.once('close', stop);
    });
  } finally {
    lines.close();
    process.stderr.write('\n');
  }
}

/** Exactly so many lines of standard input, none of them empty. */
export async function secretsFromInput(names: readonly string[]): Promise<readonly string[]> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    const buffer = Buffer.from(chunk);
    bytes += buffer.length;
    if (bytes > INPUT_BYTES_MAX) break;
    chunks.push(buffer);
  }
  const lines = Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '')
    .split(/\r?\n/);
  if (bytes <= INPUT_BYTES_MAX && lines.length === names.length && !lines.includes('')) {
    return lines;
  }
  const found = bytes > INPUT_BYTES_MAX ? `more than ${INPUT_BYTES_MAX} bytes` : `${lines.length}`;
  throw new StoreError(
    'INVALID_ARGUMENT',
    `standard input: expected ${names.length} lines (${names.join(', ')}), none of them empty, found ${found}`,
  );
}
