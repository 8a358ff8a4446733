/**
 * Parts2Whole as a library: every command of `p2w` is a function here, with the same options.
 * Graphs are built with `parts2whole/graphs`.
 */

export type { Parameter } from '../graphs/nn/module.js';
export type { ElementType, TensorData } from '../graphs/onnx/types.js';
export { type BootstrapOptions, bootstrapIntervals, type Interval } from './analysis/bootstrap.js';
export { type ContrastiveOptions, contrastiveLoss } from './analysis/contrastive.js';
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
export { type Correlation, mean, pearson, quantile, standardDeviation } from './analysis/statistics.js';
export { type SurfaceMeasures, surfaceMeasures } from './analysis/surface.js';
export { readConfigFile } from './config/file.js';
export { type FinetuneConfig, type FinetuneSources, resolveFinetuneConfig } from './config/finetuning.js';
export type { ConfigFile } from './config/layers.js';
export { type Config, type ConfigSources, resolveConfig } from './config/pretraining.js';
export { findScans, readScanHeader, readVolume, type ScanHeader } from './data/formats/index.js';
export { writeMetaImage } from './data/formats/metaimage.js';
export { writeNifti } from './data/formats/nifti.js';
export type { CorruptedBatch } from './data/genesis/batch.js';
export { orientLPS, voxelToWorld, worldToVoxel } from './data/geometry.js';
export {
  type Batch,
  type LoaderOptions,
  openLoader,
  type SamplingOptions,
  validationBatches,
} from './data/loader.js';
export { type Normalisation, normaliseVolume } from './data/normalise.js';
export type { PartBatch } from './data/part-batch.js';
export { type Box, type PartOptions, samplePart } from './data/parts.js';
export type { Loader } from './data/read-ahead.js';
export type { SampleEntry } from './data/samples/manifest.js';
export { openSampleStore, readSample, type SampleContent, type SampleStore } from './data/samples/store.js';
export type { Split, TileSource } from './data/tile-source.js';
export { openTileStore, readTile, type TileRef, type TileStore, tilesOf } from './data/tiles.js';
export type { Grid, LabelMap, Volume, Voxels, XYZ } from './data/volume.js';
export { type ErrorFacts, type ErrorKind, UserError } from './errors.js';
export { type ExperimentOptions, type ExperimentResult, runExperiment } from './experiments/experiment.js';
export type { Fig2Result } from './experiments/fig2.js';
export { type Encoder, type Encoding, openEncoder } from './inference/encoder.js';
export type { Progress, ProgressOptions, Reporter, Reporting } from './progress.js';
export type { RandomStream } from './random.js';
export type { EngineName } from './runtime/device.js';
export type { Engine, EngineTensor, Session, SessionOptions, Tensors } from './runtime/engine.js';
export { nodeEngine } from './runtime/node.js';
export { type AnalyzeOptions, type AnalyzeSummary, analyze } from './tasks/analyze.js';
export { type ArtifactsOptions, type ArtifactsSummary, writeArtifacts } from './tasks/artifacts.js';
export { type ImportOptions, type ImportSummary, importArtifacts } from './tasks/artifacts-import.js';
export { type AverageOptions, type AverageSummary, average } from './tasks/average.js';
export { type DemoSummary, runDemo } from './tasks/demo.js';
export { type DoctorReport, doctor } from './tasks/doctor.js';
export { type EmbedOptions, type EmbedSummary, embed } from './tasks/embed.js';
export { type EvaluateOptions, evaluate } from './tasks/evaluate.js';
export type { Evaluation, Metrics } from './tasks/evaluation.js';
export { type ExportOptions, type ExportSummary, exportModel } from './tasks/export.js';
export { exportTarget, type TargetExportSummary } from './tasks/export-target.js';
export { type FinetuneOptions, finetune } from './tasks/finetune.js';
export type { FinetuneSummary, TrialSummary } from './tasks/finetune-summary.js';
export { type GraphOptions, type GraphReport, makeGraph } from './tasks/graph.js';
export { type Inspection, inspect } from './tasks/inspect.js';
export { type PhantomsSummary, type WritePhantomsOptions, writePhantoms } from './tasks/phantom.js';
export { type TaskPhantomOptions, type TaskPhantomSummary, writeTaskPhantoms } from './tasks/phantom-task.js';
export { type PrepareOptions, type PrepareSummary, prepare } from './tasks/prepare.js';
export {
  type PrepareSamplesOptions,
  type PrepareSamplesSummary,
  prepareSamples,
} from './tasks/prepare-samples.js';
export { type PretrainOptions, pretrain } from './tasks/pretrain.js';
export { makeReport, type ReportOptions, type ReportSummary } from './tasks/report.js';
export {
  makeTargetReport,
  type TargetReportOptions,
  type TargetReportSummary,
} from './tasks/report-target.js';
export { terminalReporter } from './terminal-progress.js';
export type { CheckpointName } from './train/checkpoint.js';
export {
  formatLoad,
  type LoadOptions,
  type LoadReport,
  loadWeights,
  type NetworkPart,
} from './train/load-weights.js';
export { openEngine } from './train/open-engine.js';
export type { NamedTensor, Safetensors } from './train/safetensors.js';
export { readSafetensors, writeSafetensors } from './train/safetensors-file.js';
export type { TrainingSummary } from './train/train-run.js';
export { readWeights } from './train/weight-file.js';
export type { Weights, WeightTensor } from './train/weights.js';
