import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { decodeModel } from '../../../graphs/onnx/schema.js';
import type { Tensor } from '../../../graphs/onnx/types.js';

/** A network that PyTorch exported and trained. */
export interface ImportCase {
  readonly name: string;
  /** Of the exported model. */
  readonly bytes: Uint8Array;
  /** `x`, `target`, `loss`, and `value/`, `gradient/` and `after/` of every parameter. */
  readonly results: ReadonlyMap<string, Tensor>;
}

/** The pieces of the file that `golden/make_imported.py` made. */
function pieces(): Uint8Array[] {
  const bytes = gunzipSync(readFileSync(new URL('../../golden/imported.bin.gz', import.meta.url)));
  const found: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    found.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return found;
}

const [head, ...models] = pieces();
const { cases } = JSON.parse(new TextDecoder().decode(head)) as { cases: string[] };

export const importCases: readonly ImportCase[] = cases.map((name, i) => ({
  name,
  bytes: models[2 * i]!,
  results: decodeModel(models[2 * i + 1]!).graph.initializers,
}));

/** One of the cases. */
export const importCase = (name: string): ImportCase => importCases.find((c) => c.name === name)!;
