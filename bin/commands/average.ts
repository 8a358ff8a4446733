import { formatAverage, average as run } from '../../src/commands/average.js';
import { UserError } from '../../src/errors.js';
import { parseCheckpoint } from '../../src/runs/checkpoint.js';
import { command, parseNames } from '../command.js';

/** `120,80` as numbers. @throws UserError when one is none */
function parseWeights(text: string): number[] {
  return parseNames(text).map((part) => {
    const weight = part === '' ? Number.NaN : Number(part);
    if (!Number.isNaN(weight)) return weight;
    throw new UserError('usage', {
      what: 'weights are numbers, with commas between them',
      where: '--weights',
      got: text,
      expected: 'such as 120,80',
    });
  });
}

export default command({
  positionals: {
    runs: { type: 'string', array: true, demandOption: true, describe: 'folders of runs' },
  },
  options: {
    checkpoint: { string: true, default: 'last', describe: 'of each run: last, best, or a step' },
    weights: {
      string: true,
      describe: 'how much each run counts, such as 120,80; by default its training samples',
    },
    out: { string: true, demandOption: true, describe: 'folder of the run that is made' },
  },
  examples: [
    ['$0 average runs/north runs/south --out runs/round-1', 'by the number of training samples'],
    ['$0 average runs/north runs/south --weights 1,1 --out runs/mean', 'both alike'],
  ],
  run: async (args) => {
    const summary = await run({
      runs: args.runs,
      out: args.out,
      checkpoint: parseCheckpoint(args.checkpoint),
      ...(args.weights === undefined ? {} : { weights: parseWeights(args.weights) }),
    });
    return { text: formatAverage(summary), json: summary };
  },
});
