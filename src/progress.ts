/** How long work tells its caller how far it has come. The library shows nothing by itself. */

/** One stretch of work whose units are counted. */
export interface Progress {
  /** @param done units finished so far */
  update(done: number, fields?: Readonly<Record<string, string>>): void;
  /** A line of its own. */
  log(line: string): void;
  stop(): void;
}

export interface ProgressOptions {
  readonly label: string;
  readonly total: number;
  readonly unit: string;
  /** Units that were done before; they do not count for the rate. */
  readonly start?: number;
}

/** What a caller passes in to hear of progress: `terminalReporter`, or one of its own. */
export interface Reporter {
  /** A line of its own. */
  log(line: string): void;
  /** Begins to count; `stop` is called at the end, also after an error. */
  start(options: ProgressOptions): Progress;
}

/** For an option of functions whose work takes long. */
export interface Reporting {
  /** Is told how far the work has come; nobody is without it. */
  readonly reporter?: Reporter;
}

const nothing = () => {};

/** Tells nobody. */
export const silent: Reporter = {
  log: nothing,
  start: () => ({ update: nothing, log: nothing, stop: nothing }),
};
