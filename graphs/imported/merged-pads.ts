import type { Node, Tensor } from '../onnx/types.js';
import { numbersOf } from './numbers.js';

/** What a Pad puts around spatial axes, `[before, …, after, …]`; null where it does other than that with zeros. */
function zerosAround({ attributes, inputs }: Node, constants: ReadonlyMap<string, Tensor>): number[] | null {
  const [, pads, value, axes] = inputs.map((name) => constants.get(name));
  const { mode } = attributes;
  // Older versions have attributes, newer ones may name the axes.
  if (!pads || axes || (mode?.kind === 'string' && mode.value !== 'constant')) return null;
  if (inputs[2] && (!value || Number(value.data[0]) !== 0)) return null;
  const amounts = [...numbersOf(pads)];
  const rank = amounts.length / 2;
  const [before, after] = [amounts.slice(0, rank), amounts.slice(rank)];
  const isSpatial = [...before.slice(0, 2), ...after.slice(0, 2)].every((amount) => amount === 0);
  const all = [...before.slice(2), ...after.slice(2)];
  return isSpatial && all.every((amount) => amount >= 0) ? all : null;
}

/**
 * Zeros that a layer of their own puts around a convolution's input become the convolution's: its fast forms take no others. Networks that
 * come from TensorFlow have many of them.
 */
export function mergedPads(nodes: readonly Node[], constants: ReadonlyMap<string, Tensor>): Node[] {
  const padded = new Map(
    nodes.flatMap((node) => {
      const zeros = node.operator === 'Pad' && node.domain === '' ? zerosAround(node, constants) : null;
      return zeros ? [[node.outputs[0]!, { from: node.inputs[0]!, zeros }] as const] : [];
    }),
  );
  return nodes.map((node) => {
    const pad = padded.get(node.inputs[0] ?? '');
    const { auto_pad, pads } = node.attributes;
    const isExplicit = auto_pad?.kind !== 'string' || auto_pad.value === 'NOTSET';
    if (node.operator !== 'Conv' || node.domain !== '' || !pad || !isExplicit) return node;
    const own = pads?.kind === 'ints' ? pads.value : pad.zeros.map(() => 0);
    return {
      ...node,
      inputs: [pad.from, ...node.inputs.slice(1)],
      attributes: {
        ...node.attributes,
        pads: { kind: 'ints', value: own.map((amount, i) => Number(amount) + pad.zeros[i]!) },
      },
    };
  });
}
