import type { Parameter } from '../../graphs/nn/module.js';
import { type GraphSummary, summarize } from '../../graphs/onnx/summary.js';
import { formatShape, type Graph, sizeOf } from '../../graphs/onnx/types.js';
import { encoderGraph } from '../../graphs/programs/inference.js';
import { type Config, type ConfigSources, resolveConfig } from '../config/pretraining.js';
import type { XYZ } from '../data/scan/volume.js';
import { UserError } from '../errors.js';
import { gigabytes, type MemoryNeed, predictMemory } from '../execution/memory.js';
import {
  buildGraph,
  countForms,
  encodeGraph,
  loweringFor,
  portable,
  portableModel,
} from '../execution/models.js';
import { openEngine } from '../execution/open-engine.js';
import { measuredForms } from '../execution/tuner.js';
import { proxyWorkload } from '../train/proxy.js';
import { initialize } from '../weights/initialize.js';
import { checkGraphFile, writeGraphFile } from './graph-file.js';

export interface GraphOptions extends ConfigSources {
  readonly what: 'step' | 'gradient' | 'eval' | 'encoder';
  /** Voxels of stored tiles, x×y×z; the wholes' size without it. */
  readonly tile?: XYZ;
  /** Where the `.onnx` file goes; nothing is written without it. */
  readonly out?: string;
}

export interface GraphReport {
  readonly what: GraphOptions['what'];
  /** What it is a graph of: a preset, or the file of a model. */
  readonly subject: string;
  /** Of a preset; null for a model. */
  readonly config: Config | null;
  readonly parameters: number;
  readonly inputs: readonly { name: string; type: string; shape: readonly (number | string)[] }[];
  readonly outputs: readonly { name: string; type: string; shape: readonly (number | string)[] }[];
  /** Of the graph as it is meant, before lowering. */
  readonly summary: GraphSummary;
  /** Of the file. */
  readonly bytes: number;
  /** How often each form of an operator is used when this machine runs the graph; the file is portable. */
  readonly forms: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Of a training step: bytes that a training is predicted to take. */
  readonly memory?: MemoryNeed;
  /** Whether these forms were measured here, or are those that are known to be fast. */
  readonly formsBy: 'measurement' | 'preference' | 'definition';
}

/** How an engine's machine computes a graph, in forms that were measured where that was done before, and in what memory. */
async function onThisMachine(
  graph: Graph,
  config: Config,
  tile: XYZ,
  isStep: boolean,
): Promise<Pick<GraphReport, 'forms' | 'formsBy' | 'memory'>> {
  const engine = await openEngine(config.device, config.engine);
  const open = config.forms === 'auto' || config.forms === 'tuned';
  const measured = open ? await measuredForms(proxyWorkload(config, tile), config, engine) : null;
  const forms = measured ?? config.forms;
  const chosen = { ...config, forms };
  const counts = countForms(graph, await loweringFor(chosen, engine));
  const formsBy = forms === 'plain' ? 'definition' : typeof forms === 'object' ? 'measurement' : 'preference';
  const memory = isStep ? await predictMemory(proxyWorkload(config, tile), chosen, engine) : undefined;
  return { forms: counts, formsBy, ...(memory && { memory }) };
}

const isOfEncoder = ({ name }: Parameter): boolean => name.startsWith('encoder.');

/** Of weights in one file with their graph: a limit of protobuf, less a little. */
const MOST_MODEL_BYTES = 2 ** 31 - 2 ** 22;

/** @throws UserError for weights that no file can hold */
function checkModelSize(parameters: readonly Parameter[], { network }: Config): void {
  const bytes = parameters.reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);
  if (bytes < MOST_MODEL_BYTES) return;
  throw new UserError('config', {
    what: 'the weights of this network do not fit into an ONNX file',
    where: 'network.width, network.levels',
    got: `width ${network.width}, ${network.levels} levels: ${gigabytes(bytes)}`,
    expected: `at most ${gigabytes(MOST_MODEL_BYTES)}`,
  });
}

const KINDS = { step: 'step', gradient: 'gradient', eval: 'evaluation' } as const;

/**
 * Builds a graph of a preset; writes it as an ONNX model where asked to.
 * @example
 * const { parameters } = await makeGraph({ preset: 'tiny', what: 'encoder', out: 'encoder.onnx' });
 */
