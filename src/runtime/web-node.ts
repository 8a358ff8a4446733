/** ONNX Runtime's builds for the web, loaded into Node.js. */
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { UserError } from '../errors.js';
import { mostThreads } from '../machine.js';
import type { Engine } from './engine.js';
import {
  type OnDeviceModels,
  openTrainingSession,
  type TrainingRuntime,
  type TrainingSession,
} from './training-session.js';
import { type WebRuntime, webEngine } from './web.js';

const require = createRequire(import.meta.url);

/** Builds for the web that may be installed beside onnxruntime-node. */
const BUILDS = {
  'onnxruntime-web': { file: 'ort.node.min.mjs', threads: Number.POSITIVE_INFINITY },
  // Its exports give Node.js the build without training for the bare name, and refuse `/training`: so its file by name.
  // One thread: with more, batched matrix products write beyond their memory (seen as "memory access out of bounds").
  'onnxruntime-training-web': { file: 'ort.training.wasm.min.mjs', threads: 1 },
} as const;
export type WebPackage = keyof typeof BUILDS;

/** Where a package's main file lies. @throws UserError when it is not installed */
function locate(name: WebPackage): string {
  try {
    return dirname(require.resolve(name));
  } catch (cause) {
    throw new UserError('runtime', {
      what: `${name} is not installed; it is an optional dependency`,
      fix: 'run npm install --include=optional, or use the engine "node"',
      cause,
    });
  }
}

/** ONNX Runtime's version, by its own account: a package may have been installed under another name. */
function versionOf(folder: string): string {
  return (require(join(folder, '..', 'package.json')) as { version: string }).version;
}

/** Imports a build, and says how many threads it may start. */
async function load(name: WebPackage, threads: number): Promise<WebRuntime & TrainingRuntime> {
  const { file, threads: most } = BUILDS[name];
  const runtime = (await import(pathToFileURL(join(locate(name), file)).href)) as WebRuntime &
    TrainingRuntime;
  const wanted = threads === 0 ? availableParallelism() : threads;
  runtime.env.wasm.numThreads = Math.min(wanted, most, mostThreads());
  runtime.env.logLevel = 'error';
  return runtime;
}

/** The WebAssembly engine of an installed package. @throws UserError when it is not installed */
export const wasmEngine = (name: WebPackage): Engine =>
  webEngine({
    name: `${name} ${versionOf(locate(name))}`,
    provider: 'wasm',
    runtime: (threads) => load(name, threads),
  });

/**
 * Runs a model on an engine of the web.
 * @param model takes ones, x [1,1,3,3,3] float32, and returns their sum
 * @returns null when it ran, or why it did not
 */
export async function probeWasm(name: WebPackage, model: Uint8Array): Promise<string | null> {
  try {
    const session = await wasmEngine(name).load(model, { threads: 1 });
    const data = new Float32Array(27).fill(1);
    const { y } = await session.run({ x: { type: 'float32', shape: [1, 1, 3, 3, 3], data } });
    await session.release();
    return y?.data[0] === 27 ? null : `the sum of 27 ones was ${String(y?.data[0])}`;
  } catch (error) {
    return error instanceof UserError ? error.facts.what : String(error);
  }
}

/** Opens the training interface on four artifacts, in WebAssembly. @throws UserError when it is not installed, or refuses them */
export async function wasmTrainingSession(models: OnDeviceModels): Promise<TrainingSession> {
  return openTrainingSession(await load('onnxruntime-training-web', 1), models);
}
