import { basename, dirname, join, resolve } from 'node:path';
import { contrastiveBounds, contrastiveLoss } from '../analysis/contrastive.js';
import { cosineSeparation } from '../analysis/cosine.js';
import { principalComponents, umap } from '../analysis/embedding.js';
import type { PartFeatures } from '../analysis/features.js';
import { nearestNeighbourAccuracy, silhouette } from '../analysis/neighbours.js';
import { TSNE_STEPS, tsne } from '../analysis/tsne.js';
import { DEFAULT_PART } from '../data/proxies/parts2whole/parts.js';
import { openTileStore } from '../data/store/tiles.js';
import { checkInteger, UserError } from '../errors.js';
import { openEngine } from '../execution/open-engine.js';
import { makeFolder, writeTogether } from '../files.js';
import { checkIntensities, openEncoder } from '../inference/encoder.js';
import { checkThreads } from '../machine.js';
import { pretrainedFile } from '../pretrained.js';
import { type Reporter, type Reporting, silent } from '../progress.js';
import { permutation, randomStream } from '../random.js';
import { type EncoderAnalysis, renderAnalysis } from '../report/analysis-page.js';
import { type EmbeddedPart, embeddingChart } from '../report/embedding-chart.js';
import { slug } from '../slug.js';
import { spreadOver } from '../spread.js';
import { toCsv } from '../tables/csv.js';
import { CONTRASTIVE } from './analyse-run.js';
import { encodeParts, rowsOf, sampleParts, withoutWholes } from './encoded-parts.js';

export interface AnalyzeOptions extends Reporting {
  /** Encoders that `openEncoder` opens; their names, or those of their folders. */
  readonly models: readonly { readonly path: string; readonly name?: string }[];
  /** A tile store; its validation wholes are taken. */
  readonly data: string;
  /** Folder for the results. */
  readonly out: string;
  /** Wholes that are embedded, and parts of each; 10 and 200 in the paper. */
  readonly wholes?: number;
  readonly parts?: number;
  /** Wholes that pairs are drawn from at most, and parts of each. */
  readonly pairWholes?: number;
  readonly pairParts?: number;
  readonly seed?: number;
  readonly threads?: number;
  readonly device?: string;
}

/** What was found of one encoder, without the points. */
export interface EncoderMeasures {
  readonly name: string;
  readonly model: string;
  readonly silhouette: number;
  readonly nearestNeighbour: number;
  readonly overlap: number;
  readonly dPrime: number;
  readonly cosineAuc: number;
  readonly contrastiveLoss: number;
}

export interface AnalyzeSummary {
  readonly encoders: readonly EncoderMeasures[];
  readonly files: Readonly<Record<'page' | 'json' | 'csv' | 'points', string>>;
}

/** Pairs of each kind a whole (Fig. 2b). */
const PAIRS = 100;

function checkCounts(options: Readonly<Record<string, number>>, available: number, folder: string): void {
  for (const [option, count] of Object.entries(options)) checkInteger(option, count, 2);
  if (available < 2)
    throw new UserError('data', {
      what: 'the store has too few validation wholes to compare',
      where: folder,
      got: String(available),
      expected: 'at least 2',
    });
}

/** t-SNE of many points takes long: it has a bar of its own. */
function tsneWithBar(name: string, points: number[][], reporter: Reporter): [number, number][] {
  const bar = reporter.start({ label: `t-SNE of ${name}`, total: TSNE_STEPS, unit: 'steps' });
  try {
    return tsne(points, (done) => bar.update(done));
  } finally {
    bar.stop();
  }
}

/** A name for each model: given, or its folder's. */
function namesOf(models: AnalyzeOptions['models']): string[] {
  const names = models.map(
    ({ path, name }) => name ?? basename(dirname(resolve(pretrainedFile(path, 'model') ?? path))),
  );
  const files = names.map(slug);
  const twice = names.find((_, i) => files.indexOf(files[i]!) !== i);
  if (twice === undefined) return names;
  throw new UserError('usage', {
    what: 'two models have the same name, or names that give the same file',
    where: '--name',
    got: twice,
    fix: 'give a --name for each --model',
  });
}

/**
 * Analyses what the features of encoders have learnt (Sect. 3.3 of the paper): maps of parts by t-SNE and UMAP, cosine
 * similarity of pairs, contrastive loss. All encoders see the same parts of the same validation wholes.
 * Writes analysis.html, .json, .csv and points.csv, and the maps as SVG.
 * @throws UserError for models that are no encoders, too few wholes, and a full disk
 * @example
 * await analyze({ models: [{ path: 'encoder/encoder.onnx' }], data: 'tiles', out: 'analysis' });
 */
