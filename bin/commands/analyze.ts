import { formatAnalyze, analyze as run } from '../../src/commands/analyze.js';
import { UserError } from '../../src/errors.js';
import { command } from '../command.js';
import { deviceOption } from '../options.js';

export default command({
  options: {
    model: {
      string: true,
      array: true,
      demandOption: true,
      describe: 'ONNX encoders, such as those from `p2w export`, or chest, which comes with p2w',
    },
    name: {
      string: true,
      array: true,
      default: [] as string[],
      describe: 'name of each encoder; by default the name of its folder',
    },
    data: {
      string: true,
      demandOption: true,
      describe: 'tile store; its validation wholes (full images) are analysed',
    },
    out: { string: true, demandOption: true, describe: 'folder for the results' },
    wholes: { number: true, default: 10, describe: 'number of wholes in the maps' },
    parts: { number: true, default: 200, describe: 'parts (crops) of each' },
    'pair-wholes': { number: true, default: 64, describe: 'maximum number of wholes to draw pairs from' },
    'pair-parts': { number: true, default: 24, describe: 'parts of each of these' },
    seed: { number: true, default: 1, describe: 'seed for choosing wholes and parts' },
    threads: { number: true, describe: 'threads of ONNX Runtime; 0 means one per core' },
    device: deviceOption,
  },
  examples: [
    [
      '$0 analyze --model encoder/encoder.onnx --data tiles --out analysis',
      'analysis.html, .json, .csv, maps',
    ],
    ['$0 analyze --model a/encoder.onnx b/encoder.onnx --data tiles --out both', 'side by side'],
  ],
  run: async (args, reporter) => {
    if (args.name.length > 0 && args.name.length !== args.model.length)
      throw new UserError('usage', {
        what: 'each model needs a name',
        where: '--name',
        got: `${args.name.length} for ${args.model.length}`,
      });
    const summary = await run({
      reporter,
      models: args.model.map((path, i) => ({ path, ...(args.name[i] ? { name: args.name[i] } : {}) })),
      data: args.data,
      out: args.out,
      wholes: args.wholes,
      parts: args.parts,
      pairWholes: args['pair-wholes'],
      pairParts: args['pair-parts'],
      seed: args.seed,
      ...(args.threads === undefined ? {} : { threads: args.threads }),
      ...(args.device ? { device: args.device } : {}),
    });
    return { text: formatAnalyze(summary), json: summary };
  },
});
