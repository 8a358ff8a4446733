import { GraphError, TYPE_CODES, type Value } from '../onnx/types.js';
import type { StandardNode, Translation, Translations } from './node.js';

/** Any number of inputs, two by two. */
const variadic =
  (operator: 'Add' | 'Max' | 'Min'): Translation =>
  (n) =>
    n.inputs.slice(1).reduce<Value>((sum, _, i) => n.g.add(operator, [sum, n.input(i + 1)]), n.input(0));

/** Half precision is computed in single precision. */
const computedIn = (code: number): number =>
  code === TYPE_CODES.float16 || code === TYPE_CODES.bfloat16 ? TYPE_CODES.float32 : code;

const elu = ({ g }: StandardNode, x: Value, alpha = 1) => g.add('Elu', [x], { alpha });
const swish = ({ f }: StandardNode, x: Value, alpha: number) => f.mul(x, f.sigmoid(f.mul(x, alpha)));

/** The limits of Clip: inputs, or attributes in older versions. */
const limit = (n: StandardNode, name: string, input: number): Value | null =>
  n.optional(input) ?? (n.has(name) ? n.g.scalar(n.float(name, 0), n.input(0).type) : null);

export const elementwise: Translations = {
  Sum: variadic('Add'),
  Max: variadic('Max'),
  Min: variadic('Min'),
  Mean: (n) => n.f.div(variadic('Add')(n) as Value, n.inputs.length),
  Pow: (n) => {
    const [x, exponent] = [n.input(0), n.input(1)];
    const same =
      exponent.type === x.type ? exponent : n.g.add('Cast', [exponent], { to: TYPE_CODES[x.type] });
    return n.g.add('Pow', [x, same]);
  },
  // Of floats the standard wants the remainder as C has it, or, without fmod, as Python has it.
  Mod: (n) => {
    const { f } = n;
    const [a, b] = [n.input(0), n.input(1)];
    if (n.int('fmod', 0) === 1) return n.g.add('Mod', [a, b], { fmod: 1 });
    const rest = n.g.add('Mod', [a, b], { fmod: 1 });
    return f.where(f.less(f.mul(rest, b), 0), f.add(rest, b), rest);
  },
  /** In inference all stays. Random masks are the caller's. */
  Dropout: (n) => {
    const x = n.input(0);
    if (n.constants(2)?.[0] && (n.constants(1)?.[0] ?? 0.5) > 0)
      throw new GraphError('it is random in training mode: import the model in inference mode');
    return n.outputs > 1 ? [x, n.g.full(1, n.shape(0), 'bool')] : x;
  },
  Cast: (n) => n.g.add('Cast', [n.input(0)], { to: computedIn(n.int('to', 1)) }),
  CastLike: (n) => n.g.add('Cast', [n.input(0)], { to: TYPE_CODES[n.input(1).type] }),
  Clip: (n) => {
    const limits = [limit(n, 'min', 1), limit(n, 'max', 2)];
    return limits.some(Boolean) ? n.g.add('Clip', [n.input(0), ...limits]) : n.input(0);
  },

  Celu: (n) => {
    const alpha = n.float('alpha', 1);
    return n.f.mul(elu(n, n.f.div(n.input(0), alpha)), alpha);
  },
  Selu: (n) =>
    n.f.mul(elu(n, n.input(0), n.float('alpha', 1.6732632423543772)), n.float('gamma', 1.0507009873554805)),
  Gelu: (n) => {
    const { f } = n;
    const x = n.input(0);
    if (n.string('approximate', 'none') === 'tanh') {
      const cubic = f.add(x, f.mul(f.mul(f.mul(x, x), x), 0.044715));
      return f.mul(f.mul(x, 0.5), f.add(f.tanh(f.mul(cubic, Math.sqrt(2 / Math.PI))), 1));
    }
    return f.mul(f.mul(x, 0.5), f.add(f.erf(f.mul(x, Math.SQRT1_2)), 1));
  },
  HardSigmoid: (n) => {
    const { f } = n;
    return f.clip(f.add(f.mul(n.input(0), n.float('alpha', 0.2)), n.float('beta', 0.5)), 0, 1);
  },
  HardSwish: (n) => {
    const x = n.input(0);
    return n.f.mul(x, n.f.clip(n.f.add(n.f.div(x, 6), 0.5), 0, 1));
  },
  Mish: (n) => n.f.mul(n.input(0), n.f.tanh(n.f.softplus(n.input(0)))),
  PRelu: (n) => {
    const x = n.input(0);
    return n.f.where(n.f.greater(x, 0), x, n.f.mul(x, n.input(1)));
  },
  Shrink: (n) => {
    const { f } = n;
    const x = n.input(0);
    const [limit, bias] = [n.float('lambd', 0.5), n.float('bias', 0)];
    const below = f.where(f.less(x, -limit), f.add(x, bias), 0);
    return f.where(f.greater(x, limit), f.sub(x, bias), below);
  },
  Softsign: (n) => n.f.div(n.input(0), n.f.add(n.f.abs(n.input(0)), 1)),
  Swish: (n) => swish(n, n.input(0), n.float('alpha', 1)),
  SwiGLU: (n) => n.f.mul(swish(n, n.input(0), n.float('alpha', 1)), n.input(1)),
  ThresholdedRelu: (n) => n.f.where(n.f.greater(n.input(0), n.float('alpha', 1)), n.input(0), 0),
};
