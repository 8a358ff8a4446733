/**
 * Writing a sample store, one scan after another. A scan is finished when its record is there, which is written after
 * its arrays; so a run that was killed goes on with the first scan that has none.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod';
import { AtomicFile, makeFolder, writeFileAtomic } from '../../files.js';
import { type SampleEntry, type SampleFormat, sampleFormatSchema, sampleSchema } from './manifest.js';
import type { RawSample } from './source.js';
import { imageHeader, imagePath, maskHeader, maskPath, sampleHash } from './store.js';

/** What the manifest says of a sample, but for the split, which needs all patients. */
export type WrittenSample = Omit<SampleEntry, 'split'>;

const recordSchema = z.strictObject({
  format: sampleFormatSchema,
  samples: z.array(sampleSchema.omit({ split: true })),
});
const recordPath = (folder: string, id: string) => join(folder, 'records', `${id}.json`);

/** The samples of a scan that an earlier run has finished in the same way. */
export function finishedSamples(
  folder: string,
  format: SampleFormat,
  id: string,
): WrittenSample[] | undefined {
  try {
    const record = recordSchema.parse(JSON.parse(readFileSync(recordPath(folder, id), 'utf8')));
    const there = record.samples.every(({ shard }) => existsSync(imagePath(folder, shard)));
    return there && isDeepStrictEqual(record.format, format) ? record.samples : undefined;
  } catch {
    return undefined; // none, or damaged: the scan is read again
  }
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

/** Writes the samples of one scan, in arrays of their own, and its record. @throws UserError of kind `disk` */
export function writeSamples(
  folder: string,
  format: SampleFormat,
  id: string,
  samples: readonly RawSample[],
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
    shard,
    index,
    sha256: sampleHash(sample),
  }));
  writeFileAtomic(recordPath(folder, id), `${JSON.stringify({ format, samples: written })}\n`);
  return written;
}
