/** The training of an ONNX model by a loss on one of its outputs, without samples: what graphs and artifacts are made of. */
import { type ImportedModel, importModel } from '../../graphs/imported/import-model.js';
import { importedObjective, type OutputLoss } from '../../graphs/objectives/imported.js';
import type { Objective } from '../../graphs/objectives/objective.js';
import { evaluationGraph } from '../../graphs/programs/evaluation.js';
import { UserError } from '../errors.js';
import { built } from '../execution/models.js';
import { ofFile } from '../of-file.js';
import { checkTrained, importOptions, openTrainedFile, type TrainedFile } from '../train/imported.js';

/** Losses of an output, or their sum. */
export const OUTPUT_LOSSES = ['meanSquaredError', 'crossEntropy', 'binaryCrossEntropy', 'dice'] as const;

export interface ModelObjectiveOptions {
  /** The `.onnx` file. */
  readonly model: string;
  /** One of {@link OUTPUT_LOSSES}, or several, such as `dice+binaryCrossEntropy`; default meanSquaredError. */
  readonly loss?: string;
  /** The output, or any value inside the model, that the loss is about; the first output without it. */
  readonly output?: string;
  /** Sizes of inputs that the file leaves open, by their names. */
  readonly inputSizes?: Readonly<Record<string, readonly number[]>>;
  /** Names of weights that stay as they are, in which * stands for any characters. */
  readonly freeze?: readonly string[];
}

export interface ModelObjective {
  readonly file: TrainedFile;
  readonly model: ImportedModel;
  readonly objective: Objective;
}

/** @throws UserError for a loss that is not known */
function lossesOf(text: string): OutputLoss[] {
  return text.split('+').map((name) => {
    const known = OUTPUT_LOSSES.find((loss) => loss === name);
    if (known) return { name: known };
    throw new UserError('usage', {
      what: 'there is no such loss',
      where: '--loss',
      got: text,
      expected: `${OUTPUT_LOSSES.join(', ')}, or several of them, joined by +`,
    });
  });
}

/** @throws UserError when the file is no model, cannot be trained, or sizes of its inputs are missing */
export function openModelObjective({
  model: path,
  loss = 'meanSquaredError',
  output,
  inputSizes,
  freeze = [],
}: ModelObjectiveOptions): ModelObjective {
  const losses = lossesOf(loss);
  const file = openTrainedFile(path);
  const options = importOptions({ freeze, split: 'vectors' }, inputSizes);
  const model = ofFile(
    path,
    () =>
      importModel(file.bytes, {
        ...options,
        ...(output !== undefined && { outputs: [output] }),
        externalData: file.externalData,
      }),
    'sizes of inputs are given as --input-size name=1x1x32x32x32',
  );
  const objective = importedObjective(model, { output, loss: losses });
  const { parameters } = built('evaluation', () => evaluationGraph(objective));
  checkTrained(model, parameters, freeze, path);
  return { file, model, objective };
}
