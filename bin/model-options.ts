import { OUTPUT_LOSSES } from '../src/commands/model-objective.js';
import { parseInputSizes, parseNames } from './values.js';

/** What is trained of an ONNX model, and by which loss. */
export const modelOptions = {
  loss: {
    string: true,
    describe: `loss of the model’s output: ${OUTPUT_LOSSES.join(', ')}, or a sum such as dice+binaryCrossEntropy; default meanSquaredError`,
  },
  output: {
    string: true,
    describe: 'output, or value inside the model, that the loss is about; default the first output',
  },
  'input-size': {
    array: true,
    string: true,
    describe: 'sizes of an input that the model leaves open, such as image=1x1x32x32x32',
  },
  freeze: {
    string: true,
    describe: 'names of weights that stay as they are, such as stem*,layer1*; * stands for any characters',
  },
} as const;

interface ModelArguments {
  readonly loss?: string | undefined;
  readonly output?: string | undefined;
  readonly inputSize?: readonly (string | number)[] | undefined;
  readonly freeze?: string | undefined;
}

/** The options as they were given; none without them. */
export const givenModelOptions = ({ loss, output, inputSize, freeze }: ModelArguments) => ({
  ...(loss && { loss }),
  ...(output && { output }),
  ...(inputSize && { inputSizes: parseInputSizes(inputSize.map(String)) }),
  ...(freeze && { freeze: parseNames(freeze) }),
});

/** As they were typed, to be refused where there is no model. */
export const typedModelOptions = ({ loss, output, inputSize, freeze }: ModelArguments) => ({
  ...{ '--loss': loss, '--output': output, '--input-size': inputSize, '--freeze': freeze },
});
