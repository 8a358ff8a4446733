/** What a pre-training on many GPUs would take, from measured or assumed speeds of its parts. */
import * as z from 'zod';
import { sizeOf, type Value } from '../../graphs/onnx/types.js';
import { parseConfig } from '../config/layers.js';
import { PRESET_NAMES, type PresetName, resolveConfig } from '../config/pretraining.js';
import { bytesOf } from '../execution/memory.js';
import { buildGraph } from '../execution/models.js';
import { proxyWorkload } from '../train/proxy.js';

/** A number, and where it is from: every table says both. */
const known = z.strictObject({ value: z.number().nonnegative(), source: z.string().min(1) });
const positive = known.extend({ value: z.number().positive() });

const scaleSchema = z.strictObject({
  preset: z.enum(PRESET_NAMES as [string, ...string[]]),
  /** Images of an epoch. */
  wholes: positive,
  epochs: positive,
  /** Of forward and backward pass on one GPU; more samples at once are taken to need as much longer. */
  secondsPerSample: positive,
  /** Between main memory and a GPU, bytes a second. */
  copyBandwidth: positive,
  /** Share of an all-reduce that is hidden behind the backward pass, 0 to 1. */
  overlap: known.extend({ value: z.number().min(0).max(1) }),
  /** Of one GPU. */
  pricePerHour: known,
  runs: z
    .array(
      z
        .strictObject({
          gpus: z.int().positive(),
          /** Samples of a step, on all GPUs together. */
          batch: z.int().positive(),
          /** Samples that a GPU computes at once. */
          microBatch: z.int().positive(),
          /** Of an all-reduce among these GPUs: bytes a second out of each, and seconds a message. */
          link: z.strictObject({ bandwidth: positive, latency: known }).optional(),
        })
        .refine(({ gpus, batch, microBatch }) => batch % (gpus * microBatch) === 0, {
          error: 'the batch must be a multiple of gpus times microBatch',
        })
        .refine(({ gpus, link }) => gpus === 1 || link, { error: 'several GPUs need a link' }),
    )
    .min(1),
});

export type Scale = z.infer<typeof scaleSchema>;
type Run = Scale['runs'][number];

/** @throws UserError naming each wrong key */
export const parseScale = (content: unknown, where: string): Scale =>
  parseConfig(scaleSchema, content, where, 'docs/cluster.md has an example');

export interface Link {
  /** Bytes a second out of each rank. */
  readonly bandwidth: number;
  /** Seconds a message. */
  readonly latency: number;
}

/** Of a ring: each rank sends n − 1 pieces to be added up, and n − 1 sums. @param bytes of the buffer */
export function allReduceSeconds(bytes: number, ranks: number, { bandwidth, latency }: Link): number {
  const messages = 2 * (ranks - 1);
  return messages * (bytes / ranks / bandwidth + latency);
}

/** Bytes that a step of several ranks moves. */
export interface Traffic {
  /** Added up over all ranks. */
  readonly reduced: number;
  /** To a GPU and back, of a micro-batch, and once a step. */
  readonly copied: { readonly eachMicroBatch: number; readonly once: number };
}

/** What a step of a preset moves, by its graphs. @param microBatch samples that are computed at once */
export function trafficOf(preset: PresetName, microBatch: number): Traffic {
  // More than one micro-batch, as several ranks have.
  const config = { ...resolveConfig({ preset }), batch: 2 * microBatch, microBatch };
  const workload = proxyWorkload(config, config.whole);
  const { graph: accumulate, parameters } = buildGraph('accumulate', workload, config);
  const { graph: apply } = buildGraph('apply', workload, config);
  const all = ({ inputs, outputs }: { inputs: readonly Value[]; outputs: readonly Value[] }) =>
    bytesOf([...inputs, ...outputs]);
  const values = parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  return {
    // The loss is one value more.
    reduced: 4 * (values + 1),
    copied: { eachMicroBatch: all(accumulate), once: all(apply) },
  };
}

export interface Estimate extends Pick<Run, 'gpus' | 'batch'> {
  /** Parts of a step, in seconds; of the all-reduce what is not hidden. */
  readonly compute: number;
  readonly copies: number;
  readonly allReduce: number;
  readonly hours: number;
  readonly price: number;
}

/** What a pre-training takes on some GPUs. */
export function estimate(scale: Scale, run: Run, { reduced, copied }: Traffic): Estimate {
  const { gpus, batch, microBatch, link } = run;
  const each = batch / gpus;
  const compute = each * scale.secondsPerSample.value;
  // A GPU that makes whole steps alone keeps its state.
  const bytes =
    gpus === 1 && microBatch === batch ? 0 : (each / microBatch) * copied.eachMicroBatch + copied.once;
  const copies = bytes / scale.copyBandwidth.value;
  const speeds = link && { bandwidth: link.bandwidth.value, latency: link.latency.value };
  const exchange = speeds ? allReduceSeconds(reduced, gpus, speeds) : 0;
  const allReduce = (1 - scale.overlap.value) * exchange;
  const steps = (scale.wholes.value * scale.epochs.value) / batch;
  const hours = (steps * (compute + copies + allReduce)) / 3600;
  return { gpus, batch, compute, copies, allReduce, hours, price: hours * gpus * scale.pricePerHour.value };
}

/** All runs. */
export const estimates = (scale: Scale): Estimate[] =>
  scale.runs.map((run) => estimate(scale, run, trafficOf(scale.preset as PresetName, run.microBatch)));

const milliseconds = (seconds: number) => `${(1000 * seconds).toFixed(seconds < 0.1 ? 1 : 0)} ms`;
const duration = (hours: number) =>
  hours < 48 ? `${hours.toFixed(1)} h` : `${(hours / 24).toFixed(1)} days`;

/** The estimates as a table in Markdown. */
export function formatScale(scale: Scale): string {
  const rows = estimates(scale).map(({ gpus, batch, compute, copies, allReduce, hours, price }) => [
    ...[String(gpus), String(batch), ...[compute, copies, allReduce].map(milliseconds)],
    ...[`${Math.round((100 * compute) / (compute + copies + allReduce))} %`, duration(hours)],
    Math.round(price).toLocaleString('en'),
  ]);
  const heads = ['GPUs', 'batch', 'compute', 'copies', 'all-reduce', 'efficiency', 'time', 'price'];
  return [heads, heads.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** The numbers that the table rests on, one a line, with their sources. */
export function formatSources({ runs, preset, ...scale }: Scale): string {
  const own = Object.entries(scale).map(([name, { value, source }]) => `${name} ${value}: ${source}`);
  const links = runs.flatMap(({ gpus, link }) =>
    Object.entries(link ?? {}).map(
      ([name, { value, source }]) => `${name} of ${gpus} GPUs ${value}: ${source}`,
    ),
  );
  return [...own, ...links].join('\n');
}
