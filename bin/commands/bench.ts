import { formatBench, bench as run } from '../../src/bench/bench.js';
import { benchForms, formatForms } from '../../src/bench/forms.js';
import { WORKS, type WorkName } from '../../src/bench/works/index.js';
import { command, configOptions, deviceOption } from '../command.js';

export const bench = command({
  usage: 'bench <work>',
  describe: 'Time this package against others, in turns on this machine',
  positional: (args) =>
    args.positional('work', {
      choices: [...Object.keys(WORKS), 'forms'],
      demandOption: true,
      describe:
        'step: one training step; encoder: features of images; data: parts cut and enlarged; prepare: scans cut into tiles; forms: every form of a step’s operators, against the plain one',
    }),
  options: {
    work: {
      choices: [...Object.keys(WORKS), 'forms'] as (WorkName | 'forms')[],
      demandOption: true,
      hidden: true,
    },
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
    input: { string: true, array: true, describe: 'scans for prepare; phantoms by default' },
    out: { string: true, describe: 'write a picture, SVG' },
  },
  examples: [
    ['$0 bench step --preset small --batch 4', 'against PyTorch and plain ONNX Runtime'],
    [
      '$0 bench encoder --preset genesis --batch 1',
      'an exported encoder against PyTorch, OpenVINO and itself',
    ],
    ['$0 bench prepare --input scans --python ~/venv/bin/python', 'against nibabel and SimpleITK'],
    ['$0 bench step --peer torch --python ~/venv/bin/python --json', 'numbers for programs'],
    ['$0 bench forms --preset small --batch 2 --rounds 3', 'every way to compute every operator of a step'],
  ],
  run: async (args) => {
    const { preset, batch, rounds, threads } = args;
    if (args.work === 'forms') {
      const result = await benchForms({ preset, batch, rounds, threads });
      return { text: formatForms(result), json: result };
    }
    const result = await run(
      {
        work: args.work,
        preset,
        batch,
        ...(args.peer ? { peers: args.peer } : {}),
        rounds,
        threads,
        device: args.device,
        python: args.python,
        ...(args.input ? { input: args.input } : {}),
        ...(args.out ? { out: args.out } : {}),
      },
      (line) => process.stderr.write(`${line}\n`),
    );
    return { text: formatBench(result), json: result };
  },
});
