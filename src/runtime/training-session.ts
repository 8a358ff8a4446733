/** ONNX Runtime's own training interface, as its builds for the web have it. Imports nothing that runs: browsers use it too. */
import type { Tensors } from './engine.js';
import { fromOrt, mapTensors, type OrtTensor, type OrtTensorClass, runtimeError, toOrt } from './ort.js';

/** The four files of `p2w artifacts`. */
export interface OnDeviceModels {
  readonly training: Uint8Array;
  readonly evaluation: Uint8Array;
  readonly optimizer: Uint8Array;
  readonly checkpoint: Uint8Array;
}

type OrtTensors = Readonly<Record<string, OrtTensor>>;

/** What is used of the package; its own types come with the package, which is optional. */
export interface TrainingRuntime {
  readonly Tensor: OrtTensorClass;
  readonly TrainingSession: {
    create(options: {
      readonly checkpointState: Uint8Array;
      readonly trainModel: Uint8Array;
      readonly evalModel: Uint8Array;
      readonly optimizerModel: Uint8Array;
    }): Promise<{
      readonly trainingInputNames: readonly string[];
      readonly evalInputNames: readonly string[];
      runTrainStep(feeds: OrtTensors): Promise<OrtTensors>;
      runEvalStep(feeds: OrtTensors): Promise<OrtTensors>;
      runOptimizerStep(): Promise<void>;
      lazyResetGrad(): Promise<void>;
      release(): Promise<void>;
    }>;
  };
}

/** A training that lives in the runtime: parameters, sums of gradients and the optimiser's state. */
export interface TrainingSession {
  /** Adds the gradients of a batch to their sums. @returns what the training model gives */
  accumulate(feeds: Tensors): Promise<Tensors>;
  /** Updates the parameters by the sums, and begins new ones. */
  update(): Promise<void>;
  /** What the evaluation model gives; the binding names its outputs as the training model's, in their order. */
  evaluate(feeds: Tensors): Promise<Tensors>;
  release(): Promise<void>;
}

/** Loads artifacts. @throws UserError when the runtime refuses them */
export async function openTrainingSession(
  { TrainingSession, Tensor }: TrainingRuntime,
  { training, evaluation, optimizer, checkpoint }: OnDeviceModels,
): Promise<TrainingSession> {
  const attempt = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw runtimeError(`ONNX Runtime's training interface ${what}`, error);
    }
  };
  const session = await attempt('rejected the artifacts', () =>
    TrainingSession.create({
      checkpointState: checkpoint,
      trainModel: training,
      evalModel: evaluation,
      optimizerModel: optimizer,
    }),
  );
  const taken = (names: readonly string[], feeds: Tensors) =>
    mapTensors(Object.fromEntries(names.map((name) => [name, feeds[name]!])), toOrt(Tensor));
  return {
    accumulate: (feeds) =>
      attempt('failed in a training step', async () =>
        mapTensors(await session.runTrainStep(taken(session.trainingInputNames, feeds)), fromOrt),
      ),
    update: () =>
      attempt('failed in an update', async () => {
        await session.runOptimizerStep();
        await session.lazyResetGrad();
      }),
    evaluate: (feeds) =>
      attempt('failed in an evaluation', async () =>
        mapTensors(await session.runEvalStep(taken(session.evalInputNames, feeds)), fromOrt),
      ),
    release: () => session.release(),
  };
}
