/** What may be wrong with how samples are divided, though nothing forbids it. */
import { grouped } from '../../../graphs/onnx/grouped.js';
import { abridged } from '../../errors.js';
import type { SampleFormat, SampleSplit } from './manifest.js';
import type { WrittenSample } from './writer.js';

/** Names that differ in capitals only, as typing errors do. */
function alikeNotes(what: string, names: readonly string[]): string[] {
  const alike = [...grouped([...new Set(names)], (name) => name.toLowerCase()).values()].filter(
    (group) => group.length > 1,
  );
  if (alike.length === 0) return [];
  return [`${what} whose names differ in capitals only are different ones: ${abridged(alike.flat())}`];
}

/** What is worth knowing of how samples are divided. */
export function splitNotes(
  samples: readonly (WrittenSample & { readonly split: SampleSplit })[],
  { classes }: SampleFormat,
): string[] {
  const copies = [...grouped(samples, ({ imageSha256 }) => imageSha256).values()].filter(
    (group) => new Set(group.map(({ split }) => split)).size > 1,
  );
  const told = copies.map((group) => group.map(({ id, split }) => `${id} (${split})`).join(' = '));
  return [
    ...(told.length > 0
      ? [
          `copies of one image are in two splits, as the data divide them, which inflates the scores: ${abridged(told)}`,
        ]
      : []),
    ...alikeNotes(
      'patients',
      samples.map(({ patient }) => patient),
    ),
    ...alikeNotes('classes', classes),
  ];
}
