import { checkDevice, formatBench, bench as run } from '../../src/bench/bench.js';
import { checkBrowser } from '../../src/bench/engines/browser.js';
import { benchEngines, formatEngines } from '../../src/bench/engines.js';
import { benchForms, formatForms } from '../../src/bench/forms.js';
import { benchLimit, formatLimit } from '../../src/bench/limit.js';
import { writeRuntimes } from '../../src/bench/runtimes/files.js';
import { formatRuntimes } from '../../src/bench/runtimes/format.js';
import { parseSizes } from '../../src/bench/runtimes/signature.js';
import { benchRuntimes } from '../../src/bench/runtimes.js';
import { WORKLOADS, type WorkloadName } from '../../src/bench/workloads/index.js';
import { USUAL_BATCH } from '../../src/bench/workloads/workload.js';
import { UserError } from '../../src/errors.js';
import { makeFolder } from '../../src/files.js';
import { checkThreads } from '../../src/machine.js';
import { command } from '../command.js';
import { configOptions, deviceOption } from '../options.js';

const COMPARED = Object.keys(WORKLOADS) as WorkloadName[];
const WORKLOAD_NAMES = [...COMPARED, 'forms', 'limit', 'engines', 'runtimes'] as const;
type AnyWorkload = (typeof WORKLOAD_NAMES)[number];

/** Of training, on every engine. */
const STEPS = 50;

/** Of a workload that is compared with baselines; of a model on a runtime, whose percentiles are wanted. */
const ROUNDS = 7;
const RUNTIME_ROUNDS = 50;

/** Where nothing else is said. */
const PYTHON = 'python3';

/** Whose steps and encoders are held against the machine. */
const LIMIT_PRESETS = ['tiny', 'small', 'genesis'] as const;

const except = (...others: AnyWorkload[]) => WORKLOAD_NAMES.filter((name) => !others.includes(name));

