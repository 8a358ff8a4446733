/** Encoders that come with the package: folders of `models`, which users call by their names. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError } from './errors.js';
import { isFolder } from './files.js';

const NAMES: readonly string[] = ['chest'];

/** What there is to choose from, for messages. */
export const PRETRAINED = `the name of an encoder that comes with the package (${NAMES.join(', ')})`;

/** `models` lies beside `src`, and beside `dist`, which holds the built `src`. */
const MODELS = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../models/' : '../../models/', import.meta.url),
);

const FILES = { model: 'encoder.onnx', weights: 'weights.safetensors' } as const;

/**
 * A file of the encoder that a user calls by its name; undefined for what is no such name. A file of that name comes first; a
 * folder, such as one of scans, does not.
 */
export const pretrainedFile = (given: string, what: keyof typeof FILES): string | undefined =>
  NAMES.includes(given) && (!existsSync(given) || isFolder(given))
    ? join(MODELS, given, FILES[what])
    : undefined;

/** The model that a user means by a path or a name. @throws UserError of kind `disk` when there is none */
export function modelPath(given: string): string {
  const path = pretrainedFile(given, 'model') ?? given;
  if (existsSync(path)) return path;
  throw new UserError('disk', {
    what: 'no such file or folder',
    where: given,
    expected: `a model’s file, or ${PRETRAINED}`,
  });
}
