/** The operators of the standard, versions 7 and later, in terms of the operators of `graphs/onnx/ops`. */
import { attributesOf } from '../onnx/attributes.js';
import type { GraphBuilder } from '../onnx/builder.js';
import { describeNode, findOperator, operatorOf } from '../onnx/registry.js';
import { GraphError, type Node, type Value } from '../onnx/types.js';
import { attention } from './attention.js';
import { elementwise } from './elementwise.js';
import { indexing } from './indexing.js';
import { linear } from './linear.js';
import { losses } from './losses.js';
import { StandardNode, type Translations } from './node.js';
import { normalisations } from './normalisation.js';
import { recurrent } from './recurrent.js';
import { reductions } from './reductions.js';
import { resizing } from './resize.js';
import { sampling } from './sampling.js';
import { shapes } from './shapes.js';
import { signal } from './signal.js';
import { windows } from './windows.js';

/** Operators that mean more, or are written otherwise, than the operator of that name that graphs are built from. */
export const translations: Translations = {
  ...elementwise,
  ...reductions,
  ...shapes,
  ...indexing,
  ...linear,
  ...windows,
  ...resizing,
  ...normalisations,
  ...losses,
  ...attention,
  ...recurrent,
  ...sampling,
  ...signal,
};

/**
 * Attributes that change nothing where a translation does not ask for them: they tell what other inputs or attributes say
 * already, belong to another mode, or are about rounding, speed and chance.
 */
const IDLE: ReadonlySet<string> = new Set([
  ...['activation_alpha', 'activation_beta', 'antialias', 'chunk_size', 'cubic_coeff_a', 'exclude_outside'],
  ...[
    'extrapolation_value',
    'keep_aspect_ratio_policy',
    'kernel_shape',
    'momentum',
    'nearest_mode',
    'pads',
    'ratio',
  ],
  ...['round_mode', 'saturate', 'seed', 'softmax_precision', 'stash_type'],
]);

/** Whether an operator means more, or is written otherwise, than the one of that name that graphs are built from. */
const isTranslated = ({ domain, operator }: Node): boolean =>
  domain === '' && Object.hasOwn(translations, operator);

/** Whether there is anything that a node of this operator could be built from. */
export const isKnownOperator = (node: Node): boolean =>
  isTranslated(node) || findOperator(node) !== undefined;

/**
 * Builds what one node computes.
 * @param inputs of the node, in the graph that is built; `null` for one that is left out
 * @param opset the version of the standard that the node is written in
 * @returns one value an output that is wanted
 * @throws GraphError for an operator that is unknown, or a use of it that is not supported
 */
export function translate(
  g: GraphBuilder,
  node: Node,
  inputs: readonly (Value | null)[],
  opset: number,
): readonly Value[] {
  const translation = isTranslated(node) ? translations[node.operator] : undefined;
  if (!translation) {
    const operator = operatorOf(node, { '': opset });
    return g.addMany(operator, inputs, attributesOf(node, operator) as never, node.outputs.length);
  }
  try {
    const described = new StandardNode(g, node, inputs, opset);
    const result = translation(described);
    const unknown = described.ignored.find((name) => !IDLE.has(name));
    if (unknown) throw new GraphError(`attribute "${unknown}" is not supported`);
    return Array.isArray(result) ? result : [result as Value];
  } catch (error) {
    if (!(error instanceof GraphError)) throw error;
    throw new GraphError(`${describeNode(node)}: ${error.message}`);
  }
}
