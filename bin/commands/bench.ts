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
  input: ['prepare'],
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
        'step: one training step; encoder: features of images; data: parts cut and enlarged; prepare: scans cut into tiles; forms: every form of a step’s operators, against the plain one; engines: the same steps on every ONNX Runtime, in Node.js and in Chromium',
    },
  },
  options: {
    preset: {
      ...configOptions.preset,
      describe: 'starting point; tiny by default, and a still smaller network for engines',
    },
    batch: { number: true, default: 4, describe: 'samples at once' },
    baseline: {
      array: true,
      string: true,
      describe: `what to compare with, all by default: ${BASELINES}; onnxruntime-plain is ours without faster forms`,
    },
    rounds: { number: true, default: 7, describe: 'times that each runner does the job' },
    device: { ...deviceOption, default: 'auto' },
    threads: { number: true, default: 0, describe: 'threads of each runner; 0 is one a core' },
    steps: { number: true, defaultDescription: `${STEPS}`, describe: 'engines: steps of training' },
    browser: { string: true, describe: 'engines: a Chromium; by default one on the PATH' },
    set: configOptions.set,
    python: { string: true, default: 'python3', describe: 'interpreter that has the baselines’ packages' },
    input: { string: true, array: true, describe: 'scans for prepare; phantoms by default' },
    out: { string: true, describe: 'write a bar chart, SVG' },
  },
  examples: [
    ['$0 bench step --preset small --batch 4', 'against PyTorch and plain ONNX Runtime'],
    [
      '$0 bench encoder --preset genesis --batch 1',
      'an exported encoder against PyTorch, OpenVINO and itself',
    ],
    ['$0 bench prepare --input scans --python ~/venv/bin/python', 'against nibabel and SimpleITK'],
    ['$0 bench step --baseline torch --python ~/venv/bin/python --json', 'numbers for programs'],
    ['$0 bench engines', 'do all runtimes compute the same, and how fast?'],
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
