/** Files that are dropped or chosen, as one scan. */
import { hasMembers, START_BYTES } from '../src/browser/gunzip.js';
import type { ScanWorker } from './scan-worker.js';
import type { ServedModel } from './served-model.js';
import { convert } from './service.js';

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
  return entries.length > 0 ? (await Promise.all(entries.map(filesIn))).flat() : [...files];
}

/** Whether this browser and NiiVue can read a file; NiiVue reads no more than the first member of a compressed one. */
async function isReadable(file: File): Promise<boolean> {
  if (/\.nii$/i.test(file.name)) return true;
  return (
    /\.nii\.gz$/i.test(file.name) &&
    !hasMembers(new Uint8Array(await file.slice(0, START_BYTES).arrayBuffer()))
  );
}

/**
 * The files of one scan as NIfTI: as it is, or else as the service reads it.
 * @throws ServiceProblem when it cannot
 */
export async function niftiOfFiles(
  files: readonly File[],
  model: ServedModel,
  worker: ScanWorker,
  signal: AbortSignal,
): Promise<File> {
  const [first] = files as [File];
  if (files.length === 1 && (await isReadable(first))) return first;
  const body = files.length === 1 ? first : (await worker.call('pack', { files })).archive;
  const name = `${first.name.replace(/(\.nii)?\.\w+$/i, '')}.nii.gz`;
  return new File([await convert(model, body, signal)], name);
}
