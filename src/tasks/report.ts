import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { contrastiveBounds, contrastiveLoss } from '../analysis/contrastive.js';
import { type CosineSeparation, cosineSeparation } from '../analysis/cosine.js';
import type { PartFeatures } from '../analysis/features.js';
import { nearestNeighbourAccuracy } from '../analysis/neighbours.js';
import { pearson } from '../analysis/statistics.js';
import type { Config } from '../config.js';
import { averagingFactors, clippedAverage } from '../data/average.js';
import { loadBatch, type Sample as PartSample, validationBatches } from '../data/loader.js';
import { samplePart } from '../data/parts.js';
import { openTileStore, readTile, type TileStore } from '../data/tiles.js';
import { UserError } from '../errors.js';
import { writeFileAtomic } from '../files.js';
import { startProgress } from '../progress.js';
import { randomStream } from '../random.js';
import type { CheckpointScores, ReportData, Sample, Slices } from '../report/data.js';
import { renderReport } from '../report/report.js';
import { middleSlices } from '../report/slices.js';
import { engineFor } from '../runtime/index.js';
import { type Checkpoint, listCheckpoints, loadCheckpoint, resolveCheckpoint } from '../train/checkpoint.js';
import {
  createEvaluator,
  createFeatureExtractor,
  type Evaluator,
  type FeatureExtractor,
} from '../train/evaluator.js';
import { readMetrics } from '../train/metrics.js';
import { microBatches } from '../train/models.js';
import { type RunFacts, readRun } from '../train/run.js';
import { readSessions } from '../train/sessions.js';

export interface ReportOptions {
  readonly run: string;
  /** The run's tile store, if it has moved. */
  readonly data?: string;
  /** Validation wholes to analyse at most, and parts of each. */
  readonly wholes?: number;
  readonly parts?: number;
}

/** The numbers of a report, for programs; the pictures are in the file. */
export interface ReportSummary {
  readonly report: string;
  readonly text: string;
  readonly meanWholeMse: number;
  readonly checkpoints: readonly CheckpointScores[];
  readonly correlation: ReportData['correlation'];
}

const PAIRS = 100;
const CONTRASTIVE = { tests: 100, negatives: 5000, temperature: 0.7 };
const CONTRASTIVE_NEGATIVES = 5000;
/** Validation samples that are shown as pictures. */
const SHOWN = 4;
/** Checkpoints whose reconstructions are shown. */
const SHOWN_CHECKPOINTS = 4;
/** Training wholes that the mean whole is made of at most. */
const MEAN_OF = 2000;

/** Numbers spread evenly over 0 … count−1, first and last included. */
const spreadOver = (count: number, wanted: number): number[] =>
  count <= wanted
    ? Array.from({ length: count }, (_, i) => i)
    : Array.from({ length: wanted }, (_, i) => Math.round((i * (count - 1)) / (wanted - 1)));

/** A tile as the whole that the network is to make, in [0, 1]. */
function wholeOf(
  store: TileStore,
  config: Config,
  split: 'train' | 'validation',
  tile: number,
): Float32Array {
  const factors = averagingFactors(store.size, config.whole)!;
  const { low, high } = config.hu;
  const hu = clippedAverage(readTile(store, store[split][tile]!), store.size, factors, config.hu);
  return hu.map((value) => (value - low) / (high - low));
}

/** Mean squared error, over the validation wholes, of answering every part with the mean of the training wholes. */
function meanWholeMse(store: TileStore, config: Config): number {
  const training = spreadOver(store.train.length, MEAN_OF);
  const mean = new Float64Array(config.whole[0] * config.whole[1] * config.whole[2]);
  for (const tile of training)
    for (const [i, value] of wholeOf(store, config, 'train', tile).entries())
      mean[i]! += value / training.length;
  const validation = spreadOver(store.validation.length, config.validation.wholes);
  const errors = validation.map((tile) => {
    const whole = wholeOf(store, config, 'validation', tile);
    return whole.reduce((sum, value, i) => sum + (value - mean[i]!) ** 2, 0) / whole.length;
  });
  return errors.reduce((a, b) => a + b, 0) / errors.length;
}

/** The same parts of the same validation wholes for every checkpoint. */
function analysisParts(store: TileStore, config: Config, wholes: number, parts: number): PartSample[] {
  return spreadOver(store.validation.length, wholes).flatMap((tile) =>
    Array.from({ length: parts }, (_, p) => ({
      tile,
      part: samplePart(randomStream(config.seed, 'analysis part', tile, p), store.size, config.part),
    })),
  );
}

