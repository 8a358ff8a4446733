import { refuseIdle } from '../../src/errors.js';
import { formatExperiment, runExperiment, runExperimentShard } from '../../src/experiments/experiment.js';
import { EXPERIMENTS } from '../../src/experiments/schema.js';
import { command, onInterrupt } from '../command.js';
import { shardOption } from '../options.js';
import { distributedOption, onRanks } from '../ranks.js';

const INTERRUPTED = 130;

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
    shard: {
      ...shardOption,
      describe:
        'do only part i of N of the jobs, as i/N, in a folder that all parts share; the command without it, run last, writes the results',
    },
    distributed: {
      ...distributedOption,
      describe: 'divide the jobs among the processes that mpirun or srun has started',
    },
  },
  examples: [
    ['$0 experiment table1 --config study.json --out study', 'random, Models Genesis and Parts2Whole'],
    ['$0 experiment fig3 --config study.json --out along --processes 2', '26 checkpoints, each fine-tuned'],
    [
      'mpirun -n 4 $0 experiment table1 --config study.json --out study --distributed mpi',
      'the jobs divided among four processes',
    ],
  ],
  run: (args, asked) => {
    const { name, config, out, processes, shard } = args;
    if (args.distributed) refuseIdle('--distributed', { '--shard': shard });
    return onRanks(args.distributed, asked, async (ranks, reporter) => {
      const options = { name, config, out, processes, ranks, reporter, interrupted: onInterrupt(reporter) };
      const interrupted = {
        text: 'interrupted; run the same command again to continue',
        json: { name, interrupted: true },
        exitCode: INTERRUPTED,
      };
      if (shard) {
        const part = await runExperimentShard(options, shard);
        if (!part) return interrupted;
        const { done, jobs } = part;
        const text = `shard ${shard.index} of ${shard.count}: done; when all shards are, run the command without --shard`;
        return { text, json: { name, done, jobs } };
      }
      const result = await runExperiment(options);
      return result ? { text: formatExperiment(result), json: result } : interrupted;
    });
  },
});
