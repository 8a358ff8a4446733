import { range } from '../onnx/range.js';
import { GraphError, knownShape, type Value } from '../onnx/types.js';
import type { StandardNode, Translations } from './node.js';

const sizes = (x: Value) => knownShape(x.shape, 'attention') as [number, number, number, number];

/** [N,S,heads·D] → [N,heads,S,D]; what has four axes is that already. */
function byHead({ g }: StandardNode, x: Value, heads: number): Value {
  if (x.shape.length === 4) return x;
  const [n, length, width] = sizes(x);
  return g.transpose(g.reshape(x, [n, length, heads, width / heads]), [0, 2, 1, 3]);
}

/** [N,heads,S,D] → [N,S,heads·D]. */
function joinHeads({ g }: StandardNode, x: Value): Value {
  const [n, heads, length, width] = sizes(x);
  return g.reshape(g.transpose(x, [0, 2, 1, 3]), [n, length, heads * width]);
}

/** Each head of [N,heads,…] repeated, so that there are `heads`. */
function repeatHeads({ g }: StandardNode, x: Value, heads: number): Value {
  const [n, own, ...rest] = sizes(x);
  if (own === heads) return x;
  const apart = g.reshape(x, [n, own, 1, ...rest]);
  return g.reshape(g.add('Expand', [apart, g.integers([n, own, heads / own, ...rest])]), [n, heads, ...rest]);
}

/** What is added to the scores [N,heads,queries,keys]: −∞ where a query may not see a key; `null` for nothing. */
function biasOf(
  n: StandardNode,
  queries: number,
  keys: number,
  past: number | null,
  type: Value['type'],
): Value | null {
  const { f, g } = n;
  const none = g.scalar(Number.NEGATIVE_INFINITY, type);
  const unless = (allowed: Value) => f.where(allowed, 0, none);
  const biases: Value[] = [];
  const mask = n.optional(3);
  if (mask) {
    const bias = mask.type === 'bool' ? unless(mask) : mask;
    const missing = keys - (bias.shape.at(-1) as number);
    const pads = [
      ...bias.shape.map(() => 0),
      ...bias.shape.map((_, i) => (i === bias.shape.length - 1 ? missing : 0)),
    ];
    biases.push(missing > 0 ? g.add('Pad', [bias, g.integers(pads), none]) : bias);
  }
  const given = n.optional(6);
  const length = given && g.reshape(given, [-1, 1, 1, 1]);
  // How far behind its query each key lies; queries come last of all that is there.
  const places = g.reshape(g.integers(range(queries).map((i) => i + (past ?? 0))), [queries, 1]);
  const ages = f.sub(places, g.integers(range(keys)));
  const age = length && past === null ? f.add(ages, f.sub(length, g.scalar(queries, 'int64'))) : ages;
  const [left, right] = [n.int('left_window_size', -1), n.int('right_window_size', -1)];
  const isCausal = n.int('is_causal', 0) === 1;
  if (isCausal || right >= 0)
    biases.push(unless(g.add('GreaterOrEqual', [age, g.scalar(isCausal ? 0 : -right, 'int64')])));
  if (left >= 0) biases.push(unless(g.add('LessOrEqual', [age, g.scalar(left, 'int64')])));
  if (length) biases.push(unless(f.less(g.integers(range(keys)), length)));
  return biases.length > 0 ? biases.reduce(f.add) : null;
}

function attend(n: StandardNode): readonly Value[] {
  const { f, g } = n;
  const flat = n.input(0).shape.length === 3;
  const query = byHead(n, n.input(0), n.int('q_num_heads', 1));
  const [pastKey, pastValue] = [n.optional(4), n.optional(5)];
  const [key, value] = [1, 2].map((i) => byHead(n, n.input(i), n.int('kv_num_heads', 1))) as [Value, Value];
  const presentKey = pastKey ? g.add('Concat', [pastKey, key], { axis: 2 }) : key;
  const presentValue = pastValue ? g.add('Concat', [pastValue, value], { axis: 2 }) : value;
  const [, heads, queries, width] = sizes(query);
  const scale = n.float('scale', 1 / Math.sqrt(width));
  const turned = g.transpose(repeatHeads(n, presentKey, heads), [0, 1, 3, 2]);
  const product = f.mul(g.add('MatMul', [query, turned]), scale);
  const cap = n.float('softcap', 0);
  const scores = cap > 0 ? f.mul(f.tanh(f.div(product, cap)), cap) : product;
  const keys = sizes(presentKey)[2];
  const bias = biasOf(n, queries, keys, pastKey && sizes(pastKey)[2], query.type);
  const biased = bias ? f.add(scores, bias) : scores;
  let weights: Value;
  if (bias) {
    // A query that may see no key at all gets nothing.
    const most = g.add('ReduceMax', [bias, g.integers([-1])]);
    const blind = f.equal(most, Number.NEGATIVE_INFINITY);
    weights = f.where(blind, 0, g.add('Softmax', [f.where(blind, 0, biased)], { axis: -1 }));
  } else weights = g.add('Softmax', [scores], { axis: -1 });
  const y = g.add('MatMul', [weights, repeatHeads(n, presentValue, heads)]);
  const mode = n.int('qk_matmul_output_mode', 0);
  const shown = [product, scores, biased, weights][mode];
  if (!shown) throw new GraphError(`qk_matmul_output_mode ${mode} is unknown`);
  return [flat ? joinHeads(n, y) : y, presentKey, presentValue, shown];
}

