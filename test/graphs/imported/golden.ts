import { decodeModel } from '../../../graphs/onnx/schema.js';
import type { Tensor } from '../../../graphs/onnx/types.js';
import { goldenPieces } from '../../golden/pieces.js';

/** A network that PyTorch exported and trained. */
export interface ImportCase {
  readonly name: string;
  /** Of the exported model. */
  readonly bytes: Uint8Array;
  /** `x`, `target`, `loss`, and `value/`, `gradient/` and `after/` of every parameter. */
  readonly results: ReadonlyMap<string, Tensor>;
}

// Made by `golden/make_imported.py`.
const [head, ...models] = goldenPieces('imported.bin.gz');
const { cases } = JSON.parse(new TextDecoder().decode(head)) as { cases: string[] };

export const importCases: readonly ImportCase[] = cases.map((name, i) => ({
  name,
  bytes: models[2 * i]!,
  results: decodeModel(models[2 * i + 1]!).graph.initializers,
}));

/** One of the cases. */
export const importCase = (name: string): ImportCase => importCases.find((c) => c.name === name)!;
