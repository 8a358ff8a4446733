/** The files of models: copied, so that what is served stays what it is, and watched. */
import { existsSync } from 'node:fs';
import { copyFile, mkdir, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fromSystemError, isDiskFull, UserError } from '../errors.js';
import type { ModelFile } from './jobs.js';
import type { Log } from './log.js';
import type { Metrics } from './metrics.js';
import type { Pool } from './pool.js';

/** A model that is to be served. */
export interface ModelSource {
  /** By which clients call it. */
  readonly name: string;
  readonly path: string;
}

const NAME = /^[\w.-]{1,100}$/;

/**
 * What `--model` says: `NAME=FILE`, or a file that gives the name.
 * @throws UserError for names that are none, or that several models have
 */
export function parseModels(texts: readonly string[]): ModelSource[] {
  const sources = texts.map((text) => {
    const [, given, path] = /^(?:([^=/\\]*)=)?(.*)$/s.exec(text)!;
    return { name: given ?? basename(path!).replace(/\.onnx$/i, ''), path: path! };
  });
  for (const { name, path } of sources) {
    const isUnique = sources.filter((other) => other.name === name).length === 1;
    if (isUnique && NAME.test(name)) continue;
    throw new UserError('usage', {
      what: isUnique ? 'a model cannot be called this' : 'several models have this name',
      where: `--model ${path}`,
      got: name,
      expected: 'letters, digits, dots, hyphens and underscores, another name for each',
      fix: `give a name: --model NAME=${path}`,
    });
  }
  return sources;
}

/** What changes when a file is replaced or written to. */
async function stateOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeMs } = await stat(path);
    return [ino, size, mtimeMs].join(' ');
  } catch (error) {
    throw fromSystemError(error, path);
  }
}

let copies = 0;

/** Copies a file as it is now. @throws UserError of kind `disk` */
async function copyModel({ name, path }: ModelSource, folder: string): Promise<ModelFile> {
  const copy = join(folder, `${name}-${++copies}.onnx`);
  try {
    await mkdir(folder, { recursive: true });
    await copyFile(path, copy);
  } catch (error) {
    throw fromSystemError(error, isDiskFull(error) ? folder : path);
  }
  return { name, path: copy };
}

/** An error about copies as one about the files that they are of. */
function aboutSource(error: unknown, files: readonly ModelFile[], sources: readonly ModelSource[]): unknown {
  if (!(error instanceof UserError)) return error;
  const texts = Object.entries(error.facts).map(([key, text]) => [
    key,
    typeof text !== 'string'
      ? text
      : files.reduce((told, file, i) => told.replaceAll(file.path, sources[i]!.path), text),
  ]);
  return new UserError(error.kind, Object.fromEntries(texts));
}

const MS_BETWEEN_LOOKS = 1000;

/** Opens copies of models, and takes over what their files are replaced by. */
export interface ModelWatch {
  readonly pool: Pool;
  close(): void;
}

/**
 * Serves copies of models, and replaces them when their files change: a new file is taken over when a worker has opened and
 * verified it, or else refused, and what was there before is served on.
 * @param folder for the copies
 * @param open starts workers
 * @throws UserError when a model cannot be served
 */
export async function watchModels(
  sources: readonly ModelSource[],
  folder: string,
  { log, metrics }: { readonly log: Log; readonly metrics: Metrics },
  open: (files: readonly ModelFile[]) => Promise<Pool>,
): Promise<ModelWatch> {
  const seen = await Promise.all(sources.map(({ path }) => stateOf(path)));
  let files: readonly ModelFile[] = await Promise.all(sources.map((source) => copyModel(source, folder)));
  let pool: Pool;
  try {
    pool = await open(files);
  } catch (error) {
    throw aboutSource(error, files, sources);
  }

  let timer: NodeJS.Timeout;
  let closed = false;
  const takeOver = async (i: number): Promise<void> => {
    const { name, path } = sources[i]!;
    const [old, { kind }] = [files[i]!, pool.models.find((model) => model.name === name)!];
    let replaced = files;
    try {
      replaced = files.with(i, { ...(await copyModel({ name, path }, folder)), kind });
      await pool.swap(replaced);
      files = replaced;
      await rm(old.path, { force: true });
      metrics.swaps.inc({ outcome: 'taken over' });
      const { sha256 } = pool.models.find((model) => model.name === name)!;
      log('model-replaced', { model: name, sha256 });
    } catch (error) {
      if (replaced !== files) await rm(replaced[i]!.path, { force: true });
      if (closed) return; // not the model's fault
      metrics.swaps.inc({ outcome: 'refused' });
      const told = aboutSource(error, replaced, sources);
      log('model-refused', { model: name, reason: told instanceof Error ? told.message : String(told) });
    }
  };

  const changing = sources.map(() => '');
  const look = async (): Promise<void> => {
    for (const [i, { path }] of sources.entries()) {
      let state: string;
      try {
        state = await stateOf(path);
      } catch {
        continue; // Between two files there may be none.
      }
      // Whoever clears folders for temporary files does not know that a copy is in use.
      if (!existsSync(files[i]!.path)) {
        await takeOver(i);
        continue;
      }
      if (state === seen[i]) continue;
      // One that still grows is left alone.
      if (state === changing[i]) {
        seen[i] = state;
        await takeOver(i);
      }
      changing[i] = state;
    }
  };
  const next = () => {
    timer = setTimeout(() => look().finally(() => closed || next()), MS_BETWEEN_LOOKS);
  };
  next();
  return {
    pool,
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}
