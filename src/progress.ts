import { Presets, SingleBar } from 'cli-progress';

/** Shows how far long work has come, on stderr: a bar on a terminal, a line every few seconds elsewhere. */
export interface Progress {
  /** @param done units finished so far  @param total when it was not known at first */
  update(done: number, fields?: Readonly<Record<string, string>>, total?: number): void;
  /** A line of its own, above the bar. */
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

const SECONDS_BETWEEN_LINES = 10;

/** 95 as `2 min`, 4000 as `1.1 h`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** `2.1 steps/s`, or `3.2 s a step` when slower than one a second. */
function formatRate(perSecond: number, unit: string): string {
  if (!(perSecond > 0)) return '';
  return perSecond >= 1
    ? `${perSecond.toFixed(1)} ${unit}/s`
    : `${(1 / perSecond).toFixed(1)} s/${unit.replace(/s$/, '')}`;
}

/** Starts showing. Call `stop` at the end, also after an error: it gives the terminal its cursor back. */
export function startProgress({ label, total: known, unit, start = 0 }: ProgressOptions): Progress {
  const terminal = process.stderr.isTTY === true;
  const bar = terminal
    ? new SingleBar(
        {
          format: `${label} {bar} {value}/{total}  {speed}  {left}  {fields}`,
          stream: process.stderr,
          hideCursor: true,
        },
        Presets.shades_classic,
      )
    : null;
  const began = performance.now();
  let total = known;
  let lastLine = Number.NEGATIVE_INFINITY;
  bar?.start(total, start, { speed: '', left: '', fields: '' });

  const describe = (done: number, fields: Readonly<Record<string, string>>) => {
    const rate = (done - start) / ((performance.now() - began) / 1000);
    return {
      speed: formatRate(rate, unit),
      left: rate > 0 ? `${formatDuration((total - done) / rate)} left` : '',
      fields: Object.entries(fields)
        .map(([name, value]) => `${name} ${value}`)
        .join('  '),
    };
  };
  return {
    update(done, fields = {}, newTotal = total) {
      total = newTotal;
      const shown = describe(done, fields);
      bar?.setTotal(total);
      bar?.update(done, shown);
      if (bar) return;
      const now = performance.now() / 1000;
      if (now - lastLine < SECONDS_BETWEEN_LINES && done < total) return;
      lastLine = now;
      const parts = [
        `${label}  ${done}/${total} ${unit}`,
        shown.speed,
        done < total ? shown.left : '',
        shown.fields,
      ];
      process.stderr.write(`${parts.filter((part) => part !== '').join('  ')}\n`);
    },
    log(line) {
      if (terminal) process.stderr.write(`\r\u001b[K${line}\n`);
      else process.stderr.write(`${line}\n`);
    },
    stop: () => bar?.stop(),
  };
}
