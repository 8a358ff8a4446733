/** The same training on every ONNX Runtime that there is: do the losses agree, and how long does a step take? */

import type { Parameter } from '../../graphs/nn/module.js';
import { encodeCheckpoint } from '../../graphs/ort-training/checkpoint.js';
import {
  onDeviceEvaluationGraph,
  onDeviceOptimizerGraph,
  onDeviceTrainingGraph,
} from '../../graphs/ort-training/models.js';
import { floatInputs } from '../../graphs/passes/float-inputs.js';
import { optimizerFor } from '../commands/artifacts.js';
import { type PresetName, resolveConfig } from '../config/pretraining.js';
import { fromSettings } from '../config/settings.js';
import { checkInteger, UserError } from '../errors.js';
import { buildGraph, encodeGraph, portable } from '../execution/models.js';
import { type MachineFacts, machineFacts } from '../machine.js';
import { makePhantom } from '../phantom/chest.js';
import type { EngineTensor } from '../runtime/engine.js';
import { nodeEngine } from '../runtime/node.js';
import { mapTensors } from '../runtime/ort.js';
import type { WebProvider } from '../runtime/web.js';
import { type WebPackage, wasmEngine, wasmTrainingSession } from '../runtime/web-node.js';
import { freshState } from '../train/fresh-state.js';
import { batchFeeds, proxyWorkload } from '../train/proxy.js';
import { initialize } from '../weights/initialize.js';
import { builtFolder, findBrowser, packageFolder, runPage } from './engines/browser.js';
import { type Curve, sessionCurve, stepCurve, type TrainingWorkload } from './engines/curves.js';
import { pack } from './engines/packed.js';
import type { PageEngine, PageResult, PageWorkload } from './engines/page.js';
import { spreadOf } from './spread.js';
import { randomBatch } from './workloads/random-batch.js';

export interface EnginesOptions {
  /** Without it a small network that is trained gently: see {@link GENTLE}. */
  readonly preset?: PresetName;
  readonly settings?: readonly string[];
  readonly batch: number;
  readonly steps: number;
  /** 0 is one a core. The training build has one. */
  readonly threads: number;
  /** A Chromium; one on the PATH without it. */
  readonly browser?: string;
}

export interface EngineRow {
  readonly name: string;
  readonly place: string;
  readonly losses: readonly number[];
  /** Largest difference of a loss from onnxruntime-node's. */
  readonly difference: number;
  /** A step takes, median and extremes, the first left out. */
  readonly seconds: { readonly median: number; readonly min: number; readonly max: number };
  /** How many times as long as onnxruntime-node's. */
  readonly ratio: number;
}

export interface EnginesResult {
  readonly settings: readonly string[];
  readonly batch: number;
  readonly steps: number;
  readonly machine: MachineFacts;
  readonly rows: readonly EngineRow[];
  readonly unavailable: readonly {
    readonly name: string;
    readonly place: string;
    readonly unavailable: string;
  }[];
}

/** One way to train; throws where it cannot be had. */
export interface Runner {
  readonly name: string;
  readonly place: string;
  train(workload: TrainingWorkload): Promise<Curve>;
}

const SCAN = [192, 192, 96] as const;
/**
 * Training is chaotic: what differs in the last digit of one step grows with every further one, in jumps, where a maximum or
 * a ReLU decides otherwise; the deeper the network and the larger the rate, the faster. This network learns in 50 steps (its
 * loss falls to two fifths), and engines that only round differently stay within 3e-5 of each other (three seeds).
 */
export const GENTLE = ['network.width=4', 'network.levels=1', 'whole=16x16x8', 'learningRate=3e-4'];

const asFloat = ({ shape, data }: EngineTensor): EngineTensor => ({
  type: 'float32',
  shape,
  data: Float32Array.from(data as Int16Array),
});

