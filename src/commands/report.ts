import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { contrastiveBounds } from '../analysis/contrastive.js';
import { pearson } from '../analysis/statistics.js';
import type { Config } from '../config/pretraining.js';
import { validationBatches } from '../data/loading/batches.js';
import { METHODS } from '../data/proxies/names.js';
import { openTileStore, type TileStore, tilesOf } from '../data/store/tiles.js';
import { checkInteger, UserError } from '../errors.js';
import { openEngine } from '../execution/open-engine.js';
import { readSessions } from '../execution/sessions.js';
import { writeFileAtomic } from '../files.js';
import { type Reporting, silent } from '../progress.js';
import type { CheckpointScores, ReportData, Sample, Slices } from '../report/data.js';
import { renderReport } from '../report/report.js';
import { middleSlices } from '../report/slices.js';
import { type Checkpoint, listCheckpoints, loadCheckpoint, resolveCheckpoint } from '../runs/checkpoint.js';
import { readMetrics } from '../runs/metrics.js';
import { type RunFacts, readRun } from '../runs/run.js';
import { spreadOver } from '../spread.js';
import { createEvaluator, type Evaluator } from '../train/evaluator.js';
import { samplingOptions } from '../train/proxy.js';
import { analyseCheckpoints, analysisParts, CONTRASTIVE, meanWholeMse } from './analyse-run.js';
import { refuseBatchStatistics } from './batch-statistics.js';
import { onlyTiles, shownTiles } from './shown-tiles.js';

export interface ReportOptions extends Reporting {
  readonly run: string;
  /** The run's tile store, if it has moved. */
  readonly data?: string;
  /** Validation wholes to analyse at most, and parts of each, two or more; default 48 and 12. */
  readonly wholes?: number;
  readonly parts?: number;
  /** `auto`, `cpu`, `cuda` or `cuda:N`; the run's without it. */
  readonly device?: string;
}

/** The numbers of a report, for programs; the pictures are in the file. */
export interface ReportSummary {
  readonly report: string;
  readonly text: string;
  readonly meanWholeMse: number;
  readonly checkpoints: readonly CheckpointScores[];
  readonly correlation: ReportData['correlation'];
}

/** Validation samples that are shown as pictures. */
const SHOWN = 4;
/** Checkpoints whose reconstructions are shown. */
const SHOWN_CHECKPOINTS = 4;

