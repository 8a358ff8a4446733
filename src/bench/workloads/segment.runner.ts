/** The runner that segments a scan by this package. */
import { openImageModel } from '../../inference/image-model.js';
import { readModelScan } from '../../inference/model-scan.js';
import { checkedWindows } from '../../inference/predict-scan.js';
import { segmentScan } from '../../inference/segmentation.js';
import { nodeEngine } from '../../runtime/node.js';
import { serveRounds } from '../runner-loop.js';
import type { SegmentJob } from './segment.js';

const { model: path, scan: scanPath, overlap, batch, threads } = JSON.parse(process.argv[2]!) as SegmentJob;
const model = openImageModel(path, nodeEngine, threads);
const windows = checkedWindows(model, { batch }, overlap);
const scan = await readModelScan(scanPath, model, () => {});
await serveRounds(() => segmentScan(model, scan, windows, false), `${nodeEngine.name}, fast forms`, threads);
