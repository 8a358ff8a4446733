import { formatArtifacts, writeArtifacts } from '../../src/commands/artifacts.js';
import { formatImport, importArtifacts } from '../../src/commands/artifacts-import.js';
import { ARTIFACT_TASKS } from '../../src/commands/artifacts-manifest.js';
import { readConfigFile } from '../../src/config/file.js';
import { fromSettings } from '../../src/config/settings.js';
import { refuseIdle, UserError } from '../../src/errors.js';
import { command } from '../command.js';
import { givenModelOptions, modelOptions, typedModelOptions } from '../model-options.js';
import { configOptions } from '../options.js';
import { parseNames, parseSize } from '../values.js';

const ACTIONS = ['write', 'import'] as const;

export default command({
  positionals: { action: { choices: ACTIONS, default: 'write' as const, describe: 'what to do' } },
  options: {
    run: { string: true, describe: 'pre-training run or fine-tuning trial to start from' },
    preset: { ...configOptions.preset, describe: 'start from an untrained network of this size instead' },
    model: { string: true, describe: 'any ONNX model instead, trained by a loss on its output' },
    ...modelOptions,
    task: {
      choices: ARTIFACT_TASKS,
      describe: 'what to train for; by default the task of the run, or pretrain',
    },
    classes: {
      string: true,
      describe: 'class names of a new target task; default no,yes to classify, inside to segment',
    },
    channels: { number: true, describe: 'image channels of a new target task; default 1' },
    size: {
      string: true,
      describe: 'image size of a new target task in voxels, x×y×z; default: size of the wholes',
    },
    optimizer: {
      choices: ['adamw', 'sgd'] as const,
      describe: 'optimiser; by default the run’s, with AdamW for Adam',
    },
    schedule: {
      choices: ['constant', 'linear'] as const,
      describe: 'learning-rate schedule: constant (default), or linear, which falls to 0 at --steps',
    },
    warmup: { number: true, describe: 'updates over which the learning rate ramps up; by default the run’s' },
    steps: { number: true, describe: 'update at which a linear schedule ends' },
    config: configOptions.config,
    set: configOptions.set,
    artifacts: { string: true, describe: 'import: folder written by `p2w artifacts`' },
    checkpoint: { string: true, describe: 'import: checkpoint saved by the training' },
    overwrite: { boolean: true, describe: 'replace the files of --out' },
    out: { string: true, demandOption: true, describe: 'output folder' },
  },
  examples: [
    ['$0 artifacts --preset tiny --out artifacts/tiny', 'training_model.onnx and the other files, untrained'],
    [
      '$0 artifacts --run runs/first --task classify --classes benign,malignant --out artifacts/target',
      'a classifier on a pre-trained encoder',
    ],
    [
      '$0 artifacts import --artifacts artifacts/tiny --checkpoint trained --out runs/back',
      'import trained weights',
    ],
    [
      '$0 artifacts --model resnet.onnx --input-size image=8x3x224x224 --loss crossEntropy --out artifacts/resnet',
      'train any ONNX model on a device',
    ],
  ],
  run: async (args) => {
    if (args.action === 'import') {
      if (!args.artifacts)
        throw new UserError('usage', {
          what: 'give the folder that `p2w artifacts` wrote',
          where: '--artifacts',
        });
      const { run, preset, task, classes, channels, size, optimizer, warmup, steps, config } = args;
      refuseIdle('`artifacts import`', {
        ...{ '--run': run, '--preset': preset, '--task': task, '--classes': classes, '--channels': channels },
        ...{ '--size': size, '--optimizer': optimizer, '--schedule': args.schedule, '--warmup': warmup },
        ...{ '--model': args.model, ...typedModelOptions(args) },
        ...{
          '--overwrite': args.overwrite,
          '--steps': steps,
          '--config': config,
          '--set': args.set.length > 0 ? args.set : undefined,
        },
      });
      const summary = await importArtifacts({
        artifacts: args.artifacts,
        ...(args.checkpoint ? { checkpoint: args.checkpoint } : {}),
        out: args.out,
      });
      return { text: formatImport(summary), json: summary };
    }
    if (args.schedule === 'linear' && args.steps === undefined)
      throw new UserError('usage', {
        what: 'a linear schedule needs a last update',
        where: '--steps',
        expected: 'the total number of updates',
      });
    if (args.schedule !== 'linear') refuseIdle('a constant learning rate', { '--steps': args.steps });
    refuseIdle('`artifacts write`', {
      '--artifacts': args.artifacts,
      '--checkpoint': args.checkpoint,
    });
    const isPretraining = (args.task ?? 'pretrain') === 'pretrain';
    const summary = await writeArtifacts({
      ...(args.run ? { run: args.run } : {}),
      ...(args.preset ? { preset: args.preset } : {}),
      ...(args.model ? { model: args.model } : {}),
      ...givenModelOptions(args),
      ...(args.task ? { task: args.task } : {}),
      ...(args.classes ? { classes: parseNames(args.classes) } : {}),
      ...(args.channels !== undefined ? { channels: args.channels } : {}),
      ...(args.size ? { size: parseSize(args.size) } : {}),
      ...(args.optimizer ? { optimizer: args.optimizer } : {}),
      ...(args.warmup !== undefined ? { warmup: args.warmup } : {}),
      ...(args.schedule === 'linear' ? { decayTo: args.steps! } : {}),
      ...(args.config ? { file: readConfigFile(args.config) } : {}),
      // As in `pretrain`, an option is above the file.
      config: fromSettings(args.set, isPretraining ? { preset: args.preset } : {}),
      ...(args.overwrite ? { overwrite: true } : {}),
      out: args.out,
    });
    return { text: formatArtifacts(summary), json: summary };
  },
});
