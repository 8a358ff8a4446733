import { formatExperiment, runExperiment } from '../../src/experiments/experiment.js';
import { EXPERIMENTS } from '../../src/experiments/schema.js';
import { command, onInterrupt } from '../command.js';

export default command({
  positionals: {
    name: { choices: EXPERIMENTS, demandOption: true, describe: 'table or figure of the paper' },
  },
  options: {
    config: {
      string: true,
      demandOption: true,
      describe: 'JSON: tiles, targets, trials; see docs/experiments.md',
    },
    out: {
      string: true,
      demandOption: true,
      describe: 'folder for all runs; finished jobs in it are not repeated',
    },
    processes: { number: true, default: 1, describe: 'training runs at the same time' },
  },
  examples: [
    ['$0 experiment table1 --config study.json --out study', 'random, Models Genesis and Parts2Whole'],
    ['$0 experiment fig3 --config study.json --out along --processes 2', '26 checkpoints, each fine-tuned'],
  ],
  run: async (args, reporter) => {
    const { name, config, out, processes } = args;
    const result = await runExperiment({
      ...{ name, config, out, processes, reporter },
      interrupted: onInterrupt(reporter),
    });
    if (!result)
      return {
        text: 'interrupted; run the same command again to continue',
        json: { name, interrupted: true },
        exitCode: 130,
      };
    return { text: formatExperiment(result), json: result };
  },
});
