/** The DICOM series in a folder, or in the folder of a file. */
import { createHash } from 'node:crypto';
import { basename, dirname } from 'node:path';
import { grouped } from '../../../../graphs/onnx/grouped.js';
import { UserError } from '../../../errors.js';
import { isPresentFolder } from '../../../files.js';
import { scanExtension } from '../extensions.js';
import { filesBelow, filesIn } from '../walk.js';
import { openDicomFile } from './file.js';
import { type Instance, instanceOf, type Slice } from './instance.js';
import { scanPath } from './scan-path.js';
import { type Sorted, sortSlices } from './sort.js';
import type { Misfit, Stack } from './stack.js';

export interface DicomScan {
  /** A hash of its SeriesInstanceUID. */
  readonly name: string;
  /** The same with the SeriesInstanceUID itself. */
  readonly uidName: string;
  readonly modality: string;
  /** The files that it is read from. */
  readonly files: readonly Instance[];
  /** Null for a segmentation. */
  readonly stack: Stack | Misfit | null;
}

/** What was found of one or all series. */
interface Contents {
  readonly scans: readonly DicomScan[];
  /** What is not a scan, one line each. */
  readonly passedOver: readonly string[];
}

export interface Catalogue extends Contents {
  /** All folders that were looked into, and when that began. */
  readonly folders: readonly string[];
  readonly beganMs: number;
}

/** Number of files opened at a time: on a network drive, each one is waited for. */
const AT_ONCE = 16;

/**
 * Reads the headers of all files in a folder and below it, or of those beside a file.
 * @param scope a folder or a file. Slices of that file are preferred to others at their position, and it may be a single image.
 * @throws UserError when a folder cannot be read
 */
export async function readCatalogue(scope: string): Promise<Catalogue> {
  const beganMs = Date.now();
  const folder = isPresentFolder(scope);
  const folders = new Set<string>();
  const files = folder
    ? filesBelow(scope, folders)
    : filesIn(dirname(scope)).map((path) => (basename(path) === basename(scope) ? scope : path));
  const { instances, unread } = await readInstances(files.filter(mayBeDicom));
  const series = grouped(instances, ({ seriesUid }) => seriesUid);
  const sorted = [...series].map(([uid, members]) => sortSeries(uid, members, scope, folder));
  const scans = [...sorted.flatMap(({ scans }) => scans), ...segmentationsAmong(instances)];
  return {
    scans: scans.sort((a, b) => (a.name < b.name ? -1 : 1)),
    passedOver: [...sorted.flatMap(({ passedOver }) => passedOver), ...unread],
    folders: folder ? [...folders] : [dirname(scope)],
    beganMs,
  };
}

/** Files with the extension of another format are skipped, except for extensions that DICOM files also have. */
const mayBeDicom = (path: string) => scanExtension(path) === undefined || /\.(img|hdr)$/i.test(path);

/** The DICOM files among others, and a line for each file that cannot be read, since it may be a missing slice. */
async function readInstances(paths: readonly string[]): Promise<{ instances: Instance[]; unread: string[] }> {
  const found: (Instance | null)[] = [];
  const unread: string[] = [];
  const queue = paths.entries();
  const work = async () => {
    for (const [i, path] of queue) {
      try {
        const file = await openDicomFile(path);
        found[i] = file && instanceOf(file);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        unread.push(`${path}: passed over: ${error.facts.what}`);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return { instances: found.filter((instance) => instance !== null && instance !== undefined), unread };
}

/** Hexadecimal digits of a name. */
export const NAME_DIGITS = 12;
const nameOf = (uid: string) => createHash('sha256').update(uid).digest('hex').slice(0, NAME_DIGITS);

/** The names of a scan, with a suffix where a series holds several. */
const namesOf = (uid: string, suffix: string) => ({ name: nameOf(uid) + suffix, uidName: uid + suffix });

/**
 * Segmentations go by the series that they were drawn on, and are numbered where it has several, even if each is a series of its
 * own. Copies count once.
 */
function segmentationsAmong(instances: readonly Instance[]): DicomScan[] {
  const masks = instances.flatMap((instance) =>
    instance.content.kind === 'segmentation' ? [{ instance, ...instance.content }] : [],
  );
  const ofSeries = grouped(
    masks,
    ({ instance, referencedSeriesUid }) => referencedSeriesUid || instance.seriesUid,
  );
  return [...ofSeries].flatMap(([seriesUid, all]) => {
    const byUid = grouped(all, ({ instance, uid }) => uid || instance.path);
    const sorted = [...byUid].sort(([a], [b]) => (a < b ? -1 : 1));
    return sorted.map(([, copies], i): DicomScan => {
      const names = namesOf(seriesUid, `-seg${sorted.length > 1 ? `-${i + 1}` : ''}`);
      const files = copies.map(({ instance }) => instance);
      return { ...names, modality: files[0]!.modality, files, stack: null };
    });
  });
}

function sortSeries(uid: string, members: readonly Instance[], scope: string, folder: boolean): Contents {
  const { modality } = members[0]!;
  const stacks = sortSlices(
    members.flatMap(({ content }) => (content.kind === 'slices' ? content.slices : [])),
    modality,
    folder ? undefined : scope,
  );
  const byPath = new Map(members.map((instance) => [instance.path, instance]));
  const isScan = (stack: Sorted) => slicesOf(stack).length > 1 || slicesOf(stack)[0]!.path === scope;
  const whole = stacks.filter(isScan);
  const images = whole.map(({ members, ...stack }, i): DicomScan => {
    const paths = [...new Set(slicesOf({ ...stack, members }).map(({ path }) => path))];
    return {
      ...namesOf(uid, whole.length > 1 ? `-${i + 1}` : ''),
      ...{ modality, stack, files: paths.map((path) => byPath.get(path)!) },
    };
  });
  const single = stacks.length - whole.length;
  const others = members.flatMap(({ content }) => (content.kind === 'other' ? [content.what] : []));
  const passed = [...others, ...new Array<string>(single).fill('a single image')];
  const reasons = [...new Set(passed)].map((what) => {
    const count = passed.filter((other) => other === what).length;
    return what + (count > 1 ? ` (${count} files)` : '');
  });
  return {
    scans: images,
    passedOver: [
      ...(reasons.length > 0 ? [`${scanPath(scope, nameOf(uid))}: passed over: ${reasons.join(', ')}`] : []),
      ...members.flatMap(({ path, content }) =>
        content.kind === 'broken' ? [`${path}: passed over: ${content.what}`] : [],
      ),
    ],
  };
}

/** The slices of a stack, or all slices where they do not form one. */
const slicesOf = (sorted: Sorted): readonly Slice[] => ('slices' in sorted ? sorted.slices : sorted.members);
