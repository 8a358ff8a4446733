/** The file that a graph is written to. */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { PRODUCER } from '../../graphs/onnx/model.js';
import { decodeModel } from '../../graphs/onnx/schema.js';
import { makeFolder, writeFileAtomic } from '../files.js';
import { checkResultFile } from './result-file.js';

/** Whether a file is a graph that was written here before: exported models say more of themselves. */
async function isGraph(path: string): Promise<boolean> {
  try {
    const { producer, metadata } = decodeModel(readFileSync(path));
    return producer.name === PRODUCER.name && Object.keys(metadata).length === 0;
  } catch {
    return false; // no model, or none that can be read
  }
}

/** @param model that the graph is made of @throws UserError as {@link checkResultFile} */
export const checkGraphFile = (out: string | undefined, model?: string): Promise<void> =>
  out === undefined
    ? Promise.resolve()
    : checkResultFile(out, { model, input: [] }, { endings: ['onnx'], isResult: isGraph });

export function writeGraphFile(out: string | undefined, bytes: Uint8Array): void {
  if (out === undefined) return;
  makeFolder(dirname(out));
  writeFileAtomic(out, bytes);
}
