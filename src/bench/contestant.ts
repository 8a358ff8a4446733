import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { UserError } from '../errors.js';

/** What a contestant says about itself before the first round. */
export interface Introduction {
  /** Library, version, and how it was configured. */
  readonly detail: string;
  readonly threads: number;
}

/** One round. */
export interface Lap {
  readonly seconds: number;
  /** Most memory that its process has held so far (resident set). */
  readonly peakBytes: number;
}

/**
 * A program that does the same piece of work again and again, in a process of its own: for every line on its
 * standard input it does the work once. It answers in lines of JSON: first `{ready: true, detail, threads}`, or
 * `{missing}` with the reason why it cannot; then `{seconds, peakBytes}` for every round.
 */
export class Contestant {
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: Interface;
  readonly #answers: string[] = [];
  #errors = '';
  #wake: () => void = () => {};
  #ended = false;

  constructor(command: readonly string[], environment: Readonly<Record<string, string>> = {}) {
    this.#process = spawn(command[0]!, command.slice(1), {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    this.#lines = createInterface({ input: this.#process.stdout });
    this.#lines.on('line', (line) => {
      this.#answers.push(line);
      this.#wake();
    });
    this.#process.stderr.on('data', (text: Buffer) => {
      this.#errors = (this.#errors + text.toString()).slice(-2000);
    });
    const ended = () => {
      this.#ended = true;
      this.#wake();
    };
    this.#process.on('close', ended);
    this.#process.on('error', (error) => {
      this.#errors += error.message;
      ended();
    });
    // A process that has ended cannot be written to; that it has ended is said by `close`.
    this.#process.stdin.on('error', () => {});
  }

  /** @returns why it cannot take part, or what it is */
  async introduce(): Promise<Introduction | { readonly missing: string }> {
    const answer = await this.#answer();
    return 'missing' in answer || 'ready' in answer
      ? (answer as unknown as Introduction | { missing: string })
      : { missing: `it said ${JSON.stringify(answer)}` };
  }

  /** Does the work once. @throws UserError when the process ended */
  async lap(): Promise<Lap> {
    this.#signal('SIGCONT');
    this.#process.stdin.write('run\n');
    const answer = await this.#answer();
    if ('missing' in answer)
      throw new UserError('runtime', {
        what: 'a contestant ended before its last round',
        got: String(answer.missing),
      });
    this.rest();
    return answer as unknown as Lap;
  }

  /** Stands still until the next lap: threads that wait for work must not take time from the others. */
  rest(): void {
    this.#signal('SIGSTOP');
  }

  #signal(name: 'SIGCONT' | 'SIGSTOP'): void {
    if (process.platform !== 'win32') this.#process.kill(name);
  }

  async stop(): Promise<void> {
    if (this.#ended) return;
    const closed = once(this.#process, 'close');
    this.#process.kill('SIGKILL');
    await closed;
  }

  async #answer(): Promise<Record<string, unknown>> {
    for (;;) {
      const line = this.#answers.shift();
      // Libraries print to standard output too.
      if (line?.startsWith('{')) return JSON.parse(line) as Record<string, unknown>;
      if (line === undefined) {
        if (this.#ended) return { missing: this.#errors.trim().split('\n').at(-1) || 'its process ended' };
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
