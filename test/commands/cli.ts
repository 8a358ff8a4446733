import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The built command line; `npm test` builds before it runs the tests. */
export const P2W = fileURLToPath(new URL('../../dist/bin/p2w.js', import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Starts `p2w`; `finished` never rejects. */
export function startP2w(
  args: readonly string[],
  cwd?: string,
): { process: ChildProcess; finished: Promise<Finished> } {
  const child = spawn(process.execPath, [P2W, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk;
  });
  const finished = new Promise<Finished>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return { process: child, finished };
}

/** Runs `p2w` to its end. */
export const p2w = (args: readonly string[], cwd?: string): Promise<Finished> => startP2w(args, cwd).finished;

/** The object that `--json` prints as the last line. */
// biome-ignore lint/suspicious/noExplicitAny: each command prints an object of its own
export const lastJson = ({ stdout }: Pick<Finished, 'stdout'>): Record<string, any> =>
  JSON.parse(stdout.trimEnd().split('\n').at(-1)!);
