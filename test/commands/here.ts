import { vi } from 'vitest';
import { main } from '../../bin/main.js';
import type { Finished } from './cli.js';

/**
 * Runs a command line in this process, from its sources: a start of the built `p2w` takes a hundred times as long. For what it
 * says, and for its exit code; how the process ends can only be seen of a process.
 */
export async function p2wHere(line: readonly string[], cwd = '.'): Promise<Omit<Finished, 'signal'>> {
  const said = { stdout: '', stderr: '' };
  const hear = (stream: 'stdout' | 'stderr') => (text: string | Uint8Array) => {
    said[stream] += text;
    return true;
  };
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation(hear('stdout')),
    vi.spyOn(process.stderr, 'write').mockImplementation(hear('stderr')),
    vi.spyOn(console, 'log').mockImplementation((text) => void hear('stdout')(`${text}\n`)), // yargs, for help
  ];
  const from = process.cwd();
  process.chdir(cwd);
  try {
    const failed = await main(line);
    return { code: failed ?? Number(process.exitCode ?? 0), ...said };
  } finally {
    process.chdir(from);
    process.exitCode = undefined;
    for (const spy of spies) spy.mockRestore();
  }
}
