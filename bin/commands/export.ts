import { exportModel } from '../../src/commands/export.js';
import { formatPrecision } from '../../src/commands/export-precision.js';
import { exportTarget } from '../../src/commands/export-target.js';
import { refuseIdle } from '../../src/errors.js';
import { PRECISIONS } from '../../src/inference/precision.js';
import { type CheckpointName, parseCheckpoint } from '../../src/runs/checkpoint.js';
import { isFinetuneRun } from '../../src/runs/run.js';
import { command } from '../command.js';

/** A note on a network that was not trained, which may be unexpected. */
function asItBegan(step: number, checkpoint: CheckpointName): string[] {
  if (step > 0) return [];
  const reason = checkpoint === 'best' ? ': no validation has been better yet' : '';
  return [`this is the network as it began, before its first step${reason}`];
}

export default command({
  options: {
    run: { string: true, demandOption: true, describe: 'run folder' },
    checkpoint: { string: true, default: 'best', describe: 'best, last, or the step of a saved checkpoint' },
    what: {
      choices: ['encoder', 'autoencoder'] as const,
      describe:
        'what to export from a pre-training run, by default the encoder; a fine-tuning run exports its classifier or segmenter',
    },
    'input-type': {
      choices: ['float32', 'int16'] as const,
      describe: 'element type of the input; default float32, or for a fine-tuning run that of its samples',
    },
    precision: {
      choices: PRECISIONS,
      default: 'float32' as const,
      describe:
        'what feature maps and weights are; float16-weights only stores kernels in float16; all are compared with float32 on --data',
    },
    data: {
      string: true,
      describe:
        'tile or sample store with real images, for every precision but float32 (int8 takes its ranges from them)',
    },
    'max-error': {
      number: true,
      describe:
        'largest relative RMS difference to the outputs of float32; default 0.1 for int8, 0.01 for the others',
    },
    triton: { string: true, describe: 'folder of a Triton model repository: the model goes there as well' },
    license: { string: true, describe: 'licence of the weights, for the metadata and the model card' },
    out: { string: true, demandOption: true, describe: 'output folder' },
    overwrite: { boolean: true, default: false, describe: 'replace the export of another run in --out' },
  },
  examples: [
    ['$0 export --run runs/first --out encoder', 'encoder.onnx, weights.safetensors, model-card.md'],
    ['$0 export --run runs/target/trial-01 --out classifier', 'a fine-tuned network'],
    ['$0 export --run runs/first --precision int8 --data tiles --out encoder-int8', 'a quarter of the size'],
  ],
  run: async (args) => {
    const options = {
      run: args.run,
      checkpoint: parseCheckpoint(args.checkpoint),
      ...(args['input-type'] ? { inputType: args['input-type'] } : {}),
      out: args.out,
      overwrite: args.overwrite,
      precision: args.precision,
      ...(args.data ? { data: args.data } : {}),
      ...(args['max-error'] === undefined ? {} : { maxError: args['max-error'] }),
      ...(args.triton ? { triton: args.triton } : {}),
      ...(args.license ? { license: args.license } : {}),
    };
    if (isFinetuneRun(args.run)) {
      refuseIdle('a fine-tuning run, which has one thing to export', { '--what': args.what });
      const target = await exportTarget(options);
      const text = [
        `wrote ${target.model}, ${target.weights} and ${target.card} from step ${target.step}`,
        ...asItBegan(target.step, options.checkpoint),
        `checked: probabilities within ${target.error.toExponential(1)} (relative) of the training network's`,
        ...(target.triton ? [`Triton: ${target.triton}`] : []),
        ...(target.precision ? [formatPrecision(target.precision)] : []),
      ].join('\n');
      return { text, json: target };
    }
    const summary = await exportModel({ ...options, ...(args.what ? { what: args.what } : {}) });
    const text = [
      `wrote ${summary.model}, ${summary.weights} and ${summary.card} from step ${summary.step}`,
      ...asItBegan(summary.step, options.checkpoint),
      `checked: features within ${summary.featureError.toExponential(1)} (relative) of the training network's`,
      ...(summary.triton ? [`Triton: ${summary.triton}`] : []),
      ...(summary.precision ? [formatPrecision(summary.precision)] : []),
    ].join('\n');
    return { text, json: summary };
  },
});
