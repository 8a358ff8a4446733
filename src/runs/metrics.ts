import { closeSync, fsyncSync, openSync, readFileSync, statSync } from 'node:fs';
import { fromSystemError, UserError } from '../errors.js';
import { checkLinked, truncateFile, writeAll } from '../files.js';

/** One line of metrics.jsonl. It holds nothing that differs between two runs of the same seed: no times. */
export type MetricRecord = Readonly<Record<string, number | null>>;

export interface Metrics {
  append(record: MetricRecord): void;
  /** Bytes written so far: what a checkpoint remembers. */
  bytes(): number;
  /** Brings everything onto the disk. @throws UserError when the file has been deleted meanwhile */
  sync(): void;
  close(): void;
}

/** Those of a rank that writes nothing. */
export const noMetrics: Metrics = { append: () => {}, bytes: () => 0, sync: () => {}, close: () => {} };

/**
 * Opens metrics.jsonl to append to.
 * @param keepBytes how much of an existing file stands: what came after the last checkpoint is cut off
 * @throws UserError of kind `run` when the file is shorter than that
 */
export function openMetrics(path: string, keepBytes: number): Metrics {
  const guarded = <T>(action: () => T): T => {
    try {
      return action();
    } catch (error) {
      throw fromSystemError(error, path);
    }
  };
  const size = guarded(() => statSync(path, { throwIfNoEntry: false })?.size ?? 0);
  if (size < keepBytes)
    throw new UserError('run', {
      what: 'the metrics file is shorter than recorded in the checkpoint',
      where: path,
      got: `${size} bytes`,
      expected: `at least ${keepBytes}`,
      fix: 'restore the file, or start a new run',
    });
  if (size > keepBytes) guarded(() => truncateFile(path, keepBytes));
  const fd = guarded(() => openSync(path, 'a'));
  let bytes = keepBytes;
  return {
    append(record) {
      const line = Buffer.from(`${JSON.stringify(record)}\n`);
      guarded(() => writeAll(fd, line));
      bytes += line.length;
    },
    bytes: () => bytes,
    sync() {
      checkLinked(fd, path);
      guarded(() => fsyncSync(fd));
    },
    close: () => closeSync(fd),
  };
}

/**
 * All whole lines of metrics.jsonl; one that a kill cut short at the end is left out.
 * @throws UserError when the file is missing, or another line is no JSON
 */
export function readMetrics(path: string): MetricRecord[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw fromSystemError(error, path);
  }
  const lines = text.split('\n').slice(0, -1);
  return lines.map((line, index) => {
    try {
      return JSON.parse(line) as MetricRecord;
    } catch (cause) {
      throw new UserError('run', {
        what: 'a line of the metrics file is damaged',
        where: `${path}, line ${index + 1}`,
        got: line.slice(0, 80),
        fix: 'restore the file',
        cause,
      });
    }
  });
}
