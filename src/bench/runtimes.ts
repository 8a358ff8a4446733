/** One model on every ONNX Runtime that is here: how long, how much memory, and how exact? */
import { availableParallelism } from 'node:os';
import { checkInteger, UserError } from '../errors.js';
import { machineFacts } from '../machine.js';
import { modelPath } from '../pretrained.js';
import { mapTensors } from '../runtime/ort.js';
import { withTemporaryFolder } from '../temporary-folder.js';
import type { AbsentRuntime, RuntimeRow, RuntimesResult } from './runtimes/result.js';
import type { Sizes } from './runtimes/signature.js';
import {
  type PresetOptions,
  type Subject,
  subjectOfFile,
  subjectOfPreset,
  writeSubject,
} from './runtimes/subject.js';
import { unavailableError, waysOf } from './runtimes/ways.js';

export interface RuntimesOptions extends PresetOptions {
  /** Any ONNX model in one file, instead of a preset. */
  readonly model?: string;
  /** Lengths of dimensions that the model only has names for; 1 without them. */
  readonly sizes?: Sizes;
  /** Runs of each that are timed, or fewer within {@link SECONDS}. */
  readonly rounds: number;
  /** A Chromium; one on the PATH without it. */
  readonly browser?: string;
}

/** Each runtime is timed for so long, where runs take long. */
const SECONDS = 20;

/** @throws UserError for options that contradict each other */
function checkOptions({ model, preset, mode, sizes, batch }: RuntimesOptions): void {
  const contradictions: [boolean, string, string][] = [
    [model !== undefined && preset !== undefined, '--preset', 'with --model there is no preset'],
    [
      model !== undefined && mode === 'training',
      '--mode',
      'a model is run as it is; a preset can be trained',
    ],
    [
      model !== undefined && batch !== undefined,
      '--batch',
      'a model has its own sizes; give their lengths with --sizes',
    ],
    [model === undefined && Object.keys(sizes ?? {}).length > 0, '--sizes', 'a preset has its own sizes'],
  ];
  for (const [isTrue, where, what] of contradictions)
    if (isTrue) throw new UserError('usage', { what, where });
}

/** One line of what went wrong. */
const reasonOf = ({ facts }: UserError): string =>
  [facts.what, facts.got]
    .filter((text) => text !== undefined)
    .join(': ')
    .replace(/\s*\n\s*/g, '; ');

/** @throws UserError when even the first way fails, with which all others are compared */
function refuseWithoutReference(reason: string, { model, preset }: RuntimesOptions): never {
  throw new UserError('runtime', {
    what: 'onnxruntime-node cannot run this model',
    where: model ?? `--preset ${preset}`,
    got: reason,
    ...(model && { fix: 'if its inputs are too small, give their lengths with --sizes NAME=LENGTH' }),
  });
}

/** Measures a subject in every way. @param folder for the files of runners  @throws UserError when the first way fails */
async function measureAll(
  subject: Subject,
  folder: string,
  options: RuntimesOptions,
  log: (line: string) => void,
): Promise<Pick<RuntimesResult, 'rows' | 'absent'>> {
  const { rounds, threads, browser } = options;
  const rows: RuntimeRow[] = [];
  const absent: AbsentRuntime[] = [];
  const missing = await writeSubject(folder, subject);
  const ways = waysOf(subject, folder, threads || availableParallelism(), browser);
  for (const { measure, ...way } of ways) {
    const { name, place, precision } = way;
    // What is absent in float32 is so in all precisions.
    if (absent.some((one) => one.name === name && one.place === place && one.precision === 'float32'))
      continue;
    const title = `${name} in ${place}, ${precision}, threads ${way.threads}`;
    try {
      const reason = missing.get(precision);
      if (reason !== undefined) throw unavailableError(reason);
      const row: RuntimeRow = { ...way, ...(await measure({ rounds, seconds: SECONDS })) };
      rows.push(row);
      log(`${title}: ${(1000 * row.seconds.p50).toPrecision(3)} ms`);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const reason = reasonOf(error);
      if (rows.length === 0) refuseWithoutReference(reason, options);
      absent.push({ name, place, precision, reason });
      log(`${title}: ${reason}`);
    }
  }
  return { rows, absent };
}

/**
 * Runs a model on every runtime in turn, each in a process of its own, and compares outputs with those of the first.
 * @param log what happens, line by line
 * @throws UserError when the model cannot be read, its inputs cannot be made, or onnxruntime-node itself cannot run it
 */
export async function benchRuntimes(
  options: RuntimesOptions,
  log: (line: string) => void,
): Promise<RuntimesResult> {
  checkOptions(options);
  const { model, sizes = {}, rounds, batch } = options;
  checkInteger('--rounds', rounds, 1);
  if (batch !== undefined) checkInteger('--batch', batch, 1);
  const subject = model ? await subjectOfFile(modelPath(model), sizes) : await subjectOfPreset(options);
  const measured = await withTemporaryFolder('p2w-runtimes-', (folder) =>
    measureAll(subject, folder, options, log),
  );
  const inputs = mapTensors(subject.inputs, ({ type, shape }) => `${type} [${shape.join(',')}]`);
  const { title, bytes } = subject;
  return { title, inputs, modelBytes: bytes.length, machine: machineFacts(), ...measured };
}
