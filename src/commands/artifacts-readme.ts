import { INTENSITIES, type Normalisation } from '../data/scan/normalise.js';
import type { ArtifactsManifest } from './artifacts-manifest.js';

/** What each input of a training is, by its name. @param unit of the voxels of tiles */
const meanings = (unit: string): Readonly<Record<string, string>> => ({
  image:
    'voxels as `p2w prepare` stores them in samples, x fastest (W = x, H = y, D = z): int16 in HU, or float32 as the scan was normalised; scaled to [0, 1] inside the model',
  sample_weight: 'weight of each sample: 1, or 0 for samples that only pad a batch',
  label: 'class of each sample: for two classes 0 or 1 as float32, otherwise its number as int32',
  mask: 'zeros and ones, one channel per class; classes may overlap',
  tile: `the wholes (full images), in ${unit}, x fastest (W = x, H = y, D = z)`,
  part_box: `for each whole, the box that contains its part (crop), in ${unit}`,
  part_depth:
    'matrices that resize the boxes to the size of a whole along z; each row holds linear interpolation weights',
  part_height: 'the same along y',
  part_width: 'the same along x, transposed',
  part_intensity: 'gamma, gain and shift of each part',
  corrupted: 'the corrupted wholes, in [0, 1]',
  target: 'what the output is to be: of pre-training the wholes, in [0, 1]',
  dropout_seed: 'of training steps only: another number, at least 0, for every batch',
});

/** Beside the four files: what they take and give, and how each binding of ONNX Runtime calls them. */
export function artifactsReadme({
  task,
  inputs,
  outputs,
  optimizer,
  schedule,
  run,
}: ArtifactsManifest): string {
  const { unit } = INTENSITIES[(run.normalise ?? 'hu') as Normalisation];
  const meaning = meanings(unit);
  const shape = (sizes: readonly number[]) => `[${sizes.join(', ')}]`;
  const rows = inputs.map(
    ({ name, type, shape: sizes }) => `| \`${name}\` | ${type} ${shape(sizes)} | ${meaning[name] ?? ''} |`,
  );
  const names = inputs.map(({ name }) => name);
  const { learningRate, warmup, decayTo } = schedule as {
    learningRate: number;
    warmup: number;
    decayTo: number | null;
  };
  const course =
    (warmup > 0 ? `, rising from 0 over the first ${warmup} updates` : '') +
    (decayTo === null ? '' : `, falling to 0 at update ${decayTo}`) +
    ((run.encoderRate ?? 1) === 1
      ? ''
      : ', also for the encoder, whose own rate this interface does not know');
  return `# Training artifacts: ${task}

For ONNX Runtime's on-device training: the training builds 1.18 and 1.19 for Python, C, C++, C#, Java,
Objective-C and Swift, and onnxruntime-web 1.19. Later releases do not support training.

| file | content |
|---|---|
| \`training_model.onnx\` | forward and backward pass; accumulates gradients |
| \`eval_model.onnx\` | forward pass |
| \`optimizer_model.onnx\` | ${String(optimizer.name)}, learning rate ${learningRate}${course} |
| \`checkpoint\` | weights, running statistics and, if there are any, the optimiser's moments |
| \`weights_model.onnx\` | use in place of \`eval_model.onnx\` to get all weights as one vector, in the order of \`manifest.json\`; on the web there is no other way |

Inputs of training and evaluation steps, in this order:

| input | type and shape | meaning |
|---|---|---|
${rows.join('\n')}

Outputs: ${outputs.map(({ name, shape: sizes }) => `\`${name}\` ${shape(sizes)}`).join(', ')}; any further outputs are flags.

The optimizer model computes the learning rate from the number of the update. A learning rate set through a binding is a
multiplier: every binding starts at 0.001, which means a factor of one.

Python:

\`\`\`python
from onnxruntime.training.api import CheckpointState, Module, Optimizer
state = CheckpointState.load_checkpoint("checkpoint")
module = Module("training_model.onnx", state, "eval_model.onnx")
optimizer = Optimizer("optimizer_model.onnx", module)
module.train()
loss = module(${names.join(', ')})[0]
optimizer.step()
module.lazy_reset_grad()
CheckpointState.save_checkpoint(state, "trained", include_optimizer_state=True)
\`\`\`

C++:

\`\`\`cpp
auto state = Ort::CheckpointState::LoadCheckpoint(ORT_TSTR("checkpoint"));
Ort::TrainingSession session(env, options, state, ORT_TSTR("training_model.onnx"), ORT_TSTR("eval_model.onnx"),
                             ORT_TSTR("optimizer_model.onnx"));
auto outputs = session.TrainStep(inputs);
session.OptimizerStep();
session.LazyResetGrad();
Ort::CheckpointState::SaveCheckpoint(state, ORT_TSTR("trained"), true);
\`\`\`

C#:

\`\`\`csharp
var state = CheckpointState.LoadCheckpoint("checkpoint");
using var session = new TrainingSession(state, "training_model.onnx", "eval_model.onnx", "optimizer_model.onnx");
using var outputs = session.TrainStep(inputs);
session.OptimizerStep();
session.LazyResetGrad();
CheckpointState.SaveCheckpoint(state, "trained", true);
\`\`\`

Java:

\`\`\`java
var session = env.createTrainingSession("checkpoint", "training_model.onnx", "eval_model.onnx", "optimizer_model.onnx");
var outputs = session.trainStep(inputs);
session.optimizerStep();
session.lazyResetGrad();
session.saveCheckpoint(Path.of("trained"), true);
\`\`\`

Swift:

\`\`\`swift
let checkpoint = try ORTCheckpoint(path: "checkpoint")
let session = try ORTTrainingSession(env: env, sessionOptions: options, checkpoint: checkpoint,
  trainModelPath: "training_model.onnx", evalModelPath: "eval_model.onnx", optimizerModelPath: "optimizer_model.onnx")
let outputs = try session.trainStep(withInputValues: inputs)
try session.optimizerStep()
try session.lazyResetGrad()
try checkpoint.saveCheckpoint(toPath: "trained", withOptimizerState: true)
\`\`\`

JavaScript (the file \`ort.training.wasm.min.mjs\` of onnxruntime-web 1.19; one thread, models as bytes):

\`\`\`js
ort.env.wasm.numThreads = 1;
const session = await ort.TrainingSession.create({ checkpointState, trainModel, evalModel, optimizerModel });
const { loss } = await session.runTrainStep({ ${names.join(', ')} });
await session.runOptimizerStep();
await session.lazyResetGrad();
\`\`\`

\`p2w artifacts import --artifacts . --checkpoint trained --out ${task === 'model' ? 'model' : 'run'}\` ${task === 'model' ? 'writes the model with the trained weights' : 'imports the trained weights into a run'}.
`;
}
