/** `manifest.json` of a sample store: images of one size, each with a class or a mask. */
import { existsSync, readFileSync } from 'node:fs';
import * as z from 'zod';
import { fromSystemError, UserError } from '../../errors.js';
import { hasManifest, manifestPath } from '../store/manifest.js';
import { windowSchema } from '../store/wholes.js';

const FORMAT = 'parts2whole-samples';
const VERSION = 2;
export const PREPARE_SAMPLES_AGAIN = 'delete the folder and run `p2w prepare --task` again';

const length = z.int().positive();
const triple = <T extends z.ZodType>(item: T) => z.tuple([item, item, item]).readonly();
export const SAMPLE_SPLITS = ['train', 'validation', 'test'] as const;
export type SampleSplit = (typeof SAMPLE_SPLITS)[number];

/** One image with its class or mask. */
export const sampleSchema = z.strictObject({
  id: z.string().min(1),
  /** Samples of a patient are all in one split. */
  patient: z.string().min(1),
  split: z.enum(SAMPLE_SPLITS),
  /** Distance of voxel centres in mm. */
  spacing: triple(z.number().positive()),
  /** Number of its class, from 0; null where there is a mask instead. */
  label: z.int().min(0).nullable(),
  /** Voxels of each class in its mask; null in classification. */
  classVoxels: z.array(z.int().min(0)).readonly().nullable(),
  /** Arrays below the store's folder: `<shard>.image.npy`, `<shard>.mask.npy`. */
  shard: z.string().regex(/^shards\/(?!(.*\/)?\.\.(\/|$)).+$/, 'a path below shards/'),
  /** Place in the arrays. */
  index: z.int().min(0),
  /** Of the bytes of its image and then its mask. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type SampleEntry = z.infer<typeof sampleSchema>;

export const sampleFormatSchema = z
  .strictObject({
    /** The adapter that read the data. */
    task: z.string().min(1),
    kind: z.enum(['classification', 'segmentation']),
    /** Names of the classes; in a mask, 1 is the first of them and 0 is background. */
    classes: z
      .array(z.string().min(1, 'a class needs a name'))
      .min(1)
      .max(255)
      .refine((names) => new Set(names).size === names.length, 'two classes have the same name'),
    /** Voxels of an image along x, y, z. */
    size: triple(length),
    channels: length,
    /** Type of the voxels: int16 is HU. */
    type: z.enum(['int16', 'float32']),
    /** HU that become 0 and 1; null where values were normalised before. */
    window: windowSchema.nullable(),
  })
  .refine(({ kind, classes }) => kind === 'segmentation' || classes.length > 1, {
    path: ['classes'],
    error: 'classification needs at least two classes',
  });
/** What all samples of a store have in common. */
export type SampleFormat = z.infer<typeof sampleFormatSchema>;

const manifestSchema = z.strictObject({
  format: z.literal(FORMAT),
  version: z.literal(VERSION),
  createdBy: z.string(),
  ...sampleFormatSchema.shape,
  samples: z.array(sampleSchema).readonly(),
  /** What could not be used, and why. */
  failures: z.array(z.strictObject({ source: z.string(), message: z.string() })).readonly(),
});
export type SampleManifest = z.infer<typeof manifestSchema>;

/** @throws UserError that names what cannot be */
export function checkSampleFormat(format: SampleFormat): SampleFormat {
  const result = sampleFormatSchema.safeParse(format);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const [key] = issue!.path as [keyof SampleFormat];
  throw new UserError('usage', { what: issue!.message, where: key, got: String(format[key]) });
}

/** Whether a folder holds samples, whatever their state. */
export const isSampleStore = (folder: string): boolean => hasManifest(folder, FORMAT);

/** A manifest in the current version, as the text of its file. */
export const sampleManifestText = (content: Omit<SampleManifest, 'format' | 'version'>): string =>
  `${JSON.stringify(manifestSchema.parse({ format: FORMAT, version: VERSION, ...content }))}\n`;

/** The error for a store that is not as `prepare` left it. */
export const damagedSamples = (where: string, got: string) =>
  new UserError('data', {
    what: 'the sample store is damaged',
    where,
    got,
    fix: PREPARE_SAMPLES_AGAIN,
  });

/** Reads and checks a store's manifest. @throws UserError of kind `data` */
export function readSampleManifest(folder: string): SampleManifest {
  const path = manifestPath(folder);
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) throw damagedSamples(path, error.message);
    throw new UserError('data', {
      what: existsSync(folder)
        ? 'this folder contains no samples, or `p2w prepare --task` did not finish'
        : 'there is no such folder of samples',
      where: folder,
      fix: 'give the folder that `p2w prepare --task TASK --input DATA --out FOLDER` has written, or run that again',
      cause: fromSystemError(error, path),
    });
  }
  const head = z.object({ format: z.literal(FORMAT), version: z.unknown() }).safeParse(content);
  if (!head.success)
    throw new UserError('data', {
      what: 'this folder contains no samples of a task',
      where: folder,
      got: String((content as { format?: unknown } | null)?.format ?? 'another manifest.json'),
      expected: FORMAT,
      fix: 'make them with `p2w prepare --task`',
    });
  if (head.data.version !== VERSION)
    throw new UserError('data', {
      what: 'these samples were made by a different version of this software',
      where: path,
      got: `version ${JSON.stringify(head.data.version)}`,
      expected: `version ${VERSION}`,
      fix: PREPARE_SAMPLES_AGAIN,
    });
  const result = manifestSchema.safeParse(content);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw damagedSamples(path, `${issue?.path.join('.')}: ${issue?.message}`);
}
