import { finetune as run } from '../../src/commands/finetune.js';
import { formatFinetune } from '../../src/commands/finetune-summary.js';
import { readConfigFile } from '../../src/config/file.js';
import type { FinetuneConfig } from '../../src/config/finetuning.js';
import { fromSettings } from '../../src/config/settings.js';
import { TASK_NAMES } from '../../src/data/adapters/index.js';
import { command, configOptions, deviceOption, engineOption, onInterrupt, taskOption } from '../command.js';

export default command({
  options: {
    data: { string: true, demandOption: true, describe: 'samples that `p2w prepare --task` made' },
    out: { string: true, demandOption: true, describe: 'folder of the trials' },
    task: taskOption(TASK_NAMES, 'the task that the samples must be of'),
    init: {
      string: true,
      describe:
        'where weights come from: random (default), the folder of a run, .safetensors, .npz, or an .onnx encoder, frozen',
    },
    checkpoint: { string: true, describe: 'of the run in --init: best (default), last or a step' },
    load: {
      string: true,
      describe: 'parts to load: encoder (default), or encoder,decoder for segmentation',
    },
    partial: { boolean: true, describe: 'load what fits, and leave the rest as it is' },
    freeze: { boolean: true, describe: 'the encoder stays as it was loaded' },
    'linear-probe': {
      boolean: true,
      default: false,
      describe: 'a frozen encoder and one linear layer',
    },
    balance: {
      choices: ['none', 'weights', 'sampling'] as const,
      describe: 'for classes of different size: weights in the loss, or as many samples of each',
    },
    fraction: {
      number: true,
      describe: 'share of the training samples to use, all of a patient’s samples or none',
    },
    trials: { number: true, default: 1, describe: 'how often to train, each time with the next seed' },
    config: configOptions.config,
    set: configOptions.set,
    steps: { number: true, describe: 'steps at most' },
    batch: { number: true, describe: 'samples a step' },
    device: deviceOption,
    engine: engineOption,
    threads: { number: true, describe: 'threads of ONNX Runtime; 0 is one a core' },
    seed: { number: true, describe: 'of the first trial: of weights, order and --fraction; 1' },
    resume: { boolean: true, default: false, describe: 'go on with the trials that are in --out' },
  },
  examples: [
    ['$0 finetune --data samples --init runs/first --out runs/target', 'from a pre-training run'],
    ['$0 finetune --data samples --out runs/random --trials 10', 'ten times from random weights'],
    [
      '$0 finetune --data samples --init runs/first --linear-probe --out runs/probe',
      'how good are the features',
    ],
  ],
  run: async (args, reporter) => {
    const summary = await run({
      reporter,
      data: args.data,
      out: args.out,
      ...(args.task ? { task: args.task } : {}),
      ...(args.init ? { init: args.init } : {}),
      ...(args.config ? { file: readConfigFile(args.config) } : {}),
      config: fromSettings(args.set, {
        init: {
          checkpoint: args.checkpoint,
          parts: args.load?.split(',') as FinetuneConfig['init']['parts'] | undefined,
          partial: args.partial,
        },
        frozenEncoder: args['linear-probe'] || args.freeze,
        ...(args['linear-probe'] ? { hidden: null } : {}),
        balance: args.balance,
        fraction: args.fraction,
        steps: args.steps,
        batch: args.batch,
        device: args.device,
        engine: args.engine,
        threads: args.threads,
      }),
      trials: args.trials,
      ...(args.seed === undefined ? {} : { seed: args.seed }),
      resume: args.resume,
      interrupted: onInterrupt(),
    });
    return { text: formatFinetune(summary), json: summary, exitCode: summary.interrupted ? 130 : 0 };
  },
});
