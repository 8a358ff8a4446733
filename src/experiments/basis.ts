/** What results rest on, so that none is taken for that of other data or of another pre-training. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve, sep } from 'node:path';
import { decodeModel } from '../../graphs/onnx/schema.js';
import { GraphError } from '../../graphs/onnx/types.js';
import { openSampleStore } from '../data/samples/store.js';
import { sha256 } from '../data/store/arrays.js';
import { isTileStore } from '../data/store/manifest.js';
import { openTileStore } from '../data/store/tiles.js';
import { abridged, UserError } from '../errors.js';
import { isFolder } from '../files.js';
import { isOnnxFile } from '../onnx-file.js';
import { checkpointPath } from '../runs/checkpoint.js';
import { readBasis } from './job-files.js';
import type { Job } from './jobs.js';
import { initOf } from './sources.js';

/** The digest of a store, or of a file; empty where there is none, which the job will say. */
function digestOf(path: string): string {
  try {
    return (isTileStore(path) ? openTileStore(path) : openSampleStore(path)).hash;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
  }
  try {
    if (isFolder(path)) return sha256(...checkpointFiles(path).map((file) => readFileSync(file)));
    const bytes = readFileSync(path);
    return sha256(bytes, ...externalFiles(path, bytes).map((file) => readFileSync(file)));
  } catch {
    return '';
  }
}

/** The checkpoints of a run that others may begin from. */
const checkpointFiles = (run: string): string[] =>
  (['best', 'last'] as const).map((name) => checkpointPath(run, name)).filter(existsSync);

/** Files beside an ONNX model that its weights lie in. */
function externalFiles(path: string, bytes: Uint8Array): string[] {
  if (!isOnnxFile(path)) return [];
  try {
    const files = new Set((decodeModel(bytes).external ?? []).map(({ location }) => location.file));
    return [...files].map((file) => join(dirname(path), file));
  } catch (error) {
    if (error instanceof GraphError) return []; // which the job will say
    throw error;
  }
}

/** Options whose value is a store, a file or a run. */
const READ = ['--data', '--init'];

/** What a job reads, but for what other jobs write. */
const readBy = (args: readonly string[], written: readonly string[]): string[] =>
  args
    .flatMap((arg, i) => {
      if (READ.includes(args[i - 1] ?? '')) return [arg];
      return args[i - 1] === '--set' ? (initOf(arg) ?? []) : [];
    })
    .filter(
      (path) => !written.some((folder) => `${resolve(path)}${sep}`.startsWith(`${resolve(folder)}${sep}`)),
    );

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
  const written = jobs.flatMap(({ args }) => args.filter((_, i) => args[i - 1] === '--out'));
  return jobs.map((job) => {
    const { id, args, after } = job;
    const read = readBy(args, written).map(digest);
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
