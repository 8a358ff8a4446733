import { type EngineTensor, openModelTraining, type Tensors, UserError } from 'parts2whole/browser';
import { openEngine, trainOnRequest } from '../shared/worker.js';
import { inputShape, inputTensor, readClassifier } from './classifier.js';
import type { Answer, Answers, Start } from './messages.js';
import { checkClasses, readSamples, type Sample, trainingOrder } from './pictures.js';

/** Where the model leaves it open. */
const BATCH = 8;

/** @param shape of the model's output @throws UserError unless it has one for every class */
function checkOutputs(where: string, shape: readonly (number | string)[], classes: number): void {
  if (shape.length !== 2)
    throw new UserError('input', {
      what: 'this model is not a classifier',
      where,
      got: `an output [${shape.join(',')}]`,
      expected: '[N,classes]',
    });
  const outputs = Number(shape[1]);
  if (outputs < classes)
    throw new UserError('input', {
      what: 'this model has fewer outputs than there are classes',
      where,
      got: `${outputs} outputs, ${classes} classes`,
      fix: 'remove classes, or choose a model with more outputs',
    });
}

/** What the network says of the first of a batch, one answer a picture. */
function answersOf(samples: readonly Sample[], { data, shape }: EngineTensor): Answer[] {
  const outputs = shape[1]!;
  return samples.map(({ of, picture }, i) => {
    const row = (data as Float32Array).subarray(i * outputs, (i + 1) * outputs);
    const probability = Math.max(...row);
    return { of, picture, said: row.indexOf(probability), probability };
  });
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

trainOnRequest<Start, Answers>(async (start, say) => {
  const { model: file, size, classes, normalisation, learningRate, provider } = start;
  checkClasses(classes);
  const model = new Uint8Array(await file.arrayBuffer());
  const classifier = readClassifier(file.name, model);
  const { training: own, heldOut } = await readSamples(classes, size, say);
  say('loading ONNX Runtime and the training step');
  const batch = classifier.batch ?? Math.min(BATCH, own.length);
  const shape = inputShape(classifier, batch, size);
  const training = await openModelTraining({
    engine: openEngine(provider),
    model,
    inputs: { [classifier.input]: shape },
    loss: { name: 'crossEntropy' },
  });
  checkOutputs(file.name, training.outputs[0]!.shape, classes.length);

  const sampleAt = trainingOrder(own, classes.length);
  /** Fewer samples than the network takes are filled up with zeros. */
  const batchOf = (samples: readonly Sample[]): Tensors => {
    const pictures = samples.map(({ pixels }) => pixels);
    const label = new Int32Array(batch);
    label.set(samples.map(({ of }) => of));
    return {
      [classifier.input]: inputTensor(pictures, shape, classifier.channels, normalisation),
      label: { type: 'int32', shape: [batch], data: label },
    };
  };
  say(`training on ${own.length} pictures, ${heldOut.length} are held out`);
  let trained = 0;
  return {
    async step() {
      const samples = Array.from({ length: batch }, (_, i) => sampleAt(trained + i));
      trained += batch;
      return (await training.step(batchOf(samples), learningRate)).loss;
    },
    async validate() {
      const losses: number[] = [];
      const answers: Answer[] = [];
      for (let i = 0; i < heldOut.length; i += batch) {
        const samples = heldOut.slice(i, i + batch);
        const { loss, probabilities } = await training.evaluate(batchOf(samples));
        losses.push(...(loss!.data as Float32Array).subarray(0, samples.length));
        answers.push(...answersOf(samples, probabilities!));
      }
      return { loss: mean(losses), shown: answers };
    },
    files: async () => ({ 'trained.onnx': await training.trainedModel() }),
    release: () => training.release(),
  };
});
