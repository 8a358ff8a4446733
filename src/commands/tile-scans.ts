/** Tiling many scans, in threads: the long part of `prepare`. */
import { availableParallelism } from 'node:os';
import { knownCatalogues } from '../data/scan/dicom/open.js';
import type { StoreFailure } from '../data/store/arrays.js';
import type { StoreOptions, TiledScan } from '../data/store/manifest.js';
import { sourceFiles } from '../data/store/sources.js';
import { type Reporting, silent } from '../progress.js';
import { startThreads } from '../worker.js';
import type { Problem } from './scan-error.js';
import { type ScanJob, tileScan } from './tile-scan.js';

interface TilingOptions extends Reporting, Pick<ScanJob, 'trusted'> {
  /** Most threads; by default one more than there are cores. */
  readonly workers?: number;
}

/** Bytes of files that a thread must have to do, for its start to pay. */
const BYTES_A_THREAD = 16e6;

/** One more than there are cores, as one often waits for the disk; more than these only take memory. */
const usualThreads = () => Math.min(availableParallelism() + 1, 16);

/**
 * Tiles all scans, several at once where that pays.
 * @param sources the path of each scan, by its id
 */
export async function tileScans(
  out: string,
  sources: ReadonlyMap<string, string>,
  options: StoreOptions,
  { workers = usualThreads(), trusted, reporter = silent }: TilingOptions,
): Promise<{ scans: TiledScan[]; failures: StoreFailure[] }> {
  const jobs = [...sources].map(([id, path]): ScanJob => ({ out, id, path, options, trusted }));
  const count = await threadsThatPay(jobs, Math.min(workers, jobs.length));
  const threads =
    count > 1
      ? startThreads<ScanJob, TiledScan | Problem>(
          import.meta.url,
          './tile-scans.worker',
          knownCatalogues(),
          count,
          { nameOf: ({ path }) => path },
        )
      : null;
  let done = 0;
  const progress = reporter.start({ label: 'prepare', total: jobs.length, unit: 'scans' });
  progress.update(0);
  const results: (TiledScan | Problem)[] = [];
  try {
    const tile = async (job: ScanJob, i: number) => {
      results[i] = await (threads ? threads.ask(job) : tileScan(job));
      progress.update(++done);
    };
    if (threads) await Promise.all(jobs.map(tile));
    else for (const [i, job] of jobs.entries()) await tile(job, i);
  } finally {
    progress.stop();
    await threads?.close();
  }
  return {
    scans: results.filter((result) => 'shard' in result),
    failures: results.flatMap((result, i) => {
      if (!('problem' in result)) return [];
      const { id, path } = jobs[i]!;
      return [{ source: path, message: result.problem, kept: { source: id, message: result.what } }];
    }),
  };
}

/** Threads that have enough to do, `most` of them or fewer. Looks at scans one by one, and at no more than it must. */
async function threadsThatPay(jobs: readonly ScanJob[], most: number): Promise<number> {
  let bytes = 0;
  for (const { path } of jobs) {
    if (bytes >= most * BYTES_A_THREAD) break;
    bytes += await sourceBytes(path);
  }
  return Math.min(most, Math.floor(bytes / BYTES_A_THREAD));
}

/** Bytes of a scan's files; 0 for one that cannot be read, which is reported later. */
async function sourceBytes(path: string): Promise<number> {
  try {
    return (await sourceFiles(path)).reduce((sum, { bytes }) => sum + bytes, 0);
  } catch {
    return 0;
  }
}