/** Options that mean something to some workloads only. */
const OPTIONS_OF: Readonly<Record<string, readonly AnyWorkload[]>> = {
  preset: except('prepare', 'dicom'),
  batch: except('data', 'prepare', 'dicom'),
  rounds: except('engines'),
  // Parts are cut on one thread, and as many decode DICOM as there are cores, up to eight.
  threads: except('data', 'dicom'),
  baseline: COMPARED,
  python: COMPARED,
  out: [...COMPARED, 'runtimes'],
  input: ['prepare', 'segment', 'dicom'],
  set: ['step', 'engines'],
  proxy: ['step'],
  task: ['step'],
  steps: ['engines'],
  browser: ['engines', 'runtimes'],
  model: ['runtimes'],
  mode: ['runtimes'],
  sizes: ['runtimes'],
  growth: ['limit'],
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
        'step: one training step; encoder: features of images; data: cropping and resizing parts; prepare: cutting scans into tiles; segment: a scan by sliding windows; dicom: reading series; forms: every form of a step’s operators, compared with the plain one; limit: how near steps and encoders come to what this machine can do; engines: the same steps on every ONNX Runtime, in Node.js and in Chromium; runtimes: any model on every ONNX Runtime',
    },
  },
  options: {
    preset: {
      ...configOptions.preset,
      describe:
        'base configuration; default tiny; for limit tiny, small and genesis; for engines an even smaller network',
    },
    batch: { number: true, defaultDescription: `${USUAL_BATCH}`, describe: 'batch size' },
    baseline: {
      array: true,
      string: true,
      describe: `what to compare with, by default all: ${BASELINES}; onnxruntime-plain is ours without faster forms`,
    },
    rounds: {
      number: true,
      defaultDescription: `${ROUNDS}, for runtimes ${RUNTIME_ROUNDS}`,
      describe: 'number of repetitions for each',
    },
    device: { ...deviceOption, default: 'auto' },
    threads: {
      number: true,
      defaultDescription: '0',
      describe: 'threads for each; 0 means one per core',
    },
    steps: { number: true, defaultDescription: `${STEPS}`, describe: 'engines: number of training steps' },
    browser: {
      string: true,
      describe: 'engines, runtimes: Chromium executable; by default the one on the PATH',
    },
    model: { string: true, describe: 'runtimes: any ONNX model in one file, instead of --preset' },
    mode: {
      choices: ['inference', 'training'] as const,
      describe: 'runtimes: an encoder (default) or a training step of --preset',
    },
    sizes: {
      string: true,
      array: true,
      describe: 'runtimes: lengths of the model’s named dimensions, such as N=1 sequence=128; default 1',
    },
    set: {
      ...configOptions.set,
      describe: 'step, engines: set a key of the configuration: --set network.upsampling=deconv',
    },
    proxy: { ...configOptions.proxy, describe: `step: ${configOptions.proxy.describe}, data included` },
    task: {
      choices: ['classification', 'segmentation'] as const,
      describe: 'step: fine-tuning for such a task instead of pre-training',
    },
    growth: {
      boolean: true,
      describe: 'limit: also how the cost of a step grows with voxels, batch and width',
    },
    python: {
      string: true,
      defaultDescription: PYTHON,
      describe: 'Python interpreter with the baselines’ packages',
    },
    input: {
      string: true,
      array: true,
      describe: 'scans for prepare, a scan for segment (made by default), folders of series for dicom',
    },
    out: {
      string: true,
      describe: 'write a bar chart to this SVG file; runtimes: folder for a table, a chart and JSON',
    },
  },
  examples: [
    ['$0 bench step --preset small --batch 4', 'compared with PyTorch and plain ONNX Runtime'],
    [
      '$0 bench encoder --preset genesis --batch 1',
      'an exported encoder compared with PyTorch, OpenVINO and its plain form',
    ],
    ['$0 bench prepare --input scans --python ~/venv/bin/python', 'compared with nibabel and SimpleITK'],
    ['$0 bench segment --preset genesis --batch 1', 'compared with MONAI, on PyTorch and on OpenVINO'],
    [
      '$0 bench step --task segmentation --preset small --batch 4',
      'a step of fine-tuning with skip connections',
    ],
    ['$0 bench step --proxy genesis --preset small', 'restoring corrupted images, which are made meanwhile'],
    ['$0 bench step --baseline torch --python ~/venv/bin/python --json', 'machine-readable output'],
    ['$0 bench engines', 'do all runtimes give the same results, and how fast?'],
    [
      '$0 bench runtimes --model model.onnx --sizes N=1 --out runtimes',
      'latency, memory and error everywhere',
    ],
    ['$0 bench limit --preset small', 'what is left to gain'],
    ['$0 bench forms --preset small --batch 2 --rounds 3', 'every way to compute every operator of a step'],
  ],
  run: async (args, reporter) => {
    const { batch = USUAL_BATCH, threads = 0, python = PYTHON } = args;
    const { rounds = args.workload === 'runtimes' ? RUNTIME_ROUNDS : ROUNDS } = args;
    checkThreads('threads', threads, 0);
    checkOptions(args.workload, args);
    checkBrowser(args.browser);
    const preset = args.preset ?? 'tiny';
    if (args.workload === 'forms') {
      const result = await benchForms({ preset, batch, rounds, threads, reporter });
      return { text: formatForms(result), json: result };
    }
    if (args.workload === 'limit') {
      const presets = args.preset ? [args.preset] : LIMIT_PRESETS;
      const growth = args.growth ?? false;
      const result = await benchLimit({ presets, batch, rounds, threads, growth }, reporter.log);
      return { text: formatLimit(result), json: result };
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
    if (args.workload === 'runtimes') {
      const { model, mode, browser, out } = args;
      if (out !== undefined) makeFolder(out);
      const result = await benchRuntimes(
        {
          ...{ rounds, threads, sizes: parseSizes(args.sizes ?? []) },
          ...(model === undefined ? {} : { model }),
          ...(args.batch === undefined ? {} : { batch }),
          ...(args.preset === undefined ? {} : { preset: args.preset }),
          ...(mode === undefined ? {} : { mode }),
          ...(browser === undefined ? {} : { browser }),
        },
        reporter.log,
      );
      if (out !== undefined) writeRuntimes(out, result);
      return { text: formatRuntimes(result), json: result };
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
        settings: [...args.set, ...(args.proxy ? [`proxy=${args.proxy}`] : [])],
        ...(args.task ? { task: args.task } : {}),
        python,
        ...(args.input ? { input: args.input } : {}),
        ...(args.out ? { out: args.out } : {}),
      },
      reporter.log,
    );
    return { text: formatBench(result), json: result };
  },
});
