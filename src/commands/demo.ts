import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DeepPartial } from '../config/layers.js';
import type { Config } from '../config/pretraining.js';
import type { XYZ } from '../data/scan/volume.js';
import { fromSystemError } from '../errors.js';
import { type Reporter, silent } from '../progress.js';
import { embed } from './embed.js';
import { exportModel } from './export.js';
import { markFolder } from './marked-folder.js';
import { writePhantoms } from './phantom.js';
import { prepare } from './prepare.js';
import { pretrain } from './pretrain.js';
import { makeReport, type ReportSummary } from './report.js';

export interface DemoSummary extends ReportSummary {
  readonly encoder: string;
  readonly features: string;
  readonly featureError: number;
  readonly dataWait: number;
  readonly seconds: number;
}

const SCANS = 120;
const SCAN_SIZE: XYZ = [64, 64, 32];
const TILE_SIZE: XYZ = [32, 32, 16];
/** The smallest preset, made to fit into minutes on two cores. Phantoms have hardly a voxel above 400 HU. */
const CONFIG: DeepPartial<Config> = {
  steps: 480,
  batch: 8,
  window: { high: 400 },
  validation: { every: 48, samples: 96 },
  checkpoints: { keepLogSpaced: 9 },
};
const ANALYSED = { wholes: 64, parts: 6 };

/** Removes what an earlier demo has made. @throws UserError for a folder of something else */
function clearDemo(out: string, folders: readonly string[]): void {
  markFolder(out, { command: 'demo' });
  try {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  } catch (error) {
    throw fromSystemError(error, out);
  }
}

/**
 * The whole job on phantoms: scans, tiles, pre-training, analysis, export, features, report.
 * @param out folder: new, empty, or of an earlier demo, which is replaced
 * @param reporter is told of each step
 * @throws UserError for a folder of something else, and as its steps do
 * @example
 * const { report } = await runDemo('demo');
 */
export async function runDemo(out: string, reporter: Reporter = silent): Promise<DemoSummary> {
  const started = performance.now();
  const at = (name: string) => join(out, name);
  const [phantoms, tiles, run, model] = [at('phantoms'), at('tiles'), at('run'), at('encoder')];
  clearDemo(out, [phantoms, tiles, run, model]);
  reporter.log(`1/6 phantom: ${SCANS} chest CTs of ${SCAN_SIZE.join('×')} voxels`);
  const { scans } = await writePhantoms({
    out: phantoms,
    scans: SCANS,
    size: SCAN_SIZE,
    reporter,
  });
  reporter.log('2/6 prepare: cutting tiles, with a quarter of the scans for validation');
  await prepare({
    input: scans.map(({ path }) => path),
    out: tiles,
    size: TILE_SIZE,
    valFraction: 0.25,
    reject: 'air',
    reporter,
  });
  reporter.log('3/6 pretrain: the tiny preset');
  const trained = await pretrain({ data: tiles, out: run, preset: 'tiny', config: CONFIG, reporter });
  reporter.log('4/6 report: contrastive analysis of the checkpoints');
  const report = await makeReport({ run, ...ANALYSED, reporter });
  reporter.log('5/6 export: encoder.onnx');
  const exported = await exportModel({ run, out: model });
  reporter.log('6/6 embed: one feature vector per scan');
  const embedded = await embed({
    model: exported.model,
    input: scans.map(({ path }) => path),
    out: at('features.parquet'),
    reporter,
  });

  const seconds = (performance.now() - started) / 1000;
  const text = [
    report.text,
    `wrote ${exported.model} (features within ${exported.featureError.toExponential(1)} of the training network's)`,
    `wrote ${embedded.rows} feature vectors to ${embedded.files[0]}`,
    `waited ${(100 * trained.dataWait).toFixed(1)} % of the training time for data; ${seconds.toFixed(0)} s in total`,
  ].join('\n');
  return {
    ...report,
    text,
    encoder: exported.model,
    features: embedded.files[0]!,
    featureError: exported.featureError,
    dataWait: trained.dataWait,
    seconds,
  };
}
