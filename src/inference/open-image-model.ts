import { sha256 } from '../data/store/arrays.js';
import { checkThreads } from '../machine.js';
import { readModelFile } from '../onnx-file.js';
import type { Engine } from '../runtime/engine.js';
import { EXPORTED, type ImageModel, imageModelOf } from './image-model.js';

/**
 * Opens the file of a model that takes images.
 * @param threads of one run; 0 leaves it to the engine
 * @throws UserError when the file cannot be read, or is no such model
 */
export function openImageModel(path: string, engine: Engine, threads = 0): ImageModel {
  checkThreads('threads', threads, 0);
  const { bytes, model } = readModelFile(path, EXPORTED);
  return imageModelOf({ path, bytes, sha256: sha256(bytes), model }, engine, threads);
}
