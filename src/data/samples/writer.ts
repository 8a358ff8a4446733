/**
 * Writing a sample store, one scan after another. A scan is finished when its record is there, which is written after
 * its arrays; so a run that was killed goes on with the first scan that has none.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as z from 'zod';
import { AtomicFile, makeFolder, writeFileAtomic } from '../../files.js';
import { type SampleEntry, type SampleFormat, sampleSchema } from './manifest.js';
import type { RawSample } from './source.js';
import { imageHeader, imagePath, maskHeader, maskPath, sampleHash } from './store.js';

/** What the manifest says of a sample, but for the split, which needs all patients. */
export type WrittenSample = Omit<SampleEntry, 'split'>;

const recordSchema = z.strictObject({
  /** See {@link originHash}. */
  origin: z.string(),
  samples: z.array(sampleSchema.omit({ split: true })),
});
const recordPath = (folder: string, id: string) => join(folder, 'records', `${id}.json`);

/** The samples of a scan that an earlier run has finished, if they are of the same origin. */
export function finishedSamples(folder: string, id: string, origin: string): WrittenSample[] | undefined {
  try {
    const record = recordSchema.parse(JSON.parse(readFileSync(recordPath(folder, id), 'utf8')));
    const there = record.samples.every(
      ({ shard, classVoxels }) =>
        existsSync(imagePath(folder, shard)) && (classVoxels === null || existsSync(maskPath(folder, shard))),
    );
    return there && record.origin === origin ? record.samples : undefined;
  } catch {
    return undefined; // none, or damaged: the scan is read again
  }
}

/** Voxels of each class of a mask. */
function countVoxels(mask: Uint8Array, classes: number): number[] {
  const counts = new Array<number>(classes + 1).fill(0);
  for (const label of mask) counts[label]!++;
  return counts.slice(1);
}

function writeArrays(path: string, header: Uint8Array, arrays: readonly NodeJS.ArrayBufferView[]): void {
  const file = new AtomicFile(path);
  try {
    file.write(header);
    for (const array of arrays) file.write(array);
    file.commit();
  } finally {
    file.discard();
  }
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
  for (const path of [imagePath(folder, shard), recordPath(folder, id)]) makeFolder(dirname(path), folder);
  if (samples.length > 0) {
    const [masks, images] = [samples.map(({ mask }) => mask!), samples.map(({ image }) => image)];
    if (format.kind === 'segmentation')
      writeArrays(maskPath(folder, shard), maskHeader(format, samples.length), masks);
    writeArrays(imagePath(folder, shard), imageHeader(format, samples.length), images);
  }
  const written = samples.map((sample, index) => ({
    id: sample.id,
    patient: sample.patient,
    spacing: sample.spacing,
    label: sample.label,
    classVoxels: sample.mask && countVoxels(sample.mask, format.classes.length),
    shard,
    index,
    sha256: sampleHash(sample),
  }));
  writeFileAtomic(recordPath(folder, id), `${JSON.stringify({ origin, samples: written })}\n`);
  return written;
}
