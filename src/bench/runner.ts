import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { UserError } from '../errors.js';
import { signalGroup, startGuarded } from './guard.js';

/** How to start a runner: a command line, and what to call it. */
export interface RunnerSpec {
  readonly name: string;
  readonly command: readonly string[];
  /** Variables that its environment has besides ours. */
  readonly environment?: Readonly<Record<string, string>>;
}

const infoSchema = z.object({
  ready: z.literal(true),
  /** Library, version, and how it was configured. */
  detail: z.string(),
  threads: z.number(),
  /** What else is known before the first round. */
  facts: z.record(z.string(), z.number()).optional(),
});

/** What a runner says about itself before the first round. */
export type RunnerInfo = Omit<z.infer<typeof infoSchema>, 'ready'>;

const roundSchema = z.object({
  seconds: z.number(),
  /** Most memory that its process has held so far (resident set). */
  peakBytes: z.number(),
  /** Share of the round that was spent waiting for data, 0 to 1; absent where they lie in memory. */
  dataWait: z.number().optional(),
});

/** One round. */
export type Round = z.infer<typeof roundSchema>;

const unavailableSchema = z.object({
  unavailable: z.string(),
  /** Whether its library, or what else it needs, is not there: no other configuration will do either. */
  missing: z.boolean().optional(),
});

/** Why a runner cannot do its job. */
export type NotReady = z.infer<typeof unavailableSchema>;

/** A shell's exit code where there is no such program. */
const NOT_FOUND = 127;

/** A line as an answer; null where a library has printed it. */
function parseAnswer<S extends z.ZodType>(schema: S, line: string): z.infer<S> | null {
  try {
    return schema.safeParse(JSON.parse(line)).data ?? null;
  } catch {
    return null;
  }
}

/**
 * A program that does the same job again and again, in a process of its own: once for every line on its standard
 * input. It answers in lines of JSON: first `{ready: true, detail, threads, facts}`, then `{seconds, peakBytes, dataWait}` for every
 * round; or, at any time, `{unavailable, missing}` with the reason why it ends. It leads a group of processes: those that it starts stand still and end
 * with it.
 */
export class Runner {
  readonly #name: string;
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: string[] = [];
  #errors = '';
  #wake: () => void = () => {};
  #ended = false;

  constructor({ name, command, environment }: RunnerSpec) {
    this.#name = name;
    this.#process = startGuarded(command, 'pipe', {
      ...process.env,
      ...environment,
    }) as ChildProcessWithoutNullStreams;
    createInterface({ input: this.#process.stdout }).on('line', (line) => {
      this.#lines.push(line);
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

  /** @returns why it is unavailable, or what it is */
  async ready(): Promise<RunnerInfo | NotReady> {
    const answer = await this.#answer(z.union([infoSchema, unavailableSchema]));
    if (answer === null) return { unavailable: this.#lastWords(), missing: this.#isNotFound() };
    if ('unavailable' in answer) return answer;
    const { ready: _, ...info } = answer;
    return info;
  }

  /** Does the job once. @throws UserError when the process ended */
  async round(): Promise<Round> {
    signalGroup(this.#process, 'SIGCONT');
    this.#process.stdin.write('run\n');
    const answer = await this.#answer(z.union([roundSchema, unavailableSchema]));
    if (answer === null || 'unavailable' in answer)
      throw new UserError('runtime', {
        what: 'a runner ended before its last round',
        where: this.#name,
        got: answer?.unavailable ?? this.#lastWords(),
      });
    this.pause();
    return answer;
  }

  /** Stands still until the next round: threads that wait for work must not take time from the others. */
  pause(): void {
    signalGroup(this.#process, 'SIGSTOP');
  }

  async stop(): Promise<void> {
    if (this.#ended) return;
    const closed = once(this.#process, 'close');
    signalGroup(this.#process, 'SIGKILL');
    await closed;
  }

  /** Whether there is no such program, by the shell's account or the system's. */
  #isNotFound(): boolean {
    return this.#process.exitCode === NOT_FOUND || this.#process.pid === undefined;
  }

  #lastWords(): string {
    return this.#errors.trim().split('\n').at(-1) || 'its process ended';
  }

  /** The next answer; null when the process has ended without. */
  async #answer<S extends z.ZodType>(schema: S): Promise<z.infer<S> | null> {
    for (;;) {
      const line = this.#lines.shift();
      if (line !== undefined) {
        const answer = parseAnswer(schema, line);
        if (answer !== null) return answer;
      } else {
        if (this.#ended) return null;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
