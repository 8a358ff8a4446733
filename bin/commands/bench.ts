import { formatBench, bench as run } from '../../src/bench/bench.js';
import { WORKS, type WorkName } from '../../src/bench/works/index.js';
import { command, configOptions, deviceOption } from '../command.js';

export const bench = command({
  usage: 'bench <work>',
  describe: 'Time this package against others, in turns on this machine',
  positional: (args) =>
    args.positional('work', {
      choices: Object.keys(WORKS),
      demandOption: true,
      describe: 'step: one training step; encoder: features of images',
    }),
  options: {
    work: { choices: Object.keys(WORKS) as WorkName[], demandOption: true, hidden: true },
    preset: { ...configOptions.preset, default: 'tiny' as const },
    batch: { number: true, default: 4, describe: 'samples at once' },
    peer: {
      array: true,
      string: true,
      describe:
        'torch, openvino: the same work there; onnxruntime-plain: ours without faster forms; all by default',
    },
    rounds: { number: true, default: 7, describe: 'times that each does the work' },
    device: { ...deviceOption, default: 'auto' },
    threads: { number: true, default: 0, describe: 'threads of each; 0 is one a core' },
    python: { string: true, default: 'python3', describe: 'interpreter that has the peers’ packages' },
    out: { string: true, describe: 'write a picture, SVG' },
  },
  examples: [
    ['$0 bench step --preset small --batch 4', 'against PyTorch and plain ONNX Runtime'],
    [
      '$0 bench encoder --preset genesis --batch 1',
      'an exported encoder against PyTorch, OpenVINO and itself',
    ],
    ['$0 bench step --peer torch --python ~/venv/bin/python --json', 'numbers for programs'],
  ],
  run: async (args) => {
    const result = await run(
      {
        work: args.work,
        preset: args.preset,
        batch: args.batch,
        ...(args.peer ? { peers: args.peer } : {}),
        rounds: args.rounds,
        threads: args.threads,
        device: args.device,
        python: args.python,
        ...(args.out ? { out: args.out } : {}),
      },
      (line) => process.stderr.write(`${line}\n`),
    );
    return { text: formatBench(result), json: result };
  },
});
