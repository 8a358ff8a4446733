/** Writing a sample store, one scan after another. */
import * as z from 'zod';
import { finishedRecord, sha256, writeArray, writeRecord } from '../store/arrays.js';
import { type SampleFormat, sampleSchema } from './manifest.js';
import type { RawSample } from './source.js';
import { arraysOf, sampleHash, shardCounts } from './store.js';

const writtenSchema = sampleSchema
  .omit({ split: true })
  .extend({
    /** Of the image without its mask; records of earlier versions have none. */
    imageSha256: sampleSchema.shape.sha256.optional(),
  })
  .refine(({ imageSha256, classVoxels }) => imageSha256 || !classVoxels)
  .transform((sample) => ({ ...sample, imageSha256: sample.imageSha256 ?? sample.sha256 }));

/** What the manifest says of a sample, but for the split, which needs all patients, and what tells copies of an image. */
export type WrittenSample = z.infer<typeof writtenSchema>;

const recordSchema = z.strictObject({
  /** See {@link originHash}. */
  origin: z.string(),
  samples: z.array(writtenSchema),
});

/** The samples of a scan that an earlier run has finished, if they are of the same origin. */
export function finishedSamples(
  folder: string,
  format: SampleFormat,
  id: string,
  origin: string,
): WrittenSample[] | undefined {
  return finishedRecord(folder, id, recordSchema, (record) =>
    record.origin === origin ? storedArrays(folder, format, record.samples) : null,
  )?.samples;
}

/** All arrays that samples lie in. */
export const storedArrays = (
  folder: string,
  format: SampleFormat,
  samples: readonly Pick<WrittenSample, 'shard'>[],
) => [...shardCounts(samples)].flatMap(([shard, count]) => arraysOf(folder, format, shard, count));

/** Voxels of each class of a mask. */
function countVoxels(mask: Uint8Array, classes: number): number[] {
  const counts = new Array<number>(classes + 1).fill(0);
  for (const label of mask) counts[label]!++;
  return counts.slice(1);
}

/** A scan whose samples are to be stored. */
export interface SourceToWrite {
  readonly id: string;
  /** See {@link originHash}. */
  readonly origin: string;
  readonly samples: readonly RawSample[];
}

/** Writes the samples of one scan, in arrays of their own, and its record. @throws UserError of kind `disk` */
export function writeSamples(
  folder: string,
  format: SampleFormat,
  { id, origin, samples }: SourceToWrite,
): WrittenSample[] {
  const shard = `shards/${id}`;
  if (samples.length > 0) {
    const contents = [samples.map(({ image }) => image), samples.map(({ mask }) => mask!)];
    for (const [i, array] of arraysOf(folder, format, shard, samples.length).entries())
      writeArray(folder, array, contents[i]!);
  }
  const written = samples.map((sample, index) => {
    const hash = sampleHash(sample);
    return {
      id: sample.id,
      patient: sample.patient,
      spacing: sample.spacing,
      label: sample.label,
      classVoxels: sample.mask && countVoxels(sample.mask, format.classes.length),
      shard,
      index,
      sha256: hash,
      imageSha256: sample.mask ? sha256(sample.image) : hash,
    };
  });
  writeRecord(folder, id, { origin, samples: written });
  return written;
}
