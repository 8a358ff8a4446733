/** Trainings whose steps are timed: of a proxy task, or of a target task. */
import { type FinetuneConfig, resolveFinetuneConfig, type TaskKind } from '../../config/finetuning.js';
import { type Config, type PresetName, resolveConfig } from '../../config/pretraining.js';
import { fromSettings } from '../../config/settings.js';
import type { StepConfig } from '../../config/training.js';
import { openLoader } from '../../data/loading/loader.js';
import type { SampleFormat } from '../../data/samples/manifest.js';
import type { XYZ } from '../../data/scan/volume.js';
import { UserError } from '../../errors.js';
import type { Workload } from '../../execution/models.js';
import { randomStream } from '../../random.js';
import type { Device } from '../../runtime/device.js';
import type { Tensors } from '../../runtime/engine.js';
import { batchFeeds, proxyWorkload, samplingOptions } from '../../train/proxy.js';
import { sampleFeeds, targetWorkload } from '../../train/target.js';
import { randomBatch } from './random-batch.js';

/** What the runners of this package are told. */
export interface StepJob {
  readonly preset: PresetName;
  readonly settings: readonly string[];
  /** Null for the proxy task. */
  readonly task: TaskKind | null;
  readonly batch: number;
  readonly threads: number;
  readonly device: Device;
  readonly forms: Config['forms'];
  /** A store of tiles of the wholes' size, from which batches are made as in a training; null for one batch in memory. */
  readonly store: string | null;
}

/** Keys that mean the same to all that are compared. */
const SHARED = /^(network\..+|whole|proxy)=/;

/** @throws UserError for a setting that a baseline would not heed */
function checkSettings(settings: readonly string[]): void {
  const other = settings.find((setting) => !SHARED.test(setting));
  if (other !== undefined)
    throw new UserError('usage', {
      what: 'the baselines of `bench step` do not know this setting',
      where: '--set',
      got: other,
      expected: 'network.*, whole, or --proxy',
    });
}

const stepSettings = ({ settings, batch, threads, forms }: Omit<StepJob, 'store'>) => {
  checkSettings(settings);
  return fromSettings<object>(settings, { batch, microBatch: batch, threads, forms });
};

/** @throws UserError for a setting that makes no sense, or that is not shared */
export const proxyConfig = (job: Omit<StepJob, 'store'>): Config =>
  resolveConfig({ preset: job.preset, config: stepSettings(job) });

/** The network of a preset, with skip connections where it segments. @throws UserError as {@link proxyConfig} */
export const targetConfig = (job: Omit<StepJob, 'store'>, kind: TaskKind): FinetuneConfig =>
  resolveFinetuneConfig({
    ...{ kind, network: resolveConfig({ preset: job.preset }).network },
    config: stepSettings(job),
  });

/** HU of one channel, and one class to find: a mask, or yes and no. */
export const targetFormat = (kind: TaskKind, size: XYZ): SampleFormat => ({
  ...{ task: 'manifest', kind, classes: kind === 'segmentation' ? ['class'] : ['no', 'yes'], size },
  ...{ channels: 1, type: 'int16', window: { low: -1000, high: 1000 } },
});

/** A training as its steps are timed. */
export interface TimedTraining {
  readonly config: StepConfig & { readonly learningRate: number };
  readonly workload: Workload;
  /** What the next step is fed. */
  next(): Promise<Tensors>;
  /** Seconds that have been spent waiting for data so far; absent where one batch is fed again and again. */
  readonly waited?: () => number;
}

/** Random images, half of their voxels inside the mask, or half of them positive. */
function randomSamples(format: SampleFormat, batch: number): Tensors {
  const random = randomStream(0, 'random samples');
  const [x, y, z] = format.size;
  const voxels = batch * x * y * z;
  const isMask = format.kind === 'segmentation';
  return sampleFeeds(
    {
      indices: Array.from({ length: batch }, (_, i) => i),
      image: Int16Array.from({ length: voxels }, () => random.between(-1000, 1000)),
      weight: new Float32Array(batch).fill(1),
      label: isMask ? null : Int32Array.from({ length: batch }, (_, i) => i % 2),
      mask: isMask ? Uint8Array.from({ length: voxels }, () => random.integer(2)) : null,
    },
    format,
  );
}

/** Opens the training that a job means. */
export function openTraining(job: StepJob): TimedTraining {
  if (job.task !== null) {
    const config = targetConfig(job, job.task);
    const format = targetFormat(job.task, resolveConfig({ preset: job.preset }).whole);
    const feeds = randomSamples(format, job.batch);
    return { config, workload: targetWorkload(config, format, null), next: async () => feeds };
  }
  const config = proxyConfig(job);
  const workload = proxyWorkload(config, config.whole);
  if (job.store === null) {
    const feeds = batchFeeds(randomBatch(config, 0));
    return { config, workload, next: async () => feeds };
  }
  const loader = openLoader({
    ...samplingOptions(config),
    ...{ store: job.store, split: 'train', workers: config.workers },
    ...{ ahead: () => 2 * config.workers + 1, batchAt: (i) => i },
  });
  return {
    config,
    workload,
    next: async () => batchFeeds(await loader.next()),
    waited: () => loader.waitSeconds(),
  };
}
