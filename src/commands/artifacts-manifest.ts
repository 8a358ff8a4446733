/** `manifest.json` of training artifacts: what the models take and give, and the run that they stand for. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { checkFinetuneConfig } from '../config/finetuning.js';
import { checkConfig } from '../config/pretraining.js';
import { sizeSchema } from '../config/training.js';
import { sampleFormatSchema } from '../data/samples/manifest.js';
import type { XYZ } from '../data/scan/volume.js';
import { fromSystemError, UserError } from '../errors.js';
import { type FinetuneRunFacts, type RunFacts, spacingSchema } from '../runs/run.js';

export const ARTIFACT_TASKS = ['pretrain', 'classify', 'segment'] as const;
export type ArtifactTask = (typeof ARTIFACT_TASKS)[number];

export const FILES = {
  training: 'training_model.onnx',
  evaluation: 'eval_model.onnx',
  optimizer: 'optimizer_model.onnx',
  weights: 'weights_model.onnx',
  checkpoint: 'checkpoint',
} as const;
export const MANIFEST = 'manifest.json';
export const README = 'README.md';
/** The optimiser's state of each parameter, in the order of a checkpoint's moments. */
export const MOMENT_SLOTS = ['m', 'v'] as const;

const FORMAT = 'parts2whole-artifacts';
const VERSION = 1;

const shapeSchema = z.array(z.int().min(0));
const valueSchema = z.object({ name: z.string(), type: z.string(), shape: shapeSchema });

const manifestSchema = z.object({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  /** `model`: an ONNX model by a loss on its output. */
  task: z.enum([...ARTIFACT_TASKS, 'model']),
  /** What a caller gives, in the models' order, and gets. */
  inputs: z.array(valueSchema),
  outputs: z.array(valueSchema),
  parameters: z.array(z.object({ name: z.string(), shape: shapeSchema, trainable: z.boolean() })),
  optimizer: z.object({ name: z.enum(['adamw', 'sgd']) }).loose(),
  schedule: z.object({}).loose(),
  files: z.object({}).loose(),
  /** A run's config.json, or where the model is and what of it is trained, for bringing weights back. */
  run: z.object({}).loose(),
  dataHash: z.string(),
});
export type ArtifactsManifest = z.infer<typeof manifestSchema>;

/** A manifest in the current version. */
export const artifactsManifest = (
  content: Omit<ArtifactsManifest, 'format' | 'version'>,
): ArtifactsManifest => manifestSchema.parse({ format: FORMAT, version: VERSION, ...content });

export const artifactsManifestPath = (folder: string): string => join(folder, MANIFEST);

/** @throws UserError when it is missing or damaged */
export function readArtifactsManifest(folder: string): ArtifactsManifest {
  const path = artifactsManifestPath(folder);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw fromSystemError(error, path);
  }
  try {
    return manifestSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new UserError('input', {
      what: 'this is not a manifest written by `p2w artifacts`',
      where: path,
      cause,
    });
  }
}

/** A model that is trained on a device. */
const modelSchema = z.strictObject({
  model: z.string(),
  sha256: z.string(),
  inputSizes: z.record(z.string(), z.array(z.int().positive())),
  freeze: z.array(z.string()),
});
export type ModelFacts = z.infer<typeof modelSchema>;

/** @throws UserError when what a manifest says of its run is not what it should be */
function checked<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new UserError('input', {
    what: 'the manifest of the artifacts is damaged',
    where,
    cause: result.error,
  });
}

/** What a manifest says of the model that is trained. @throws UserError when it is damaged */
export const modelFactsOf = ({ run }: ArtifactsManifest, where: string): ModelFacts =>
  checked(modelSchema, run, where);

/** A run's facts, as they were written into a manifest. @throws UserError naming each wrong key */
export function factsOf({ run, task }: ArtifactsManifest, where: string): RunFacts | FinetuneRunFacts {
  const { data, tile, format, spacing = null, ...config } = run as Record<string, unknown>;
  if (task === 'pretrain')
    return {
      data: String(data),
      tile: checked(sizeSchema, tile, where) as XYZ,
      config: checkConfig(config, where),
    };
  return {
    data: String(data),
    format: checked(sampleFormatSchema, format, where),
    spacing: checked(spacingSchema, spacing, where),
    config: checkFinetuneConfig(config, where),
  };
}
