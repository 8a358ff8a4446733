import { checkDevice, formatBench, bench as run } from '../../src/bench/bench.js';
import { benchEngines, formatEngines } from '../../src/bench/engines.js';
import { benchForms, formatForms } from '../../src/bench/forms.js';
import { WORKLOADS, type WorkloadName } from '../../src/bench/workloads/index.js';
import { UserError } from '../../src/errors.js';
import { checkThreads } from '../../src/machine.js';
import { command, configOptions, deviceOption } from '../command.js';

const COMPARED = Object.keys(WORKLOADS) as WorkloadName[];
const WORKLOAD_NAMES = [...COMPARED, 'forms', 'engines'] as const;
type AnyWorkload = (typeof WORKLOAD_NAMES)[number];

/** Of training, on every engine. */
const STEPS = 50;

/** Options that mean something to some workloads only. */
const OPTIONS_OF: Readonly<Record<string, readonly AnyWorkload[]>> = {
  baseline: COMPARED,
  out: COMPARED,
  input: ['prepare', 'dicom'],
  set: ['engines'],
  steps: ['engines'],
  browser: ['engines'],
};

/** @throws UserError for an option that the workload would not heed */
function checkOptions(workload: AnyWorkload, args: Readonly<Record<string, unknown>>): void {
  checkDevice(workload, args.device as string);
  for (const [option, workloads] of Object.entries(OPTIONS_OF)) {
    const isGiven = args[option] !== undefined && String(args[option]) !== '';
    if (isGiven && !workloads.includes(workload))
      throw new UserError('usage', {
        what: `this is an option of bench ${workloads.join(', ')} only`,
        where: `--${option}`,
        got: `${args[option]} for ${workload}`,
      });
  }
}

const BASELINES = Object.entries(WORKLOADS)
  .map(([name, { baselines }]) => `${name} (${baselines.join(', ')})`)
  .join(', ');

export default command({
  positionals: {
    workload: {
      choices: WORKLOAD_NAMES,
      demandOption: true,
      describe:
        'step: one training step; encoder: features of images; data: cropping and resizing parts; prepare: cutting scans into tiles; dicom: reading DICOM series; forms: every form of a step’s operators, compared with the plain one; engines: the same steps on every ONNX Runtime, in Node.js and in Chromium',
    },
  },
  options: {
    preset: {
      ...configOptions.preset,
      describe: 'base configuration; default tiny, or an even smaller network for engines',
    },
    batch: { number: true, default: 4, describe: 'batch size' },
    baseline: {
      array: true,
      string: true,
      describe: `what to compare with, by default all: ${BASELINES}; onnxruntime-plain is ours without faster forms`,
    },
    rounds: { number: true, default: 7, describe: 'number of repetitions for each' },
    device: { ...deviceOption, default: 'auto' },
    threads: { number: true, default: 0, describe: 'threads for each; 0 means one per core' },
    steps: { number: true, defaultDescription: `${STEPS}`, describe: 'engines: number of training steps' },
    browser: { string: true, describe: 'engines: Chromium executable; by default the one on the PATH' },
    set: configOptions.set,
    python: { string: true, default: 'python3', describe: 'Python interpreter with the baselines’ packages' },
    input: {
      string: true,
      array: true,
      describe: 'scans for prepare, phantoms by default; folders of one series each for dicom',
    },
    out: { string: true, describe: 'write a bar chart to this SVG file' },
  },
  examples: [
    ['$0 bench step --preset small --batch 4', 'compared with PyTorch and plain ONNX Runtime'],
    [
      '$0 bench encoder --preset genesis --batch 1',
      'an exported encoder compared with PyTorch, OpenVINO and its plain form',
    ],
    ['$0 bench prepare --input scans --python ~/venv/bin/python', 'compared with nibabel and SimpleITK'],
    ['$0 bench dicom --input series --python ~/venv/bin/python', 'compared with SimpleITK'],
    ['$0 bench step --baseline torch --python ~/venv/bin/python --json', 'machine-readable output'],
    ['$0 bench engines', 'do all runtimes give the same results, and how fast?'],
    ['$0 bench forms --preset small --batch 2 --rounds 3', 'every way to compute every operator of a step'],
  ],
  run: async (args, reporter) => {
    const { batch, rounds, threads } = args;
    checkThreads('threads', threads, 0);
    checkOptions(args.workload, args);
    const preset = args.preset ?? 'tiny';
    if (args.workload === 'forms') {
      const result = await benchForms({ preset, batch, rounds, threads, reporter });
      return { text: formatForms(result), json: result };
    }
    if (args.workload === 'engines') {
      const { set: settings, steps = STEPS, browser } = args;
      const result = await benchEngines(
        {
          ...(args.preset ? { preset } : {}),
          ...{ settings, batch, steps, threads },
          ...(browser ? { browser } : {}),
        },
        reporter.log,
      );
      return { text: formatEngines(result), json: result };
    }
    const result = await run(
      {
        workload: args.workload,
        preset,
        batch,
        ...(args.baseline ? { baselines: args.baseline } : {}),
        rounds,
        threads,
        device: args.device,
        python: args.python,
        ...(args.input ? { input: args.input } : {}),
        ...(args.out ? { out: args.out } : {}),
      },
      reporter.log,
    );
    return { text: formatBench(result), json: result };
  },
});