/** Pictures of some validation samples under several checkpoints. */
async function pictures(
  evaluator: Evaluator,
  store: TileStore,
  config: Config,
  checkpoints: readonly Checkpoint[],
): Promise<Sample[]> {
  const voxels = config.whole[0] * config.whole[1] * config.whole[2];
  const slicesOf = (values: Float32Array, i: number): Slices =>
    middleSlices(values.subarray(i * voxels, (i + 1) * voxels), config.whole, { low: 0, high: 1 });
  const samples: {
    -readonly [K in keyof Sample]: K extends 'reconstructions'
      ? Sample['reconstructions'][number][]
      : Sample[K];
  }[] = [];
  const tiles = shownTiles(store, config, SHOWN);
  const source = onlyTiles(tilesOf(store, 'validation'), tiles);
  for (const { state, tensors } of checkpoints) {
    let shown = 0;
    for (const batch of validationBatches(source, { ...samplingOptions(config), limit: SHOWN })) {
      const { part, whole, reconstruction, losses } = await evaluator.evaluate(batch, tensors);
      for (let i = 0; i < batch.used; i++, shown++) {
        const { scan, index } = store.validation[tiles[batch.tiles[i]!]!]!;
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

/** The checkpoints that a run keeps, and behind them the best one where it is none of them. */
function* keptAndBest(
  kept: readonly { readonly step: number; readonly path: string }[],
  best: Checkpoint,
): Generator<Checkpoint> {
  for (const { path } of kept) yield loadCheckpoint(path);
  if (!kept.some(({ step }) => step === best.state.step)) yield best;
}

function openData({ data, tile }: RunFacts, options: ReportOptions): TileStore {
  const store = openTileStore(options.data ?? data);
  if (store.size.join() !== tile.join())
    throw new UserError('data', {
      what: 'these are not the tiles of this run',
      where: store.folder,
      got: store.size.join('×'),
      expected: tile.join('×'),
      fix: 'pass the tiles of this run with --data',
    });
  return store;
}

/**
 * Analyses a run's kept checkpoints on validation wholes (section 3.3 of the paper) and writes `report.html`.
 * @throws UserError for bad options, when there is no run, no checkpoint, or the tiles are not where they were
 * @example
 * const { report } = await makeReport({ run: 'runs/first' });
 */
export async function makeReport(options: ReportOptions): Promise<ReportSummary> {
  const { wholes = 48, parts = 12 } = options;
  checkInteger('--wholes', wholes, 2);
  checkInteger('--parts', parts, 2);
  const facts = readRun(options.run);
  const { config } = facts;
  refuseBatchStatistics(config.network, 'reported on');
  const store = openData(facts, options);
  if (store.validation.length < 2)
    throw new UserError('data', {
      what: 'a report compares parts of several wholes, but the store has one validation tile',
      where: store.folder,
      expected: 'two or more',
      fix: 'prepare it with smaller tiles or more validation scans, and pass it with --data',
    });
  const samples = analysisParts(store, config, wholes, parts);
  const kept = listCheckpoints(options.run);
  const paths = kept.map(({ path }) => path);
  const best = resolveCheckpoint(options.run, 'best');
  const measured = curves(options.run);
  const engine = await openEngine(options.device ?? config.device);
  const evaluator = await createEvaluator(config, facts.tile, engine);
  const { reporter = silent } = options;
  const progress = reporter.start({ label: 'report', total: paths.length + 1, unit: 'checkpoints' });
  try {
    const { validation } = measured;
    const analysed = await analyseCheckpoints(
      { evaluator, engine, store, config, samples, parts },
      keptAndBest(kept, best),
      new Map(validation.map(({ step, mse }) => [step, mse])),
      (done) => progress.update(done),
    );
    const after = analysed.find(({ scores }) => scores.step === best.state.step)!;
    const before = analysed[0]!;
    const scores = analysed.map((a) => a.scores).sort((a, b) => a.step - b.step);
    const shownPaths = spreadOver(paths.length, SHOWN_CHECKPOINTS).map((i) => paths[i]!);
    const shown = [...shownPaths.map((path) => loadCheckpoint(path))];
    if (!shown.some(({ state }) => state.step === best.state.step)) shown.push(best);
    shown.sort((a, b) => a.state.step - b.state.step);
    const baseline = meanWholeMse(store, config);
    const data: ReportData = {
      ...measured,
      // With a contrastive term, the loss of a step is no error of reconstruction.
      training: config.contrastive.weight > 0 ? [] : measured.training,
      title: `${METHODS[config.proxy].name} run ${basename(resolve(options.run))}`,
      proxy: config.proxy,
      isContrastive: config.contrastive.weight > 0,
      createdAt: new Date().toISOString(),
      headline: headline(before.scores, after.scores, baseline),
      meanWholeMse: baseline,
      checkpoints: scores,
      contrastiveBounds: contrastiveBounds(CONTRASTIVE),
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
      label: `Best validation MSE, at step ${after.step}`,
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
function curves(run: string): Pick<ReportData, 'training' | 'validation' | 'learningRates'> {
  const path = join(run, 'metrics.jsonl');
  const records = existsSync(path) ? readMetrics(path) : [];
  const number = (value: unknown) => value as number;
  return {
    training: records.filter((r) => 'loss' in r).map((r) => ({ step: number(r.step), loss: number(r.loss) })),
    validation: records
      .filter((r) => 'validationLoss' in r)
      .map((r) => ({ step: number(r.step), mse: number(r.validationLoss) })),
    learningRates: records
      .filter((r) => 'epoch' in r)
      .map((r) => ({ step: number(r.step), learningRate: number(r.learningRate) })),
  };
}

/** Machine and timing of the last session, and the time of all. */
export function sessionFacts(run: string): Pick<ReportData, 'machine' | 'timing'> {
  const sessions = readSessions(run);
  const last = sessions.at(-1);
  if (!last) return { machine: {}, timing: {} };
  const text = (record: object) =>
    Object.fromEntries(Object.entries(record).map(([key, value]) => [key, String(value)]));
  const total = sessions.reduce((sum, s) => sum + Number(s.seconds), 0);
  return {
    machine: { ...text((last.machine ?? {}) as object), engine: `${last.engine}, ${last.provider}` },
    timing: {
      'training time': `${(total / 60).toFixed(1)} min${sessions.length > 1 ? ` in ${sessions.length} sessions` : ''}`,
      throughput: `${Number(last.stepsPerSecond).toPrecision(3)} steps/s, ${Number(last.samplesPerSecond).toPrecision(3)} samples/s`,
      'waiting for data': `${(100 * Number(last.dataWait)).toFixed(1)} %`,
      'peak memory': `${(Number(last.peakMemoryBytes) / 1e9).toFixed(2)} GB`,
    },
  };
}
