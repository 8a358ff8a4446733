import { closeSync, existsSync, fsyncSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { fromSystemError, UserError } from '../errors.js';
import { truncateFile } from '../files.js';

/** One line of metrics.jsonl. It holds nothing that differs between two runs of the same seed: no times. */
export type MetricRecord = Readonly<Record<string, number | null>>;

export interface Metrics {
  append(record: MetricRecord): void;
  /** Bytes written so far: what a checkpoint remembers. */
  bytes(): number;
  /** Brings everything onto the disk. */
  sync(): void;
  close(): void;
}

/**
 * Opens metrics.jsonl to append to.
 * @param keepBytes how much of an existing file stands: what came after the last checkpoint is cut off
 * @throws UserError of kind `run` when the file is shorter than that
 */
export function openMetrics(path: string, keepBytes: number): Metrics {
  const size = existsSync(path) ? statSync(path).size : 0;
  if (size < keepBytes)
    throw new UserError('run', {
      what: 'the metrics are shorter than the checkpoint says',
      where: path,
      got: `${size} bytes`,
      expected: `at least ${keepBytes}`,
      fix: 'restore the file, or start a new run',
    });
  if (size > keepBytes) truncateFile(path, keepBytes);
  let fd: number;
  try {
    fd = openSync(path, 'a');
  } catch (error) {
    throw fromSystemError(error, path);
  }
  let bytes = keepBytes;
  const guarded = <T>(action: () => T): T => {
    try {
      return action();
    } catch (error) {
      throw fromSystemError(error, path);
    }
  };
  return {
    append(record) {
      const line = Buffer.from(`${JSON.stringify(record)}\n`);
      for (let done = 0; done < line.length; ) done += guarded(() => writeSync(fd, line, done));
      bytes += line.length;
    },
    bytes: () => bytes,
    sync: () => guarded(() => fsyncSync(fd)),
    close: () => closeSync(fd),
  };
}

/** All whole lines of metrics.jsonl; one that a kill cut short at the end is left out. */
export function readMetrics(path: string): Record<string, number | null>[] {
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Record<string, number | null>);
}
