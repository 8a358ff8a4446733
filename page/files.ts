/** Files that are dropped or chosen, as one scan. */
import { choose } from './choose.js';
import type { ScanWorker } from './scan-worker.js';
import type { ServedModel } from './served-model.js';
import { convert, ServiceProblem } from './service.js';

/** Entries of a folder; they come in portions. */
async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) return all;
    all.push(...some);
  }
}

async function filesIn(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile)
    return [
      await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)),
    ];
  const entries = await entriesOf(entry as FileSystemDirectoryEntry);
  return (await Promise.all(entries.map(filesIn))).flat();
}

/** All files that are dropped, those in folders included. */
export async function droppedFiles({ items, files }: DataTransfer): Promise<File[]> {
  // To be asked before anything is waited for.
  const entries = [...items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const all = entries.length > 0 ? (await Promise.all(entries.map(filesIn))).flat() : [...files];
  // What systems put into folders is no scan.
  return all.filter(({ name }) => !name.startsWith('.'));
}

/** What the browser reads itself. */
const isNifti = ({ name }: File): boolean => /\.nii(\.gz)?$/i.test(name);

/** The scan among files, if a single one holds it. @throws Error where several do */
function onlyFile(files: readonly File[]): File | null {
  if (files.length === 1) return files[0]!;
  const scans = files.filter(isNifti);
  if (scans.length > 1)
    throw new Error(`these are ${scans.length} scans: open one of them, such as ${scans[0]!.name}`);
  return scans[0] ?? null;
}

/**
 * The files of one scan as NIfTI: as it is, or else as the service reads it. Of several DICOM series, one is asked for.
 * @throws ServiceProblem when the service cannot read them, Error for several scans of other formats
 */
export async function niftiOfFiles(
  files: readonly File[],
  models: readonly ServedModel[],
  worker: ScanWorker,
  signal: AbortSignal,
): Promise<File> {
  const only = onlyFile(files);
  if (only && isNifti(only)) return only;
  const first = only ?? files[0]!;
  const body = only ?? (await worker.call('pack', { files })).archive;
  // One that takes HU refuses what cannot be HU.
  const model = models.find(({ normalise }) => normalise !== 'hu') ?? models[0]!;
  const name = `${first.name.replace(/(\.nii)?\.\w+$/i, '')}.nii.gz`;
  try {
    return new File([await convert(model, body, null, signal)], name);
  } catch (error) {
    if (!(error instanceof ServiceProblem && error.choices.length > 0)) throw error;
    const series = await choose(error.choices, signal);
    return new File([await convert(model, body, series, signal)], name);
  }
}
