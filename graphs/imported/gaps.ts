/** What cannot be imported, and why. */
import type { Node } from '../onnx/types.js';
import { isKnownOperator } from '../standard/index.js';
import { isEvaluated } from './evaluate.js';

/** What a node cannot be imported for. */
export interface Gap {
  readonly operator: string;
  readonly reason: string;
  /** A node of the file, by its name or that of its output. */
  readonly node: string;
}

/** Operators that draw numbers, each of its own distribution. */
export const DRAWING: ReadonlySet<string> = new Set([
  ...['Bernoulli', 'RandomNormal', 'RandomNormalLike', 'RandomUniform', 'RandomUniformLike'],
]);

/** Operators that have a body, and run it several times. */
export const LOOPS: ReadonlySet<string> = new Set(['Loop', 'Scan']);

const QUANTISED = /^(QLinear|Quantize|Dequantize|DynamicQuantize|ConvInteger|MatMulInteger|MatMulNBits)/;

/** Why an operator cannot be imported whatever its inputs are; `null` where it can. */
export function refusalOf(node: Node): string | null {
  const { operator, domain } = node;
  if (QUANTISED.test(operator))
    return 'a quantised model cannot be trained: import the model in floats, train it, and quantise it again';
  if (domain !== '') return `the operator set "${domain}" is not supported`;
  if (operator === 'Multinomial')
    return 'random choices cannot be turned off in evaluation: export the model in evaluation mode';
  if (
    operator === 'If' ||
    LOOPS.has(operator) ||
    DRAWING.has(operator) ||
    isEvaluated(node) ||
    isKnownOperator(node)
  )
    return null;
  return 'the operator is not supported';
}

/** A message without the node that it is about: gaps of one kind are counted together. */
export const withoutPlace = (message: string, { operator }: Node): string =>
  message.replace(new RegExp(`^(${operator} at "[^"]*"(: | ))+`), '');
