import { formatShape, type Graph, GraphError, shapeText, type Value } from '../onnx/types.js';
import { isKnown } from './simplified.js';

const described = (input: Value): string => `${input.name} ${shapeText(input)}`;

/** Everything that the file leaves open of its inputs' sizes. */
const unbound = (inputs: readonly Value[]): string[] =>
  inputs.filter(({ shape, isUnranked }) => isUnranked || !isKnown(shape)).map(described);

const isSize = (size: number): boolean => Number.isSafeInteger(size) && size >= 1;

/**
 * The inputs with the sizes that are given. A named size that one input fixes is fixed for all.
 * @throws GraphError for sizes that do not suit the model, or that are still open
 */
export function boundInputs(
  graph: Graph,
  sizes: Readonly<Record<string, readonly number[]>>,
): readonly Value[] {
  const inputs = graph.inputs.filter(({ name }) => !graph.initializers.has(name));
  const listed = inputs.map(described).join(', ') || 'none';
  const named = new Map<string, number>();
  const given = new Map(Object.entries(sizes));
  for (const [name, wanted] of given) {
    const input = inputs.find((value) => value.name === name);
    if (!input) throw new GraphError(`there is no input "${name}"; the model has ${listed}`);
    const fits =
      wanted.every(isSize) &&
      (input.isUnranked ||
        (wanted.length === input.shape.length &&
          input.shape.every((d, i) => {
            const size = wanted[i]!;
            return typeof d === 'number' ? d === size : (named.get(d) ?? size) === size;
          })));
    if (!fits)
      throw new GraphError(
        `input "${name}" is ${shapeText(input)}, which ${formatShape(wanted)} does not suit`,
      );
    // A size without a name is called after its axis, and is no other input's.
    for (const [i, d] of input.shape.entries())
      if (typeof d === 'string' && !d.startsWith('?')) named.set(d, wanted[i]!);
  }
  const bound = inputs.map((input): Value => {
    if (input.isSequence)
      throw new GraphError(`input "${input.name}" is a sequence of tensors, which is unsupported`);
    const { name, type } = input;
    const shape = given.get(name);
    if (shape) return { name, type, shape };
    return { ...input, shape: input.shape.map((d) => (typeof d === 'string' ? (named.get(d) ?? d) : d)) };
  });
  const open = unbound(bound);
  if (open.length > 0)
    throw new GraphError(`sizes must be fixed for training, these are open: ${open.join(', ')}`);
  return bound;
}
