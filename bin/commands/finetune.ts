import { finetune as run } from '../../src/commands/finetune.js';
import { formatFinetune } from '../../src/commands/finetune-summary.js';
import { readConfigFile } from '../../src/config/file.js';
import type { FinetuneConfig } from '../../src/config/finetuning.js';
import type { DeepPartial } from '../../src/config/layers.js';
import { fromSettings } from '../../src/config/settings.js';
import { TASK_NAMES } from '../../src/data/adapters/index.js';
import { refuseIdle } from '../../src/errors.js';
import { isOnnxFile } from '../../src/onnx-file.js';
import { command, onInterrupt } from '../command.js';
import {
  configOptions,
  deviceOption,
  engineOption,
  memoryOption,
  precisionOption,
  taskOption,
} from '../options.js';
import { distributedOption, onRanks } from '../ranks.js';
import { parseNames, parseRange } from '../values.js';

/** Settings of an ONNX model that is trained; none where there are none. */
function modelOf({
  head,
  output,
  freeze,
  'input-range': range,
}: {
  head?: 'replace' | 'keep';
  output?: string;
  freeze?: string;
  'input-range'?: string;
}) {
  const model = {
    ...(range && { inputRange: parseRange('--input-range', range) }),
    ...(head && { head }),
    ...(output && { output }),
    ...(freeze && { freeze: parseNames(freeze) }),
  };
  return Object.keys(model).length > 0 ? { model } : {};
}

type Asked = DeepPartial<FinetuneConfig>;

/** @throws UserError for options that do nothing where weights are random, or all of a model */
function refuseIdleLoading(
  args: { init?: string; checkpoint?: string; load?: string; partial?: boolean },
  layers: readonly Asked[],
): void {
  const from = [args.init, ...layers.map(({ init }) => init?.from)].find(Boolean) ?? 'random';
  const loading = { '--checkpoint': args.checkpoint, '--load': args.load, '--partial': args.partial };
  if (from === 'random') refuseIdle('random weights, of which nothing is loaded', loading);
  if (isOnnxFile(from))
    refuseIdle('an ONNX model, whose network is its own', {
      ...loading,
      '--set network': layers[0]?.network,
    });
}

export default command({
  options: {
    data: { string: true, demandOption: true, describe: 'sample store from `p2w prepare --task`' },
    out: { string: true, demandOption: true, describe: 'folder for the trials' },
    task: taskOption(TASK_NAMES, 'check that the samples belong to this task'),
    init: {
      string: true,
      describe:
        'initial weights: random (default), chest, which comes with p2w, a run folder, .safetensors, .npz, or any .onnx model, which is trained itself',
    },
    checkpoint: { string: true, describe: 'checkpoint of the run in --init: best (default), last or a step' },
    load: {
      string: true,
      describe:
        'what to load: encoder (default); encoder,decoder, for segmentation with --set network.skip=false, as in pre-training; of a fine-tuning run also its classifier, or head',
    },
    partial: { boolean: true, describe: 'load what fits and leave the rest as initialised' },
    freeze: {
      string: true,
      bare: true,
      describe:
        'do not train the encoder; with names of weights of an .onnx model, in which * stands for any characters, such as stem*,layer1*, not these',
    },
    head: {
      choices: ['replace', 'keep'] as const,
      describe: 'of an .onnx model: new layers in place of its last one (default), or its own output',
    },
    output: {
      string: true,
      describe:
        'of an .onnx model: the output, or value inside it, that new layers are put on or that is kept',
    },
    'input-range': {
      string: true,
      describe:
        'of an .onnx model: what the ends of the samples’ window become in its input, such as -1,1; default 0,1',
    },
    'linear-probe': {
      boolean: true,
      default: false,
      describe: 'classification: train one linear layer on a frozen encoder',
    },
    balance: {
      choices: ['none', 'weights', 'sampling'] as const,
      describe: 'for imbalanced classes: weights in the loss, or equal sampling of the classes',
    },
    fraction: {
      number: true,
      describe:
        'fraction of the training samples to use; a patient’s samples are used together or not at all',
    },
    patients: { number: true, describe: 'number of training patients to use, instead of a fraction' },
    trials: { number: true, default: 1, describe: 'number of training runs, each with the next seed' },
    config: configOptions.config,
    set: configOptions.set,
    steps: { number: true, describe: 'maximum number of steps' },
    batch: { number: true, describe: 'batch size' },
    device: deviceOption,
    engine: engineOption,
    precision: precisionOption,
    memory: memoryOption,
    threads: { number: true, describe: 'threads of ONNX Runtime; 0 means one per core' },
    seed: {
      number: true,
      describe: 'seed of the first trial, for weights, order and the choice of patients; default 1',
    },
    resume: { boolean: true, default: false, describe: 'resume the trials in --out' },
    distributed: distributedOption,
  },
  examples: [
    ['$0 finetune --data samples --init chest --out runs/target', 'from the encoder that comes with p2w'],
    ['$0 finetune --data samples --init runs/first --out runs/target', 'from a pre-training run'],
    ['$0 finetune --data samples --out runs/random --trials 10', 'ten runs from random weights'],
    [
      '$0 finetune --data samples --init runs/first --linear-probe --out runs/probe',
      'measure the quality of the features',
    ],
    ['$0 finetune --data samples --init resnet.onnx --out runs/resnet', 'train all of any ONNX model'],
  ],
  run: (args, asked) =>
    onRanks(args.distributed, asked, async (ranks, reporter) => {
      const file = args.config ? readConfigFile(args.config) : undefined;
      refuseIdleLoading(args, [fromSettings<Asked>(args.set), { ...file?.contents }]);
      const summary = await run({
        reporter,
        ranks,
        data: args.data,
        out: args.out,
        ...(args.task ? { task: args.task } : {}),
        ...(args.init ? { init: args.init } : {}),
        ...(file && { file }),
        config: fromSettings(args.set, {
          init: {
            checkpoint: args.checkpoint,
            parts: args.load?.split(',') as FinetuneConfig['init']['parts'] | undefined,
            partial: args.partial,
          },
          frozenEncoder: args.freeze === '' ? true : undefined,
          ...modelOf(args),
          balance: args.balance,
          fraction: args.fraction,
          patients: args.patients,
          steps: args.steps,
          batch: args.batch,
          device: args.device,
          engine: args.engine,
          precision: args.precision,
          memory: args.memory,
          threads: args.threads,
        }),
        linearProbe: args['linear-probe'],
        trials: args.trials,
        ...(args.seed === undefined ? {} : { seed: args.seed }),
        resume: args.resume,
        interrupted: onInterrupt(reporter),
      });
      return { text: formatFinetune(summary), json: summary, exitCode: summary.interrupted ? 130 : 0 };
    }),
});