/** Graph, state and batches; all engines get the same bytes, of standard operators. */
export function makeWorkload(
  settings: readonly string[],
  { preset, batch, steps, threads }: Pick<EnginesOptions, 'preset' | 'batch' | 'steps' | 'threads'>,
): TrainingWorkload {
  const config = resolveConfig({
    preset: preset ?? 'tiny',
    config: fromSettings(settings, { batch, microBatch: null, forms: 'fast' }),
  });
  // Of a body, not of noise, whose parts are all alike: there rounding grows from step to step.
  const { volume: scan } = makePhantom({ seed: config.seed, index: 0, size: SCAN });
  const proxy = proxyWorkload(config, config.whole);
  const step = buildGraph('step', proxy, config);
  const objective = proxy(batch);
  const training = onDeviceTrainingGraph(objective);
  const values = initialize(step.parameters, config.seed);
  const tensors = (of: (p: Parameter) => boolean) =>
    training.parameters.filter(of).map(({ name, shape }) => ({ name, shape, data: values.get(name)! }));
  const schedule = { learningRate: config.learningRate, warmup: 0, decayTo: null };
  const encode = (graph: typeof step.graph) =>
    encodeGraph({ graph: floatInputs(graph), parameters: [] }, portable(config));
  return {
    step: encode(step.graph),
    artifacts: {
      training: encode(training.graph),
      evaluation: encode(onDeviceEvaluationGraph(objective).graph),
      optimizer: encode(
        onDeviceOptimizerGraph({ optimizer: optimizerFor(config), clipNorm: config.clipNorm, schedule }),
      ),
      checkpoint: encodeCheckpoint({
        trainable: tensors((p) => p.trainable),
        frozen: tensors((p) => !p.trainable),
        optimizer: null,
      }),
    },
    state: Object.fromEntries(freshState(step.parameters, config, values)),
    batches: Array.from({ length: steps }, (_, i) =>
      mapTensors(batchFeeds(randomBatch(config, i, scan)), asFloat),
    ),
    learningRate: config.learningRate,
    threads,
  };
}

const IN_NODE = 'Node.js';
const inNode = (name: WebPackage): Runner => ({
  name: `${name}, WebAssembly`,
  place: IN_NODE,
  train: (workload) => stepCurve(wasmEngine(name), workload),
});

/** A page's modules and the workload, as they are served. */
function siteOf(engine: PageEngine, workload: TrainingWorkload, runtime: string) {
  const state = pack(workload.state);
  const batches = workload.batches.map(pack);
  const described: PageWorkload = {
    learningRate: workload.learningRate,
    state: state.contents,
    batches: batches.map(({ contents }) => contents),
  };
  return {
    folders: { dist: builtFolder(), ort: runtime },
    contents: {
      '/workload/engine.json': JSON.stringify(engine),
      '/workload/workload.json': JSON.stringify(described),
      '/workload/step': workload.step,
      '/workload/state': state.bytes,
      ...Object.fromEntries(batches.map(({ bytes }, i) => [`/workload/batch-${i}`, bytes])),
      ...Object.fromEntries(
        Object.entries(workload.artifacts).map(([name, bytes]) => [`/workload/${name}`, bytes]),
      ),
    },
  };
}

const PAGE_SECONDS = 1200;

function inBrowser(
  name: string,
  options: { package: WebPackage; file: string; provider: WebProvider; session?: boolean },
  browser: string | undefined,
): Runner {
  return {
    name,
    place: 'Chromium',
    async train(workload) {
      const found = browser ?? findBrowser();
      if (!found)
        throw new UserError('runtime', { what: 'no Chromium is installed', fix: '--browser names one' });
      const runtime = packageFolder(options.package);
      if (!runtime) throw new UserError('runtime', { what: `${options.package} is not installed` });
      const engine: PageEngine = {
        module: `/ort/${options.file}`,
        provider: options.provider,
        session: options.session ?? false,
        threads: options.package === 'onnxruntime-training-web' ? 1 : workload.threads,
      };
      const text = await runPage(
        found,
        '/dist/src/bench/engines/page.js',
        siteOf(engine, workload, runtime),
        PAGE_SECONDS,
      );
      const result = JSON.parse(text) as PageResult;
      if ('failed' in result) throw new UserError('runtime', { what: result.failed });
      return result;
    },
  };
}

