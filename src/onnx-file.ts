/** ONNX models as files, with the files beside them in which their tensors may lie. */
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  statSync,
} from 'node:fs';
import { basename, dirname, isAbsolute, join, win32 } from 'node:path';
import { decodeModel } from '../graphs/onnx/schema.js';
import type { ReadExternal } from '../graphs/onnx/tensors.js';
import { type ExternalTensor, GraphError, type Model } from '../graphs/onnx/types.js';
import { abridged, fromSystemError, UserError } from './errors.js';
import { isFolder, isInside } from './files.js';
import { modelPath } from './pretrained.js';

/** Whether a path is that of an ONNX model, by its name. */
export const isOnnxFile = (path: string): boolean => /\.onnx$/i.test(path);

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

/** @throws UserError for a folder, naming a model in it if there is one */
function refuseFolder(path: string): void {
  if (!isFolder(path)) return;
  const model = readdirSync(path).find(isOnnxFile);
  throw new UserError('input', {
    what: 'this is a folder, not a model',
    where: path,
    expected: 'an .onnx file',
    fix:
      model === undefined
        ? '`p2w export --run FOLDER --out encoder` makes one of a run'
        : `give ${join(path, model)}`,
  });
}

/** As much is read at once: more than 2 GiB cannot be. */
const MOST_READ = 2 ** 30;

/** What is wrong with a model as an error of its file. */
function inputError(error: unknown, path: string, expected?: string): Error {
  if (!(error instanceof GraphError)) return fromSystemError(error, path);
  const facts = { what: error.message, where: path, cause: error };
  return new UserError('input', expected === undefined ? facts : { ...facts, expected });
}

/** Reads tensors from the files beside a model. @returns a reader that throws UserErrors where they are not as the model says */
const externalReader =
  (model: string): ReadExternal =>
  (tensor) => {
    checkExternal(model, tensor);
    const { file, offset, length } = tensor.location;
    const bytes = new Uint8Array(length);
    const handle = openSync(join(dirname(model), file), 'r');
    try {
      for (let at = 0, read = 1; at < length && read > 0; at += read)
        read = readSync(handle, bytes, at, Math.min(length - at, MOST_READ), offset + at);
    } finally {
      closeSync(handle);
    }
    return bytes;
  };

/** A model that was imported from a file, with all that is needed to write it again. */
export interface ModelFile {
  readonly bytes: Uint8Array;
  readonly externalData: ReadExternal;
}

/**
 * Does something with a model file and with what lies beside it, such as importing it.
 * @param given path, or the name of an encoder that comes with the package
 * @throws UserError when the file cannot be read or is no model, when what lies beside it is not as it says, or with what `use` says
 */
export function withModelFile<T>(given: string, use: (file: ModelFile) => T): T {
  const path = modelPath(given);
  refuseFolder(path);
  try {
    return use({ bytes: readFileSync(path), externalData: externalReader(path) });
  } catch (error) {
    throw inputError(error, path);
  }
}

/**
 * A model file as `openModelTraining` takes it, with what lies in files beside it.
 * @throws UserError when the file cannot be read
 * @example
 * await openModelTraining({ engine: nodeEngine, ...openModelFile('resnet.onnx'), inputs, loss });
 */
export const openModelFile = (
  path: string,
): { readonly model: Uint8Array; readonly externalData: ReadExternal } =>
  withModelFile(path, ({ bytes, externalData }) => ({ model: bytes, externalData }));

export interface ModelContents {
  /** Of its file. */
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly model: Model;
}

/** @throws UserError when tensors of a model are in files beside it, which ONNX Runtime would look for in the working directory */
export function refuseExternal({ external }: Model, where: string): void {
  if (!external) return;
  throw new UserError('input', {
    what: 'the weights of this model are in a separate file',
    where,
    got: abridged([...new Set(external.map(({ location }) => location.file))]),
    expected: 'a model in one file',
    fix: `convert it in Python with \`onnx.save_model(onnx.load("${basename(where)}"), "one-file.onnx")\``,
  });
}

/**
 * Reads a model. Tensors in files beside it are looked for but not read: {@link Model.external} lists them.
 * @throws UserError when the file cannot be read or is no model, or when what lies beside it is not as it says
 * @param given path, or the name of an encoder that comes with the package
 */
export function readModelFile(given: string, expected?: string): ModelContents {
  const path = modelPath(given);
  refuseFolder(path);
  try {
    const bytes = readFileSync(path);
    const model = decodeModel(bytes, (tensor) => {
      checkExternal(path, tensor);
      return null;
    });
    return { path, bytes, model };
  } catch (error) {
    throw inputError(error, path, expected);
  }
}