/** Pairs of values turned by an angle that depends on the position. */
function rotary(n: StandardNode): Value {
  const { f, g } = n;
  const flat = n.input(0).shape.length === 3;
  const x = byHead(n, n.input(0), n.int('num_heads', 1));
  const [batch, heads, length, width] = sizes(x);
  const turned = n.int('rotary_embedding_dim', 0) || width;
  const half = turned / 2;
  const positions = n.optional(3);
  const [cos, sin] = [1, 2].map((i) => {
    const cache = positions ? g.add('Gather', [n.input(i), positions]) : n.input(i);
    return g.add('Unsqueeze', [cache, g.integers([1])]);
  }) as [Value, Value];
  const interleaved = n.int('interleaved', 0) === 1;
  const [first, second] = [0, 1].map((i) =>
    interleaved ? g.slice(x, [i], [turned], [3], [2]) : g.slice(x, [i * half], [(i + 1) * half], [3]),
  ) as [Value, Value];
  const real = f.sub(f.mul(cos, first), f.mul(sin, second));
  const imaginary = f.add(f.mul(sin, first), f.mul(cos, second));
  const pair = interleaved ? [batch, heads, length, half, 1] : [batch, heads, length, half];
  const parts = [real, imaginary].map((part) => g.reshape(part, pair));
  const rotated = g.reshape(g.add('Concat', parts, { axis: pair.length - 1 }), [
    batch,
    heads,
    length,
    turned,
  ]);
  const y =
    turned === width ? rotated : g.add('Concat', [rotated, g.slice(x, [turned], [width], [3])], { axis: 3 });
  return flat ? joinHeads(n, y) : y;
}

/** Attention whose state is a matrix for each head, updated one position after the other. */
function linearAttention(n: StandardNode): readonly Value[] {
  const { f, g } = n;
  const [heads, own] = [n.int('q_num_heads', 1), n.int('kv_num_heads', 1)];
  const rule = n.string('update_rule', 'gated_delta');
  const [query, key, value] = [heads, own, own].map((count, i) => byHead(n, n.input(i), count)) as [
    Value,
    Value,
    Value,
  ];
  const [batch, , length, width] = sizes(query);
  const depth = sizes(value)[3];
  const scale = n.float('scale', 0) || 1 / Math.sqrt(width);
  const decay = rule.includes('gated') ? f.exp(byHead(n, n.input(4), own)) : null;
  const beta = rule.includes('delta') ? byHead(n, n.input(5), n.input(5).shape[2] as number) : null;
  const at = (x: Value, t: number) => g.slice(x, [t], [t + 1], [2]);
  const column = (x: Value) => g.transpose(x, [0, 1, 3, 2]);
  const blank = () => g.full(0, [batch, own, width, depth], query.type);
  let state = n.optional(3) ?? blank();
  const outputs = range(length).map((t) => {
    if (decay) state = f.mul(state, column(at(decay, t)));
    let written = at(value, t);
    if (beta) written = f.mul(at(beta, t), f.sub(written, g.add('MatMul', [at(key, t), state])));
    state = f.add(state, g.add('MatMul', [column(at(key, t)), written]));
    return g.add('MatMul', [f.mul(at(query, t), scale), repeatHeads(n, state, heads)]);
  });
  return [joinHeads(n, g.add('Concat', outputs, { axis: 2 })), state];
}

export const attention: Translations = {
  Attention: attend,
  RotaryEmbedding: rotary,
  LinearAttention: linearAttention,
};
