/** A server in a process of its own that may die at any moment, and a client that expects it. */
import { spawn } from 'node:child_process';

type Reply = Readonly<Record<string, unknown>>;

export type KilledServer = Readonly<{
  url: string;
  /** What it wrote to standard output and error, the end of it. */
  said(): string;
  /** Lets the kill point count from now on. */
  arm(): void;
  kill(): void;
  exited: Promise<void>;
  /** @throws where the server is gone or refuses */
  call(verb: string, body: object): Promise<Reply>;
  /** Undefined where no answer came. */
  tryCall(verb: string, body: object): Promise<Reply | undefined>;
  /** An orderly end. */
  stop(): Promise<void>;
}>;

const SCRIPT = new URL('./killing-server.ts', import.meta.url).pathname;

export async function startKillable(
  dir: string,
  ...args: readonly string[]
): Promise<KilledServer> {
  const child = spawn(process.execPath, [SCRIPT, dir, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    const listen = (chunk: Buffer) => {
      said += chunk.toString();
      const match = /ready on (\S+)/.exec(said);
      if (match?.[1] !== undefined) resolve(match[1]);
    };
    child.stdout.on('data', listen);
    child.stderr.on('data', listen);
    void exited.then(() => reject(new Error(`the server ended before it was ready: ${said}`)));
  });
  const tryCall = async (verb: string, body: object): Promise<Reply | undefined> => {
    try {
      const response = await fetch(`${url}/v2/vectordb/${verb}`, {
        method: 'POST',
        headers: { authorization: 'Bearer root:Milvus' },
        body: JSON.stringify(body),
      });
      return (await response.json()) as Reply;
    } catch {
      return undefined;
    }
  };
  return {
    url,
    said: () => said.slice(-4000),
    arm: () => child.kill('SIGUSR2'),
    kill: () => child.kill('SIGKILL'),
    exited,
    tryCall,
    async call(verb, body) {
      const reply = await tryCall(verb, body);
      if (reply?.['code'] !== 0) {
        throw new Error(`${verb}: ${JSON.stringify(reply)}; the server said: ${said.slice(-2000)}`);
      }
      return reply;
    },
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}
