import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { dicomWorkload } from '../../src/bench/workloads/dicom.js';
import { prepareWorkload } from '../../src/bench/workloads/prepare.js';
import type { WorkloadOptions } from '../../src/bench/workloads/workload.js';
import { DECODERS } from '../../src/data/scan/dicom/frame-reader.js';
import { writeNifti } from '../../src/data/scan/nifti.js';
import { ctSeries, writeFiles } from '../data/scan/dicom/writer.js';
import { noiseVolume, temporaryFolder } from '../data/store/tiles-sample.js';

const options = (change: Partial<WorkloadOptions>): WorkloadOptions => ({
  ...{ preset: 'tiny', batch: 1, threads: 2, device: 'cpu', python: 'python3', settings: [] },
  ...{ input: [], folder: temporaryFolder() },
  ...change,
});

/** What a runner is told. */
const jobOf = ({ command }: { readonly command: readonly string[] }) => JSON.parse(command.at(-1)!);

describe('DICOM', () => {
  test('both are told the folders that series lie in, and the threads that decode', async () => {
    const input = temporaryFolder();
    const series = join(input, 'patient', 'series');
    writeFiles(series, ctSeries(3));
    await writeNifti(join(input, 'scan.nii'), noiseVolume([4, 4, 4], 1));
    const { title, own, baselines } = await dicomWorkload(options({ input: [input], threads: 9 }));
    expect(title).toBe('1 DICOM series read');
    for (const runner of [own, ...baselines.simpleitk])
      expect(jobOf(runner)).toEqual({ folders: [series], threads: DECODERS });
  });

  test('scans of other formats are nothing to read', async () => {
    const input = temporaryFolder();
    await writeNifti(join(input, 'scan.nii'), noiseVolume([4, 4, 4], 1));
    await expect(dicomWorkload(options({ input: [input] }))).rejects.toThrow(/no DICOM series to read/);
  });
});

test('scans are tiled by as many threads as are asked for, and by as many processes or one', async () => {
  const input = temporaryFolder();
  await writeNifti(join(input, 'scan.nii'), noiseVolume([4, 4, 4], 1));
  const { own, baselines } = await prepareWorkload(options({ input: [input], threads: 2 }));
  expect(jobOf(own).threads).toBe(2);
  for (const specs of [baselines.nibabel, baselines.simpleitk])
    expect(specs.map((spec) => jobOf(spec).processes)).toEqual([2, 1]);
});
