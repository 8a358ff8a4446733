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
export { type AnalyzeOptions, type AnalyzeSummary, analyze } from './commands/analyze.js';
export { type ArtifactsOptions, type ArtifactsSummary, writeArtifacts } from './commands/artifacts.js';
export { type ImportOptions, type ImportSummary, importArtifacts } from './commands/artifacts-import.js';
export { type AverageOptions, type AverageSummary, average } from './commands/average.js';
export {
  type Classified,
  type ClassifyOptions,
  type ClassifySummary,
  classify,
} from './commands/classify.js';
export { type DemoSummary, runDemo } from './commands/demo.js';
export { type DoctorReport, doctor } from './commands/doctor.js';
export { type EmbedOptions, type EmbedSummary, embed } from './commands/embed.js';
export { type EvaluateOptions, evaluate } from './commands/evaluate.js';
export type { Evaluation, Metrics } from './commands/evaluation.js';
export { type ExportOptions, type ExportSummary, exportModel } from './commands/export.js';
export type { TargetExportSummary } from './commands/export-files.js';
export { exportTarget } from './commands/export-target.js';
export { type FinetuneOptions, finetune } from './commands/finetune.js';
export type { FinetuneSummary, TrialSummary } from './commands/finetune-summary.js';
export { type GraphOptions, type GraphReport, makeGraph } from './commands/graph.js';
export { type ModelGraphOptions, makeModelGraph } from './commands/graph-imported.js';
export { type Inspection, type InspectOptions, inspect } from './commands/inspect.js';
export { type IndexSummary, type MakeIndexOptions, makeIndex } from './commands/make-index.js';
export { type MergeOptions, type MergeSummary, merge } from './commands/merge.js';
export { type PhantomsSummary, type WritePhantomsOptions, writePhantoms } from './commands/phantom.js';
export {
  type TaskPhantomOptions,
  type TaskPhantomSummary,
  writeTaskPhantoms,
} from './commands/phantom-task.js';
export {
  type PrepareOptions,
  type PrepareSummary,
  prepare,
  prepareShard,
  type ShardSummary,
} from './commands/prepare.js';
export {
  type PrepareSamplesOptions,
  type PrepareSamplesSummary,
  prepareSamples,
  prepareSamplesShard,
} from './commands/prepare-samples.js';
export { type PrepareUnlabelledOptions, prepareUnlabelled } from './commands/prepare-unlabelled.js';
export { type PretrainOptions, pretrain } from './commands/pretrain.js';
export type { PretrainSummary } from './commands/pretrain-summary.js';
export { type QueryScanOptions, type QuerySummary, queryScan, type VoxelBox } from './commands/query.js';
export {
  type ReconstructionErrors,
  type ReconstructOptions,
  type ReconstructSummary,
  reconstruct,
} from './commands/reconstruct.js';
export { makeReport, type ReportOptions, type ReportSummary } from './commands/report.js';
export {
  makeTargetReport,
  type TargetReportOptions,
  type TargetReportSummary,
} from './commands/report-target.js';
export { type ClassVolume, type SegmentOptions, type SegmentSummary, segment } from './commands/segment.js';
export { type Verification, verify } from './commands/verify.js';
export type { WholeScanOptions } from './commands/whole-scans.js';
export { readConfigFile } from './config/file.js';
export { type FinetuneConfig, type FinetuneSources, resolveFinetuneConfig } from './config/finetuning.js';
export type { ConfigChanges, ConfigFile, DeepPartial } from './config/layers.js';
export { type Config, type ConfigSources, resolveConfig } from './config/pretraining.js';
export { type ValidationOptions, validationBatches } from './data/loading/batches.js';
export { type LoaderOptions, openLoader } from './data/loading/loader.js';
export type { Loader } from './data/loading/read-ahead.js';
export type { CorruptedBatch } from './data/proxies/genesis/batch.js';
export type { Batch } from './data/proxies/index.js';
export type { PartBatch } from './data/proxies/parts2whole/part-batch.js';
export { type Box, type PartOptions, samplePart } from './data/proxies/parts2whole/parts.js';
export type { SamplingOptions } from './data/proxies/proxy.js';
export type { SampleEntry } from './data/samples/manifest.js';
export { openSampleStore, readSample, type SampleContent, type SampleStore } from './data/samples/store.js';
export { orientLPS, voxelToWorld, worldToVoxel } from './data/scan/geometry.js';
export {
  type FindOptions,
  findScans,
  readScanHeader,
  readVolume,
  type ScanHeader,
} from './data/scan/index.js';
export { writeMetaImage } from './data/scan/metaimage.js';
export { writeNifti } from './data/scan/nifti.js';
export { type Normalisation, normaliseVolume } from './data/scan/normalise.js';
export type { Grid, LabelMap, Volume, Voxels, XYZ } from './data/scan/volume.js';
export { type VolumeFormat, writeVolume } from './data/scan/write-volume.js';
export type { Failure } from './data/store/arrays.js';
export type { Split, TileSource } from './data/store/tile-source.js';
export { openTileStore, readTile, type TileRef, type TileStore, tilesOf } from './data/store/tiles.js';
export { openMpi } from './distributed/mpi.js';
export type { Ranks } from './distributed/ranks.js';
export { type ErrorFacts, type ErrorKind, UserError } from './errors.js';
export { openEngine } from './execution/open-engine.js';
export {
  type ExperimentOptions,
  type ExperimentShard,
  runExperiment,
  runExperimentShard,
} from './experiments/experiment.js';
export type { Fig2Result } from './experiments/fig2.js';
export type { ExperimentResult } from './experiments/result.js';
export { type Encoder, type Encoding, openEncoder } from './inference/encoder.js';
export type { Precision, PrecisionReport } from './inference/precision.js';
export type { WindowOptions } from './inference/predict-scan.js';
export { openModelFile } from './onnx-file.js';
export type { Progress, ProgressOptions, Reporter, Reporting } from './progress.js';
export { type RandomStream, randomStream, type StreamKey } from './random.js';
export type { CheckpointName } from './runs/checkpoint.js';
export type { EngineName } from './runtime/device.js';
export type { Engine, EngineTensor, Session, SessionOptions, Tensors } from './runtime/engine.js';
export { nodeEngine } from './runtime/node.js';
export { buildIndex, type IndexOptions } from './search/build-index.js';
export type { FeatureRow } from './search/feature-row.js';
export type { IndexManifest } from './search/manifest.js';
export { type Hit, openIndex, type QueryOptions, queryIndex, type SearchIndex } from './search/open-index.js';
export type { Shard } from './shard.js';
export { terminalReporter } from './terminal-progress.js';
export {
  type ModelTraining,
  type ModelTrainingOptions,
  openModelTraining,
} from './train/model-training.js';
export type { TrainingSummary } from './train/train-run.js';
export {
  formatLoad,
  type LoadOptions,
  type LoadReport,
  loadWeights,
  type NetworkPart,
} from './weights/load-weights.js';
export type { NamedTensor, Safetensors } from './weights/safetensors.js';
export { readSafetensors, writeSafetensors } from './weights/safetensors-file.js';
export { readWeights } from './weights/weight-file.js';
export type { Weights, WeightTensor } from './weights/weights.js';