/** Features of all analysis parts under one checkpoint. */
async function partFeatures(
  extractor: FeatureExtractor,
  store: TileStore,
  config: Config,
  samples: readonly PartSample[],
  parts: number,
  { tensors }: Checkpoint,
): Promise<PartFeatures> {
  const { size } = microBatches(config);
  const { dimensions } = extractor;
  const values = new Float32Array(samples.length * dimensions);
  for (let first = 0; first < samples.length; first += size) {
    // A short last batch is filled up with its last sample.
    const group = Array.from({ length: size }, (_, i) => samples[Math.min(first + i, samples.length - 1)]!);
    const rows = await extractor.features(
      loadBatch(store, 'validation', config.whole, group, first),
      tensors,
    );
    values.set(rows.subarray(0, Math.min(size, samples.length - first) * dimensions), first * dimensions);
  }
  return { wholes: samples.length / parts, partsPerWhole: parts, dimensions, values };
}

interface Analysed {
  readonly scores: CheckpointScores;
  readonly cosine: CosineSeparation;
}

/** Pictures of the first validation samples under several checkpoints. */
async function pictures(
  evaluator: Evaluator,
  store: TileStore,
  config: Config,
  checkpoints: readonly Checkpoint[],
): Promise<Sample[]> {
  const { size } = microBatches(config);
  const shape = { batch: size, wholeSize: config.whole, part: config.part, seed: config.seed };
  const voxels = config.whole[0] * config.whole[1] * config.whole[2];
  const slicesOf = (values: Float32Array, i: number): Slices =>
    middleSlices(values.subarray(i * voxels, (i + 1) * voxels), config.whole, { low: 0, high: 1 });
  const samples: {
    -readonly [K in keyof Sample]: K extends 'reconstructions'
      ? Sample['reconstructions'][number][]
      : Sample[K];
  }[] = [];
  for (const { state, tensors } of checkpoints) {
    let shown = 0;
    for (const batch of validationBatches(store, { ...shape, limit: SHOWN })) {
      const { part, whole, reconstruction, losses } = await evaluator.evaluate(batch, tensors);
      for (let i = 0; i < batch.used; i++, shown++) {
        const { scan, index } = store.validation[batch.tiles[i]!]!;
        samples[shown] ??= {
          name: `${scan.id}, tile ${index}`,
          whole: slicesOf(whole, i),
          part: slicesOf(part, i),
          reconstructions: [],
        };
        samples[shown]!.reconstructions.push({
          step: state.step,
          mse: losses[i]!,
          slices: slicesOf(reconstruction, i),
        });
      }
    }
  }
  return samples;
}

function openData({ data, tile }: RunFacts, options: ReportOptions): TileStore {
  const store = openTileStore(options.data ?? data);
  if (store.size.join() !== tile.join())
    throw new UserError('data', {
      what: 'these are not the tiles of this run',
      where: store.folder,
      got: store.size.join('×'),
      expected: tile.join('×'),
      fix: 'give the right --data',
    });
  return store;
}

/**
 * Analyses a run's kept checkpoints on validation wholes (section 3.3 of the paper) and writes `report.html`.
 * @throws UserError when there is no run, no checkpoint, or the tiles are not where they were
 */
