import { pretrain as run } from '../../src/commands/pretrain.js';
import { formatPretrain } from '../../src/commands/pretrain-summary.js';
import { readConfigFile } from '../../src/config/file.js';
import { fromSettings } from '../../src/config/settings.js';
import { refuseIdle } from '../../src/errors.js';
import { command, onInterrupt } from '../command.js';
import { configOptions, deviceOption, engineOption, memoryOption, precisionOption } from '../options.js';
import { distributedOption, onRanks } from '../ranks.js';

export default command({
  options: {
    data: {
      string: true,
      describe: 'tile store from `p2w prepare`; with --resume that of the run, if it is still there',
    },
    out: { string: true, demandOption: true, describe: 'run folder' },
    init: {
      string: true,
      describe:
        'initial weights: a run with the same network, .safetensors, .npz, or chest, which comes with p2w; random by default',
    },
    ...configOptions,
    steps: { number: true, describe: 'maximum number of steps' },
    device: deviceOption,
    engine: engineOption,
    precision: precisionOption,
    memory: memoryOption,
    threads: { number: true, describe: 'threads of ONNX Runtime; 0 means one per core' },
    seed: { number: true, describe: 'seed for weights, order, parts and corruptions' },
    intensity: {
      number: true,
      describe: 'beyond the paper: strength of intensity augmentation of the parts, for example 0.2',
    },
    'contrastive-weight': {
      number: true,
      describe:
        'beyond the paper: weight of a contrastive term added to the reconstruction loss, for example 0.01',
    },
    forms: {
      choices: ['auto', 'tuned', 'fast', 'plain'] as const,
      describe:
        'how operators are computed: tuned measures on this machine, fast uses the usually fastest forms, plain the definitions; auto tunes before long runs',
    },
    resume: { boolean: true, default: false, describe: 'resume the run in --out' },
    distributed: distributedOption,
    'sync-norm': {
      boolean: true,
      default: false,
      describe: 'with --distributed: normalise over the samples of all processes, as one process would',
    },
  },
  examples: [
    ['$0 pretrain --data tiles --out runs/first --preset tiny', 'the smallest network, 1,000 steps'],
    ['$0 pretrain --data tiles --out runs/genesis --proxy genesis', 'Models Genesis instead of Parts2Whole'],
    ['$0 pretrain --out runs/first --resume', 'resume after Ctrl-C, a kill or a power cut'],
    ['$0 pretrain --data tiles --init runs/first --out runs/second', 'from the weights of another run'],
    ['mpirun -n 4 $0 pretrain --data tiles --out runs/first --distributed mpi', 'in four processes'],
    ['$0 pretrain --data tiles --out runs/paper --preset paper --set batch=1', 'the paper’s network'],
  ],
  run: (args, asked) => {
    if (!args.distributed) refuseIdle('a single process', { '--sync-norm': args['sync-norm'] || undefined });
    return onRanks(args.distributed, asked, async (ranks, reporter) => {
      const summary = await run({
        reporter,
        ranks,
        syncNorm: args['sync-norm'],
        ...(args.data ? { data: args.data } : {}),
        out: args.out,
        ...(args.config ? { file: readConfigFile(args.config) } : {}),
        config: fromSettings(args.set, {
          preset: args.preset,
          proxy: args.proxy,
          init: args.init,
          steps: args.steps,
          device: args.device,
          engine: args.engine,
          precision: args.precision,
          memory: args.memory,
          threads: args.threads,
          seed: args.seed,
          intensity: args.intensity,
          contrastive: { weight: args['contrastive-weight'] },
          forms: args.forms,
        }),
        resume: args.resume,
        interrupted: onInterrupt(reporter),
      });
      return {
        text: formatPretrain(summary),
        json: summary,
        exitCode: summary.ending === 'interrupted' ? 130 : 0,
      };
    });
  },
});
