/** What each kind of model makes of a scan. */
import { classified } from '../../commands/classify.js';
import { rowsOf } from '../../commands/embed.js';
import { picturesOfHits } from '../../commands/hit-pictures.js';
import { queryOf } from '../../commands/query.js';
import { reconstructionPicture } from '../../commands/reconstruct.js';
import { cleanMask, countLabels, maskPicture, voxelMl } from '../../commands/segment.js';
import type { ModelScan } from '../../inference/model-scan.js';
import { checkedWindows } from '../../inference/predict-scan.js';
import { reconstructScan } from '../../inference/reconstruction.js';
import { segmentScan } from '../../inference/segmentation.js';
import { middleVector, type WindowVector, windowVectors } from '../../inference/window-vectors.js';
import { queryIndex, type SearchIndex } from '../../search/open-index.js';
import { indexedScanPath } from '../index-facts.js';
import type { Answer, Output, ScanWork } from '../jobs.js';
import { jsonAnswer, niftiAnswer, npyAnswer, pngAnswer, voxelsAnswer } from './answers.js';
import type { WorkingModel } from './models.js';

/** A scan, what to make of it, and where to put the result. */
interface Task<Work extends ScanWork> {
  readonly model: WorkingModel;
  readonly scan: ModelScan;
  /** Gives the index that is searched. @throws Error when it is no longer the one that the service opened */
  readonly index: () => SearchIndex;
  /** What there is to say of the scan. */
  readonly notes: readonly string[];
  readonly work: Work;
  readonly output: Output;
  readonly folder: string;
  /** Is called after every batch of windows, and before every other scan that is read; may throw to end the work. */
  readonly onWindows: () => void;
}

type WorkOf<Name extends ScanWork['operation']> = Extract<ScanWork, { readonly operation: Name }>;

/** What is said in every JSON: by which model, and what was noticed. */
const about = ({ model: { facts }, notes }: Pick<Task<ScanWork>, 'model' | 'notes'>) => ({
  model: { name: facts.name, sha256: facts.sha256 },
  notes,
});

const rows = (vectors: readonly { readonly values: Float32Array }[]): Float32Array => {
  const [{ length }] = [vectors[0]!.values];
  const all = new Float32Array(vectors.length * length);
  for (const [i, { values }] of vectors.entries()) all.set(values, i * length);
  return all;
};

async function embed(task: Task<WorkOf<'embed'>>): Promise<Answer> {
  const { model, scan, work, output, onWindows } = task;
  const windows = checkedWindows(model.image, { overlap: work.overlap }, 0);
  const vectors = await windowVectors(model.image, scan, windows, 'features', onWindows);
  const found = rowsOf('', vectors, work.per);
  const dimensions = found[0]!.features.length;
  if (output === 'npy') {
    const values = rows(found.map(({ features }) => ({ values: features })));
    return npyAnswer(values, work.per === 'scan' ? [dimensions] : [found.length, dimensions]);
  }
  return jsonAnswer({
    ...about(task),
    dimensions,
    vectors: found.map(({ source: _, features, ...place }) => ({ ...place, features: [...features] })),
  });
}

async function classify(task: Task<WorkOf<'classify'>>): Promise<Answer> {
  const { model, scan, work, output, onWindows } = task;
  const windows = checkedWindows(model.image, { overlap: work.overlap }, 0);
  const vectors: readonly WindowVector[] =
    work.per === 'scan'
      ? [await middleVector(model.image, scan, windows, 'probabilities')]
      : await windowVectors(model.image, scan, windows, 'probabilities', onWindows);
  const { classes } = model.facts;
  if (output === 'npy')
    return npyAnswer(
      rows(vectors),
      work.per === 'scan' ? [classes.length] : [vectors.length, classes.length],
    );
  return jsonAnswer({
    ...about(task),
    classes,
    predictions: vectors.map((vector) => classified(classes, vector)),
  });
}

async function segment(task: Task<WorkOf<'segment'>>): Promise<Answer> {
  const { model, scan, work, output, folder, onWindows } = task;
  const windows = checkedWindows(model.image, { overlap: work.overlap }, 0);
  const { mask } = await segmentScan(model.image, scan, windows, false, onWindows);
  cleanMask(mask, work);
  if (output === 'nifti') return niftiAnswer(folder, mask);
  if (output === 'npy') return voxelsAnswer(folder, mask);
  if (output === 'png') return pngAnswer(maskPicture(scan, mask));
  const { classes } = model.facts;
  return jsonAnswer({
    ...about(task),
    grid: scan.stored,
    volumes: countLabels(mask, classes.length).map((voxels, c) => ({
      ...{ label: c + 1, class: classes[c], voxels, ml: voxels * voxelMl(mask) },
    })),
  });
}

async function reconstruct(task: Task<WorkOf<'reconstruct'>>): Promise<Answer> {
  const { model, scan, work, output, folder, onWindows } = task;
  const windows = checkedWindows(model.image, { overlap: work.overlap }, 0);
  const result = await reconstructScan(model.image, scan, windows, onWindows);
  if (output === 'nifti') return niftiAnswer(folder, result.image);
  if (output === 'npy') return voxelsAnswer(folder, result.image);
  if (output === 'png') return pngAnswer(reconstructionPicture(model.image, scan, result));
  const { meanAbsoluteError, meanSquaredError } = result;
  return jsonAnswer({ ...about(task), grid: scan.stored, meanAbsoluteError, meanSquaredError });
}

const convert = ({ scan, folder }: Task<WorkOf<'convert'>>): Promise<Answer> =>
  niftiAnswer(folder, scan.volume);

async function search(task: Task<WorkOf<'search'>>): Promise<Answer> {
  const { model, scan, work, onWindows } = task;
  const { manifest } = task.index();
  const { features, windows } = await queryOf(model.image, scan, manifest, work.box ?? undefined, onWindows);
  const hits = queryIndex(task.index(), features, { k: work.k });
  task.index(); // what has been read of its files belongs together
  const shown = work.pictures ? await picturesOfHits(hits, manifest, model.image, scan, onWindows) : [];
  const numbers = new Map(manifest.sources.map(({ name }, i) => [name, i]));
  return jsonAnswer({
    ...about(task),
    windows,
    hits: hits.map(({ path, ...hit }, i) => {
      const picture = shown[i]?.picture;
      return {
        ...hit,
        picture:
          picture instanceof Uint8Array
            ? `data:image/png;base64,${Buffer.from(picture).toString('base64')}`
            : null,
        scan: path === null ? null : indexedScanPath(numbers.get(hit.source)!),
      };
    }),
  });
}

const WORK: { readonly [Name in ScanWork['operation']]: (task: Task<WorkOf<Name>>) => Promise<Answer> } = {
  embed,
  classify,
  segment,
  reconstruct,
  search,
  convert,
};

/** Does what is asked with a scan. @throws UserError when the model cannot, and what `onWindows` throws */
export const workOnScan = (task: Task<ScanWork>): Promise<Answer> =>
  (WORK[task.work.operation] as (task: Task<ScanWork>) => Promise<Answer>)(task);