/** Everyone, onnxruntime-node first: the others are compared with it. */
const runners = (browser: string | undefined): readonly Runner[] => [
  { name: 'onnxruntime-node, CPU', place: IN_NODE, train: (workload) => stepCurve(nodeEngine, workload) },
  inNode('onnxruntime-web'),
  inNode('onnxruntime-training-web'),
  {
    name: 'onnxruntime-training-web, training interface',
    place: IN_NODE,
    train: (workload) => sessionCurve(wasmTrainingSession, workload),
  },
  inBrowser(
    'onnxruntime-training-web, training interface',
    {
      package: 'onnxruntime-training-web',
      file: 'ort.training.wasm.min.mjs',
      provider: 'wasm',
      session: true,
    },
    browser,
  ),
  inBrowser(
    'onnxruntime-web, WebAssembly',
    { package: 'onnxruntime-web', file: 'ort.wasm.bundle.min.mjs', provider: 'wasm' },
    browser,
  ),
  inBrowser(
    'onnxruntime-web, WebGPU',
    { package: 'onnxruntime-web', file: 'ort.webgpu.bundle.min.mjs', provider: 'webgpu' },
    browser,
  ),
];

/**
 * Trains with each runner in turn, and compares it with the first.
 * @throws what the first runner throws, and what is no {@link UserError}: the others may be unavailable
 */
export async function compareRunners(
  compared: readonly Runner[],
  workload: TrainingWorkload,
  log: (line: string) => void,
): Promise<Pick<EnginesResult, 'rows' | 'unavailable'>> {
  const rows: EngineRow[] = [];
  const unavailable: { name: string; place: string; unavailable: string }[] = [];
  for (const { name, place, train } of compared) {
    let curve: Curve;
    try {
      curve = await train(workload);
    } catch (error) {
      if (rows.length === 0 || !(error instanceof UserError)) throw error;
      unavailable.push({ name, place, unavailable: error.message });
      log(`${name} in ${place} is unavailable: ${error.message}`);
      continue;
    }
    const first = rows[0] ?? { losses: curve.losses, seconds: spreadOf(curve.seconds.slice(1)) };
    const seconds = spreadOf(curve.seconds.slice(1));
    rows.push({
      name,
      place,
      losses: curve.losses,
      difference: Math.max(...curve.losses.map((loss, i) => Math.abs(loss - first.losses[i]!))),
      seconds,
      ratio: seconds.median / first.seconds.median,
    });
    log(`${name} in ${place}: ${seconds.median.toPrecision(3)} s/step`);
  }
  return { rows, unavailable };
}

/**
 * Trains the same network from the same weights on the same batches, on every engine in turn.
 * @param log what happens, line by line
 * @throws UserError when steps or batch make no sense, or onnxruntime-node itself cannot do it
 */
export async function benchEngines(
  options: EnginesOptions,
  log: (line: string) => void,
): Promise<EnginesResult> {
  const { preset, batch, steps, browser } = options;
  const settings = [...(preset ? [`preset=${preset}`] : GENTLE), ...(options.settings ?? [])];
  checkInteger('--steps', steps, 2); // two points make a curve
  const found = await compareRunners(runners(browser), makeWorkload(settings, options), log);
  return { settings, batch, steps, machine: machineFacts(), ...found };
}

/** The result for people. */
export function formatEngines({ settings, batch, steps, machine, rows, unavailable }: EnginesResult): string {
  const table = [
    ['', '', 'last loss', 'largest difference', 's/step', 'times onnxruntime-node'],
    ...rows.map(({ name, place, losses, difference, seconds, ratio }) => [
      name,
      place,
      losses.at(-1)!.toFixed(6),
      difference.toExponential(1),
      seconds.median.toPrecision(3),
      ratio.toFixed(1),
    ]),
  ];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  return [
    `${settings.join(' ')}; batch ${batch}, the same ${steps} steps everywhere; ${machine.cpu}, ${machine.cores} cores`,
    ...table.map((row) =>
      row
        .map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join('  ')
        .trimEnd(),
    ),
    ...unavailable.map(
      ({ name, place, unavailable: reason }) => `${name} in ${place} is unavailable: ${reason}`,
    ),
  ].join('\n');
}