export async function makeGraph(options: GraphOptions): Promise<GraphReport> {
  await checkGraphFile(options.out);
  const config = resolveConfig(options);
  const tile = options.tile ?? config.whole;
  const workload = proxyWorkload(config, tile);
  const reference = buildGraph('evaluation', workload, config);
  const isEncoder = options.what === 'encoder';
  if (isEncoder) checkModelSize(reference.parameters.filter(isOfEncoder), config);
  const encoderOf = (sizes?: readonly number[]) =>
    encoderGraph(
      { network: config.network, window: config.window, inputType: 'float32', ...(sizes && { sizes }) },
      initialize(reference.parameters, config.seed),
    );
  const graph =
    options.what === 'encoder' ? encoderOf() : buildGraph(KINDS[options.what], workload, config).graph;
  const ownParameters = reference.parameters.filter(
    (parameter) => parameter.trainable && (!isEncoder || isOfEncoder(parameter)),
  );
  const built = { graph, parameters: reference.parameters };
  const bytes = options.what === 'encoder' ? portableModel(graph) : encodeGraph(built, portable(config));
  writeGraphFile(options.out, bytes);
  return {
    what: options.what,
    subject: `preset ${config.preset}`,
    config,
    parameters: ownParameters.reduce((sum, p) => sum + sizeOf(p.shape), 0),
    inputs: graph.inputs,
    outputs: graph.outputs,
    // An encoder takes images of any size; its costs are those of one whole.
    summary: summarize(isEncoder ? encoderOf([1, ...config.whole.toReversed()]) : graph),
    bytes: bytes.length,
    // An exported encoder takes batches of any size, for which only the definitions serve.
    ...(options.what === 'encoder'
      ? { forms: {}, formsBy: 'definition' as const }
      : await onThisMachine(graph, config, tile, options.what === 'step')),
  };
}

const giga = (n: number) => `${(n / 1e9).toFixed(n < 1e10 ? 2 : 1)} G`;
const mega = (n: number) => `${(n / 1e6).toFixed(1)} MB`;

const formatMemory = ({ total, ...parts }: MemoryNeed): string => {
  const list = Object.entries(parts).map(([name, bytes]) => `${name} ${mega(bytes)}`);
  return `memory of pre-training, predicted: ${gigabytes(total)} (${list.join(', ')})`;
};

/** The report as a table for people: one line a layer of the network, the backward pass and the update in one each. */
export function formatGraph({
  what,
  summary,
  parameters,
  bytes,
  subject,
  forms,
  formsBy,
  memory,
}: GraphReport): string {
  const groups = new Map<string, { flops: number; bytes: number; shape: string }>();
  for (const { layer, flops, activationBytes, shape } of summary.layers) {
    const name = /^(gradient|optimizer|clip|gradient_norm)/.exec(layer)?.[0] ?? layer;
    const group = groups.get(name) ?? { flops: 0, bytes: 0, shape: '' };
    const grouped = name !== layer;
    groups.set(name, {
      flops: group.flops + flops,
      bytes: group.bytes + activationBytes,
      shape: grouped ? '' : formatShape(shape),
    });
  }
  const rows = [...groups].map(([name, g]) => [name, g.shape, `${giga(g.flops)}FLOP`, mega(g.bytes)]);
  const table = [['layer', 'output', 'work', 'activations'], ...rows];
  const widths = [0, 1, 2, 3].map((i) => Math.max(...table.map((row) => row[i]!.length)));
  const line = (row: string[]) =>
    row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ');
  return [
    ...table.map(line),
    '',
    `${what} graph of ${subject}: ${parameters.toLocaleString('en')} trainable parameters, ${giga(summary.flops)}FLOP, ` +
      `${mega(summary.activationBytes)} of activations, ${summary.nodes} operators, file size ${mega(bytes)}`,
    ...Object.entries(forms).map(([operator, used]) => {
      const list = Object.entries(used).map(([form, count]) => `${form} ×${count}`);
      return `forms of ${operator} on this machine, by ${formsBy}: ${list.join(', ')}`;
    }),
    ...(memory ? [formatMemory(memory)] : []),
  ].join('\n');
}