export async function makeReport(options: ReportOptions): Promise<ReportSummary> {
  const facts = readRun(options.run);
  const { config } = facts;
  const store = openData(facts, options);
  const parts = Math.max(2, options.parts ?? 12);
  const samples = analysisParts(store, config, options.wholes ?? 48, parts);
  const kept = listCheckpoints(options.run);
  const paths = kept.map(({ path }) => path);
  const best = resolveCheckpoint(options.run, 'best');
  const engine = engineFor(config.device);
  const evaluator = await createEvaluator(config, facts.tile, engine);
  const extractor = await createFeatureExtractor(config, facts.tile, engine);
  const progress = startProgress({ label: 'report', total: paths.length + 1, unit: 'checkpoints' });
  try {
    const { size } = microBatches(config);
    const shape = {
      batch: size,
      wholeSize: config.whole,
      part: config.part,
      seed: config.seed,
      limit: config.validation.wholes,
    };
    const analyse = async (checkpoint: Checkpoint): Promise<Analysed> => {
      const features = await partFeatures(extractor, store, config, samples, parts, checkpoint);
      const cosine = cosineSeparation(features, { pairs: PAIRS, seed: config.seed });
      const { mse } = await evaluator.validate(validationBatches(store, shape), checkpoint.tensors);
      const scores = {
        step: checkpoint.state.step,
        validationMse: mse,
        contrastiveLoss: contrastiveLoss(features, { ...CONTRASTIVE, seed: config.seed }),
        nearestNeighbour: nearestNeighbourAccuracy(features),
        cosineAuc: cosine.auc,
      };
      return { scores, cosine };
    };
    const analysed: Analysed[] = [];
    for (const path of paths) {
      analysed.push(await analyse(loadCheckpoint(path)));
      progress.update(analysed.length);
    }
    const after = analysed.find(({ scores }) => scores.step === best.state.step) ?? (await analyse(best));
    const before = analysed[0] ?? after;
    const scores = analysed.map((a) => a.scores);
    const shownPaths = spreadOver(paths.length, SHOWN_CHECKPOINTS).map((i) => paths[i]!);
    const shown = [...shownPaths.map((path) => loadCheckpoint(path))];
    if (!shown.some(({ state }) => state.step === best.state.step)) shown.push(best);
    const baseline = meanWholeMse(store, config);
    const data: ReportData = {
      ...curves(options.run),
      title: `Parts2Whole run ${options.run}`,
      createdAt: new Date().toISOString(),
      headline: headline(before.scores, after.scores, baseline),
      meanWholeMse: baseline,
      checkpoints: scores,
      contrastiveBounds: contrastiveBounds({
        negatives: CONTRASTIVE_NEGATIVES,
        temperature: CONTRASTIVE.temperature,
      }),
      correlation: pearson(
        scores.map((s) => s.validationMse),
        scores.map((s) => s.contrastiveLoss),
      ),
      cosine: {
        before: before.cosine,
        after: after.cosine,
        beforeLabel: `step ${before.scores.step}`,
        afterLabel: `step ${after.scores.step}`,
      },
      samples: await pictures(evaluator, store, config, shown),
      configuration: { data: facts.data, tile: facts.tile, ...config },
      ...sessionFacts(options.run),
    };
    const report = join(options.run, 'report.html');
    writeFileAtomic(report, renderReport(data));
    progress.update(paths.length + 1);
    const text = [
      `wrote ${report}`,
      ...data.headline.map(({ label, value, note }) => `  ${label}: ${value}${note ? ` (${note})` : ''}`),
    ].join('\n');
    return { report, text, meanWholeMse: baseline, checkpoints: scores, correlation: data.correlation };
  } finally {
    progress.stop();
    await evaluator.release();
    await extractor.release();
  }
}

/** The numbers that matter most. */
function headline(
  before: CheckpointScores,
  after: CheckpointScores,
  baseline: number,
): ReportData['headline'] {
  const percent = (v: number) => `${(100 * v).toFixed(1)} %`;
  return [
    {
      label: 'Validation MSE',
      value: after.validationMse.toFixed(4),
      note: `${(after.validationMse / baseline).toFixed(2)} × that of the mean whole, ${baseline.toFixed(4)}`,
    },
    {
      label: 'Contrastive loss',
      value: after.contrastiveLoss.toFixed(3),
      note: `${before.contrastiveLoss.toFixed(3)} at step ${before.step}`,
    },
    {
      label: '1-NN accuracy',
      value: percent(after.nearestNeighbour),
      note: `${percent(before.nearestNeighbour)} at step ${before.step}`,
    },
    {
      label: 'Cosine AUC',
      value: after.cosineAuc.toFixed(3),
      note: `${before.cosineAuc.toFixed(3)} at step ${before.step}`,
    },
  ];
}

/** The loss curves in metrics.jsonl. */
function curves(run: string): Pick<ReportData, 'training' | 'validation'> {
  const path = join(run, 'metrics.jsonl');
  const records = existsSync(path) ? readMetrics(path) : [];
  const number = (value: unknown) => value as number;
  return {
    training: records.filter((r) => 'loss' in r).map((r) => ({ step: number(r.step), loss: number(r.loss) })),
    validation: records
      .filter((r) => 'validationMse' in r)
      .map((r) => ({
        step: number(r.step),
        mse: number(r.validationMse),
        learningRate: number(r.learningRate),
      })),
  };
}

/** Machine and timing of the last session, and the time of all. */
function sessionFacts(run: string): Pick<ReportData, 'machine' | 'timing'> {
  const sessions = readSessions(run);
  const last = sessions.at(-1);
  if (!last) return { machine: {}, timing: {} };
  const text = (record: object) =>
    Object.fromEntries(Object.entries(record).map(([key, value]) => [key, String(value)]));
  const total = sessions.reduce((sum, s) => sum + Number(s.seconds), 0);
  return {
    machine: { ...text((last.machine ?? {}) as object), engine: `${last.engine}, ${last.provider}` },
    timing: {
      'time of training': `${(total / 60).toFixed(1)} min${sessions.length > 1 ? ` in ${sessions.length} sessions` : ''}`,
      throughput: `${Number(last.stepsPerSecond).toFixed(2)} steps/s, ${Number(last.wholesPerSecond).toFixed(1)} wholes/s`,
      'waiting for data': `${(100 * Number(last.dataWait)).toFixed(1)} %`,
      'peak memory': `${(Number(last.peakMemoryBytes) / 1e9).toFixed(2)} GB`,
    },
  };
}
