/** ONNX models as files, with the files beside them in which their tensors may lie. */
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, win32 } from 'node:path';
import { decodeModel } from '../graphs/onnx/schema.js';
import { type ExternalTensor, GraphError, type Model } from '../graphs/onnx/types.js';
import { fromSystemError, UserError } from './errors.js';
import { isInside } from './files.js';
import { modelPath } from './pretrained.js';

/** @throws UserError unless the bytes of an external tensor are there, in a file inside the model's folder */
function checkExternal(model: string, { name, location: { file, offset, length } }: ExternalTensor): void {
  const folder = dirname(model);
  const path = join(folder, file);
  const outside = (got: string) =>
    new UserError('input', {
      what: `tensor "${name}" is stored outside the model's folder`,
      where: model,
      got,
      expected: 'a file in that folder or below it',
    });
  if (isAbsolute(file) || win32.isAbsolute(file)) throw outside(file);
  let size: number;
  try {
    if (!isInside(path, folder))
      throw outside(existsSync(path) ? `${file}, which is ${realpathSync(path)}` : file);
    const stat = statSync(path);
    if (!stat.isFile())
      throw new UserError('input', {
        what: `tensor "${name}" is stored in ${file}, which is not a file`,
        where: model,
      });
    size = stat.size;
  } catch (error) {
    throw fromSystemError(error, path);
  }
  if (offset + length > size)
    throw new UserError('input', {
      what: `tensor "${name}" is beyond the end of ${file}`,
      where: model,
      got: `bytes ${offset} to ${offset + length} of ${size}`,
      fix: `${basename(file)} may belong to another model or be truncated: copy both files again`,
    });
}

export interface ModelContents {
  /** Of its file. */
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly model: Model;
}

/**
 * Reads a model. Tensors in files beside it are looked for but not read: {@link Model.external} lists them.
 * @throws UserError when the file cannot be read or is no model, or when what lies beside it is not as it says
 * @param given path, or the name of an encoder that comes with the package
 */
export function readModelFile(given: string, expected?: string): ModelContents {
  const path = modelPath(given);
  try {
    const bytes = readFileSync(path);
    const model = decodeModel(bytes, (tensor) => {
      checkExternal(path, tensor);
      return null;
    });
    return { path, bytes, model };
  } catch (error) {
    if (!(error instanceof GraphError)) throw fromSystemError(error, path);
    const facts = { what: error.message, where: path, cause: error };
    throw new UserError('input', expected === undefined ? facts : { ...facts, expected });
  }
}
