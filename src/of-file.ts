import { GraphError } from '../graphs/onnx/types.js';
import { UserError } from './errors.js';

/** Does something with a model. @param fix for what is wrong with it, which becomes an error of its file */
export function ofFile<T>(path: string, use: () => T, fix?: string): T {
  try {
    return use();
  } catch (error) {
    if (!(error instanceof GraphError)) throw error;
    throw new UserError('input', {
      what: error.message,
      where: path,
      ...(fix && { fix }),
      cause: error,
    });
  }
}
