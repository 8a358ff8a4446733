/** What a process is told that runs a model on one runtime, and the files that it reads. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tensors } from '../../runtime/engine.js';
import { type Packed, pack, unpack } from '../engines/packed.js';

/** What runs the model. */
export type RuntimeName = 'node' | 'web' | 'training-web' | 'training-interface';

export interface RuntimeJob {
  /** Folder with the model, its inputs and, if there is one, the reference. */
  readonly folder: string;
  /** File of the model in it; for the training interface, the beginning of four. */
  readonly model: string;
  readonly runtime: RuntimeName;
  /** Where onnxruntime-node runs it. */
  readonly device: string;
  readonly threads: number;
  /** One of our models, to be loaded in forms that are faster on this machine. */
  readonly forms: boolean;
}

export const ARTIFACTS = ['training', 'evaluation', 'optimizer', 'checkpoint'] as const;

/** Writes tensors as two files. */
export function writeTensors(folder: string, name: string, tensors: Tensors): void {
  const { contents, bytes } = pack(tensors);
  writeFileSync(join(folder, `${name}.json`), JSON.stringify(contents));
  writeFileSync(join(folder, `${name}.bin`), bytes);
}

export function readTensors(folder: string, name: string): Tensors {
  const contents = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as Packed['contents'];
  return unpack({ contents, bytes: Uint8Array.from(readFileSync(join(folder, `${name}.bin`))) });
}
