import { exportModel } from '../../src/tasks/export.js';
import { parseCheckpoint } from '../../src/train/checkpoint.js';
import { command } from '../command.js';

export const exportCommand = command({
  usage: 'export',
  describe: 'Write a trained encoder as a portable ONNX model that takes HU',
  options: {
    run: { string: true, demandOption: true, describe: 'folder of a run' },
    checkpoint: { string: true, default: 'best', describe: 'best, last, or the step of a kept checkpoint' },
    what: {
      choices: ['encoder', 'autoencoder'] as const,
      default: 'encoder' as const,
      describe: 'what to export',
    },
    'input-type': {
      choices: ['float32', 'int16'] as const,
      default: 'float32' as const,
      describe: 'element type of the HU',
    },
    license: { string: true, describe: 'licence of the weights, for metadata and model card' },
    out: { string: true, demandOption: true, describe: 'folder to write into' },
  },
  examples: [
    ['$0 export --run runs/first --out encoder', 'encoder.onnx, weights.safetensors, model-card.md'],
  ],
  run: async (args) => {
    const summary = await exportModel({
      run: args.run,
      checkpoint: parseCheckpoint(args.checkpoint),
      what: args.what,
      inputType: args['input-type'],
      out: args.out,
      ...(args.license ? { license: args.license } : {}),
    });
    const text = [
      `wrote ${summary.model}, ${summary.weights} and ${summary.card} from step ${summary.step}`,
      ...(summary.step === 0
        ? ['this is the untrained network: no validation was better than its own yet']
        : []),
      `checked: features within ${summary.featureError.toExponential(1)} (relative) of the training network's`,
    ].join('\n');
    return { text, json: summary };
  },
});
