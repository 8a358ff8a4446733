import { createHash } from 'node:crypto';
import { UserError } from '../errors.js';
import { openImageModel } from '../inference/image-model.js';
import { checkedWindows } from '../inference/predict-scan.js';
import { partSide } from '../inference/reconstruction.js';
import { classesOf } from '../inference/segmentation.js';
import { runSelfTest } from '../inference/self-test.js';
import { readModelFile } from '../onnx-file.js';
import type { Engine } from '../runtime/engine.js';
import { nodeEngine } from '../runtime/node.js';
import { takesScans } from './whole-scans.js';

/** What a model that `p2w export` wrote says of itself, whatever it computes. */
const REQUIRED = ['input', 'axes', 'preprocessing', 'size_multiple', 'license', 'intended_use'] as const;

/**
 * @returns what is to be said of a model that is right in itself, but that these commands do not run; empty for others
 * @throws UserError for what the commands that run a model on whole scans would not take
 */
function checkUse(path: string, engine: Engine): string {
  const model = openImageModel(path, engine);
  checkedWindows(model, {}, 0);
  if (model.kind === 'classifier' || model.kind === 'segmenter') classesOf(model);
  if (model.kind === 'autoencoder') partSide(model);
  return takesScans(model)
    ? ''
    : `it takes images of ${model.channels} channels, so p2w does not run it on whole scans: use the ONNX file`;
}

export interface Verification {
  readonly model: string;
  readonly ok: boolean;
  /** Why not; empty for a model that is all right. */
  readonly problem: string;
  /** Why commands do not run it on whole scans although it is all right; empty for a model that they run. */
  readonly note: string;
  /** SHA-256 of the file. */
  readonly sha256: string;
  /** What ran it. */
  readonly engine: string;
  /** Largest relative RMS difference of an output to that at export, and what is allowed; null when it did not get so far. */
  readonly error: number | null;
  readonly tolerance: number | null;
}

/**
 * Checks an exported model on the runtime at hand: the file is a valid model, its metadata say what it takes as the commands that run it
 * want it, and it makes of the input that is stored in it what it made of it where it was exported.
 * @throws UserError when the file cannot be read
 * @example
 * const { ok, problem } = await verify('encoder/encoder.onnx');
 * if (!ok) throw new Error(problem);
 */
export async function verify(path: string, engine: Engine = nodeEngine): Promise<Verification> {
  const refused = (problem: string, sha256 = '') => ({
    ...{
      model: path,
      ok: false,
      problem,
      note: '',
      sha256,
      engine: engine.name,
      error: null,
      tolerance: null,
    },
  });
  let file: ReturnType<typeof readModelFile>;
  try {
    file = readModelFile(path);
  } catch (error) {
    // A file that is not there is another matter than one that is no model.
    if (error instanceof UserError && error.kind === 'input') return refused(error.facts.what);
    throw error;
  }
  const { bytes, model } = file;
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const missing = REQUIRED.filter((key) => model.metadata[key] === undefined);
  if (missing.length > 0) return refused(`its metadata lack ${missing.join(', ')}`, sha256);
  let note: string;
  let result: Awaited<ReturnType<typeof runSelfTest>>;
  try {
    note = checkUse(path, engine);
    result = await runSelfTest(model, bytes, engine, path);
  } catch (error) {
    if (error instanceof UserError) return refused(error.facts.what, sha256);
    throw error;
  }
  if (!result) return refused('it contains no self-test: export it again', sha256);
  const error = Math.max(
    ...Object.values(result.errors).map((e) => (Number.isNaN(e) ? Number.POSITIVE_INFINITY : e)),
  );
  const ok = error <= result.tolerance;
  const problem = ok
    ? ''
    : `its results on this machine differ from those at export by ${error.toPrecision(2)} (relative RMS), more than ${result.tolerance}`;
  return {
    model: path,
    ok,
    problem,
    note: ok ? note : '',
    sha256,
    engine: engine.name,
    error,
    tolerance: result.tolerance,
  };
}

/** One line, for people. */
export const formatVerification = ({
  model,
  ok,
  problem,
  note,
  error,
  tolerance,
  engine,
  sha256,
}: Verification): string =>
  ok
    ? `yes: ${model} gives the results of its export on ${engine} (relative RMS difference ${error!.toExponential(1)}, at most ${tolerance}); SHA-256 ${sha256}${note && `; ${note}`}`
    : `no: ${model}: ${problem.trim().replace(/\s*[\r\n]+\s*/g, ' ')}`;
