/**
 * Parts2Whole as a library: every command of `p2w` is a function here, with the same options.
 * Graphs are built with `parts2whole/graphs`.
 */

export { type BootstrapOptions, bootstrapIntervals, type Interval } from './analysis/bootstrap.js';
export { contrastiveLoss } from './analysis/contrastive.js';
export { type CosineSeparation, cosineSeparation } from './analysis/cosine.js';
export type { PartFeatures } from './analysis/features.js';
export {
  type Detection,
  type DetectionMarks,
  FROC_RATES,
  type Lesion,
  matchDetections,
  sensitivityAt,
} from './analysis/froc.js';
export { nearestNeighbourAccuracy, silhouette } from './analysis/neighbours.js';
export { type OverlapMeasures, overlapMeasures } from './analysis/overlap.js';
export { areaUnderRoc, averagePrecision, type Ranking, rankScores } from './analysis/ranking.js';
export {
  holm,
  pairedTTest,
  type TestResult,
  type TTestResult,
  welchTTest,
  wilcoxonSignedRank,
} from './analysis/significance.js';
export { mean, pearson, quantile, standardDeviation } from './analysis/statistics.js';
export { type SurfaceMeasures, surfaceMeasures } from './analysis/surface.js';
export { readConfigFile } from './config/file.js';
export { type FinetuneConfig, resolveFinetuneConfig } from './config/finetuning.js';
export { type Config, type ConfigSources, resolveConfig } from './config/pretraining.js';
export { findScans, readScanHeader, readVolume } from './data/formats/index.js';
export { writeMetaImage } from './data/formats/metaimage.js';
export { writeNifti } from './data/formats/nifti.js';
export { orientLPS, voxelToWorld, worldToVoxel } from './data/geometry.js';
export { type Batch, openLoader, validationBatches } from './data/loader.js';
export { type Normalisation, normaliseVolume } from './data/normalise.js';
export { type Box, type PartOptions, samplePart } from './data/parts.js';
export type { Loader } from './data/read-ahead.js';
export { openSampleStore, readSample, type SampleStore } from './data/samples/store.js';
export type { TileSource } from './data/tile-source.js';
export { openTileStore, readTile, type TileStore, tilesOf } from './data/tiles.js';
export type { Grid, Volume, XYZ } from './data/volume.js';
export { type ErrorKind, UserError } from './errors.js';
export { runExperiment } from './experiments/experiment.js';
export { type Encoder, type Encoding, openEncoder } from './inference/encoder.js';
export type { Progress, ProgressOptions, Reporter } from './progress.js';
export type { Engine, EngineTensor, Session } from './runtime/engine.js';
export { nodeEngine } from './runtime/node.js';
export { analyze } from './tasks/analyze.js';
export { type ArtifactsOptions, writeArtifacts } from './tasks/artifacts.js';
export { importArtifacts } from './tasks/artifacts-import.js';
export { type AverageOptions, average } from './tasks/average.js';
export { runDemo } from './tasks/demo.js';
export { doctor } from './tasks/doctor.js';
export { embed } from './tasks/embed.js';
export { type EvaluateOptions, evaluate } from './tasks/evaluate.js';
export type { Evaluation } from './tasks/evaluation.js';
export { exportModel } from './tasks/export.js';
export { exportTarget } from './tasks/export-target.js';
export { finetune } from './tasks/finetune.js';
export { makeGraph } from './tasks/graph.js';
export { inspect } from './tasks/inspect.js';
export { writePhantoms } from './tasks/phantom.js';
export { writeTaskPhantoms } from './tasks/phantom-task.js';
export { prepare } from './tasks/prepare.js';
export { prepareSamples } from './tasks/prepare-samples.js';
export { pretrain } from './tasks/pretrain.js';
export { makeReport } from './tasks/report.js';
export { makeTargetReport } from './tasks/report-target.js';
export { terminalReporter } from './terminal-progress.js';
export {
  formatLoad,
  type LoadOptions,
  type LoadReport,
  loadWeights,
  type NetworkPart,
} from './train/load-weights.js';
export { openEngine } from './train/open-engine.js';
export { readSafetensors, writeSafetensors } from './train/safetensors-file.js';
export { readWeights } from './train/weight-file.js';
export type { Weights, WeightTensor } from './train/weights.js';