export async function analyze(options: AnalyzeOptions): Promise<AnalyzeSummary> {
  const { models, out, seed = 1, parts = 200, pairParts = 24 } = options;
  const names = namesOf(models);
  checkThreads('threads', options.threads ?? 0, 0);
  const store = openTileStore(options.data);
  const available = store.validation.length;
  const wanted = { wholes: options.wholes ?? 10, parts, pairWholes: options.pairWholes ?? 64, pairParts };
  checkCounts(wanted, available, store.folder);
  const wholes = Math.min(wanted.wholes, available);
  const embeddedTiles = [...permutation(randomStream(seed, 'analyze wholes'), available)].slice(0, wholes);
  const pairTiles = spreadOver(available, wanted.pairWholes);
  const embedded = sampleParts(store.size, embeddedTiles, parts, {
    scale: [1 / 16, 1],
    seed,
    withWhole: true,
  });
  const paired = sampleParts(store.size, pairTiles, pairParts, {
    scale: DEFAULT_PART.scale,
    seed: seed + 1,
    withWhole: false,
  });
  makeFolder(out);
  const engine = await openEngine(options.device ?? 'auto');
  const encoders = models.map(({ path }) => openEncoder(path, engine, options.threads ?? 0));
  for (const [i, encoder] of encoders.entries()) checkIntensities(encoder, models[i]!.path, store);
  const { reporter = silent } = options;
  const progress = reporter.start({
    label: 'analyze',
    total: models.length * (embedded.length + paired.length),
    unit: 'parts',
  });
  let done = 0;
  const step = (count: number) => {
    done += count;
    progress.update(done);
  };
  const analysed: EncoderAnalysis[] = [];
  try {
    for (const [i, encoder] of encoders.entries()) {
      const map = await encodeParts(encoder, store, embedded, step);
      const pairs = await encodeParts(encoder, store, paired, step);
      const bank: PartFeatures = { wholes: pairTiles.length, partsPerWhole: pairParts, ...pairs };
      const components = principalComponents(rowsOf(map.values, map.dimensions));
      const place = (points: readonly (readonly [number, number])[]): EmbeddedPart[] =>
        points.map(([x, y], p) => ({ x, y, whole: embedded[p]!.whole, scale: embedded[p]!.scale }));
      const inMap = withoutWholes(map.values, map.dimensions, wholes, parts);
      analysed.push({
        name: names[i]!,
        dimensions: map.dimensions,
        silhouette: silhouette(inMap),
        nearestNeighbour: nearestNeighbourAccuracy(inMap),
        tsne: place(tsneWithBar(names[i]!, components, reporter)),
        umap: place(umap(components, seed)),
        cosine: cosineSeparation(bank, { pairs: PAIRS, seed }),
        contrastiveLoss: contrastiveLoss(bank, { ...CONTRASTIVE, seed }),
      });
    }
  } finally {
    progress.stop();
    for (const encoder of encoders) await encoder.release();
  }
  return writeAnalysis(options, analysed, {
    embedded: { wholes, parts },
    paired: { wholes: pairTiles.length, parts: pairParts },
  });
}

function writeAnalysis(
  { out, models }: AnalyzeOptions,
  analysed: readonly EncoderAnalysis[],
  counts: { embedded: { wholes: number; parts: number }; paired: { wholes: number; parts: number } },
): AnalyzeSummary {
  const encoders = analysed.map(
    ({ name, silhouette, nearestNeighbour, cosine, contrastiveLoss }, i): EncoderMeasures => ({
      name,
      model: models[i]!.path,
      silhouette,
      nearestNeighbour,
      overlap: cosine.overlap,
      dPrime: cosine.dPrime,
      cosineAuc: cosine.auc,
      contrastiveLoss,
    }),
  );
  const file = (name: string) => join(out, name);
  const files = {
    page: file('analysis.html'),
    json: file('analysis.json'),
    csv: file('analysis.csv'),
    points: file('points.csv'),
  };
  const columns = Object.keys(encoders[0]!) as (keyof EncoderMeasures)[];
  const measures = encoders.map((row) => columns.map((column) => row[column]));
  const points = analysed.flatMap(({ name, tsne: first, umap: second }) =>
    first.map(({ x, y, whole, scale }, p) => [name, whole, scale, x, y, second[p]!.x, second[p]!.y]),
  );
  const head = ['encoder', 'whole', 'scale', 'tsne_x', 'tsne_y', 'umap_x', 'umap_y'];
  const charts = analysed.flatMap(({ name, tsne: first, umap: second }): [string, string][] => [
    [file(`tsne-${slug(name)}.svg`), embeddingChart(`t-SNE of ${name}`, first)],
    [file(`umap-${slug(name)}.svg`), embeddingChart(`UMAP of ${name}`, second)],
  ]);
  const bounds = contrastiveBounds(CONTRASTIVE);
  const page = renderAnalysis({ createdAt: new Date().toISOString(), encoders: analysed, bounds, ...counts });
  writeTogether([
    [files.csv, toCsv(columns, measures)],
    [files.points, toCsv(head, points)],
    ...charts,
    [files.json, `${JSON.stringify({ ...counts, encoders }, null, 2)}\n`],
    [files.page, page],
  ]);
  return { encoders, files };
}

/** The measures for people. */
export function formatAnalyze({ encoders, files }: AnalyzeSummary): string {
  return [
    ...encoders.map(
      (e) =>
        `${e.name}: silhouette ${e.silhouette.toFixed(3)}, 1-NN ${(100 * e.nearestNeighbour).toFixed(1)} %, cosine overlap ${e.overlap.toFixed(3)}, ` +
        `d′ ${e.dPrime.toFixed(2)}, AUC ${e.cosineAuc.toFixed(3)}, contrastive loss ${e.contrastiveLoss.toFixed(3)}`,
    ),
    `wrote ${files.page}`,
  ].join('\n');
}
