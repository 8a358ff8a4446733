import { formatAverage, average as run } from '../../src/commands/average.js';
import { UserError } from '../../src/errors.js';
import { parseCheckpoint } from '../../src/runs/checkpoint.js';
import { command } from '../command.js';
import { parseNames } from '../values.js';

/** `120,80` as numbers. @throws UserError when one is none */
function parseWeights(text: string): number[] {
  return parseNames(text).map((part) => {
    const weight = part === '' ? Number.NaN : Number(part);
    if (!Number.isNaN(weight)) return weight;
    throw new UserError('usage', {
      what: 'weights must be numbers separated by commas',
      where: '--weights',
      got: text,
      expected: 'for example 120,80',
    });
  });
}

export default command({
  positionals: {
    runs: { type: 'string', array: true, demandOption: true, describe: 'run folders' },
  },
  options: {
    checkpoint: { string: true, default: 'last', describe: 'checkpoint of each run: last, best or a step' },
    weights: {
      string: true,
      describe: 'weight of each run, for example 120,80; by default its number of training samples',
    },
    out: { string: true, demandOption: true, describe: 'folder of the new run' },
  },
  examples: [
    ['$0 average runs/north runs/south --out runs/round-1', 'weighted by the number of training samples'],
    ['$0 average runs/north runs/south --weights 1,1 --out runs/mean', 'equally weighted'],
    ['$0 average runs/north --out sent/north', 'the weights of one run, without the optimiser’s state'],
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
