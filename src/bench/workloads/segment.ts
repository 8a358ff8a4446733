import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { targetGraph } from '../../../graphs/programs/inference.js';
import { resolveFinetuneConfig } from '../../config/finetuning.js';
import { resolveConfig } from '../../config/pretraining.js';
import { orientLPS } from '../../data/scan/geometry.js';
import { readVolume } from '../../data/scan/index.js';
import { writeNifti } from '../../data/scan/nifti.js';
import { writeNpy } from '../../data/scan/npy.js';
import type { Volume, XYZ } from '../../data/scan/volume.js';
import { UserError } from '../../errors.js';
import { buildGraph, portableModel } from '../../execution/models.js';
import { randomStream } from '../../random.js';
import { targetWorkload } from '../../train/target.js';
import { initialize } from '../../weights/initialize.js';
import { targetFormat } from './training.js';
import {
  nodeRunner,
  pythonRunner,
  threadCounts,
  torchRunners,
  type Workload,
  type WorkloadOptions,
} from './workload.js';

/** Share of a window that the next one covers again. */
const OVERLAP = 0.5;

/** What the runner of this package is told. */
export interface SegmentJob {
  /** An exported segmenter. */
  readonly model: string;
  /** A scan in LPS, as NIfTI. */
  readonly scan: string;
  readonly overlap: number;
  /** Windows that are computed at once. */
  readonly batch: number;
  readonly threads: number;
}

/** An untrained segmenter of one class, with skip connections, as `p2w export` writes it. */
function exportedSegmenter(preset: WorkloadOptions['preset']) {
  const { whole, network: plain } = resolveConfig({ preset });
  const network = { ...plain, skip: true };
  const format = targetFormat('segmentation', whole);
  const config = resolveFinetuneConfig({ kind: 'segmentation', config: { network, hidden: null, batch: 2 } });
  const { parameters } = buildGraph('evaluation', targetWorkload(config, format, null), config);
  const { kind, channels, window } = format;
  const graph = targetGraph(
    { kind, network, hidden: null, classes: 1, channels, inputType: 'float32', window },
    initialize(parameters, config.seed),
  );
  const metadata = {
    ...{ classes: '["class"]', normalise: 'hu', window: JSON.stringify(window) },
    ...{
      size_multiple: Array(3)
        .fill(2 ** network.levels)
        .join('x'),
      sample_size: whole.join('x'),
    },
  };
  return { model: portableModel(graph, { metadata }), network, window: whole };
}

/** Noise of two windows along each axis. */
function noiseScan(window: XYZ): Volume {
  const size = window.map((length) => 2 * length) as unknown as XYZ;
  const random = randomStream(0, 'random scan');
  const voxels = Int16Array.from({ length: size[0] * size[1] * size[2] }, () => random.between(-1000, 1000));
  return { size, spacing: [1, 1, 1], origin: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1], voxels };
}

/** The mask of a whole scan by sliding windows, from values in memory. */
export async function segmentWorkload({
  preset,
  batch,
  threads,
  python,
  input,
  folder,
}: WorkloadOptions): Promise<Workload<'monai' | 'openvino'>> {
  if (input.length > 1)
    throw new UserError('usage', {
      what: 'one scan is segmented',
      where: '--input',
      got: input.join(', '),
    });
  const { model: bytes, network, window } = exportedSegmenter(preset);
  const volume = input.length === 1 ? orientLPS(await readVolume(input[0]!)) : noiseScan(window);
  const [model, scan, array] = ['segmenter.onnx', 'scan.nii', 'scan.npy'].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  writeFileSync(model, bytes);
  await writeNifti(scan, volume);
  const [x, y, z] = volume.size;
  writeNpy(array, volume.voxels, [z, y, x]);
  const job: SegmentJob = { model, scan, overlap: OVERLAP, batch, threads };
  const { width, levels } = network;
  const shared = { ...job, scan: array, window: window.toReversed(), width, levels };
  return {
    title: `segmenting ${volume.size.join('×')} voxels, ${preset} in windows of ${window.join('×')}, overlap ${OVERLAP}, batch ${batch}`,
    own: nodeRunner('parts2whole', 'segment', job),
    baselines: {
      monai: torchRunners('monai', { python, threads }, 'segment_scan', { ...shared, library: 'torch' }),
      openvino: threadCounts(threads).map((count) =>
        pythonRunner('openvino', python, 'segment_scan', { ...shared, library: 'openvino', threads: count }),
      ),
    },
  };
}
