/** What results rest on, so that none is taken for that of other data or of another pre-training. */
import { readFileSync } from 'node:fs';
import { openSampleStore } from '../data/samples/store.js';
import { sha256 } from '../data/store/arrays.js';
import { isTileStore } from '../data/store/manifest.js';
import { openTileStore } from '../data/store/tiles.js';
import { abridged, UserError } from '../errors.js';
import { readBasis } from './job-files.js';
import type { Job } from './plan.js';

/** The digest of a store, or of a file; empty where there is none, which the job will say. */
function digestOf(path: string): string {
  try {
    return (isTileStore(path) ? openTileStore(path) : openSampleStore(path)).hash;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
  }
  try {
    return sha256(readFileSync(path));
  } catch {
    return '';
  }
}

/** Options whose value is a store or a file. */
const READ = ['--data', '--init'];

/**
 * Jobs with digests of all that decides their results: their commands, the data and files that these name, and the same of the jobs
 * before them.
 * @param jobs each after those that it needs
 */
export function withBases(jobs: readonly Job[]): Job[] {
  const digests = new Map<string, string>();
  const digest = (path: string) => {
    const known = digests.get(path) ?? digestOf(path);
    digests.set(path, known);
    return known;
  };
  const bases = new Map<string, string>();
  return jobs.map((job) => {
    const { id, args, after } = job;
    const read = args.filter((_, i) => READ.includes(args[i - 1] ?? '')).map(digest);
    const basis = sha256(JSON.stringify([args, read, after.map((before) => bases.get(before))]));
    bases.set(id, basis);
    return { ...job, basis };
  });
}

/** @throws UserError when there are results here of the same commands, but of other data or pre-trainings than there are now */
export function checkBases(out: string, jobs: readonly Job[]): void {
  const others = jobs.filter((job) => {
    const found = readBasis(out, job);
    return found !== undefined && found !== job.basis;
  });
  if (others.length === 0) return;
  throw new UserError('run', {
    what: 'there are results here of other data, or of other pre-trainings, than there are now',
    where: out,
    got: abridged(others.map(({ id }) => id)),
    fix: 'choose another --out; or delete jobs/NAME.json and runs/NAME of each of these, which are then done again',
  });
}
