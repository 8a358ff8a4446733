import {
  type ElementType,
  formatShape,
  type Graph,
  GraphError,
  type Shape,
  type Tensor,
  type Value,
} from './types.js';

/** What TypeScript holds for each kind of attribute. */
interface AttributeTypes {
  int: number;
  ints: readonly number[];
  float: number;
  floats: readonly number[];
  string: string;
  tensor: Tensor;
  graph: Graph;
}
export type AttributeKind = keyof AttributeTypes;

/** One attribute of an operator: its kind, and the standard's default; `undefined` where it may be left out. */
export interface AttributeSpec<K extends AttributeKind = AttributeKind, Required extends boolean = boolean> {
  readonly kind: K;
  readonly required: Required;
  readonly fallback: AttributeTypes[K] | undefined;
}
export type AttributeSpecs = Readonly<Record<string, AttributeSpec>>;

const optional =
  <K extends AttributeKind>(kind: K) =>
  (fallback?: AttributeTypes[K]): AttributeSpec<K, false> => ({ kind, required: false, fallback });
const required = <K extends AttributeKind>(kind: K): AttributeSpec<K, true> => ({
  kind,
  required: true,
  fallback: undefined,
});

export const int = optional('int');
export const ints = optional('ints');
export const float = optional('float');
export const floats = optional('floats');
export const string = optional('string');
export const requiredInt = required('int');
export const requiredInts = required('ints');
export const requiredString = required('string');
export const requiredGraph = required('graph');

type TypeOf<S> = S extends AttributeSpec<infer K, boolean> ? AttributeTypes[K] : never;
type RequiredKeys<S> = { [N in keyof S]: S[N] extends { required: true } ? N : never }[keyof S];

/** What a caller writes: required attributes, and any of the others. */
export type GivenAttributes<S> = { [N in RequiredKeys<S>]: TypeOf<S[N]> } & {
  [N in Exclude<keyof S, RequiredKeys<S>>]?: TypeOf<S[N]>;
};
/** What rules read: defaults filled in. */
export type ResolvedAttributes<S> = { readonly [N in keyof S]: TypeOf<S[N]> };

/** An input as a shape rule sees it; `constant` holds its values, where they stand in the graph, for shapes that depend on them. */
export interface InferInput extends Value {
  readonly constant: readonly number[] | undefined;
}
export interface InferredOutput {
  readonly type: ElementType;
  readonly shape: Shape;
}

export interface Operator<S extends AttributeSpecs = AttributeSpecs> {
  /** `''` for ONNX, `com.microsoft…` for ONNX Runtime's own, `parts2whole` for those that lowering replaces. */
  readonly domain: string;
  /** Its name in its domain, where that is not the one it has here. */
  readonly opType?: string;
  /** Least and most inputs; `null` may stand for an optional one. */
  readonly inputs: readonly [least: number, most: number];
  readonly attributes: S;
  /** Types and shapes of the outputs. @throws GraphError when the inputs do not fit. */
  infer(inputs: readonly InferInput[], attributes: ResolvedAttributes<S>, outputs: number): InferredOutput[];
}

/** Declares an operator; the attributes given to `infer` are typed by their specifications. */
export function operator<const S extends AttributeSpecs>(
  inputs: Operator['inputs'],
  attributes: S,
  infer: Operator<S>['infer'],
  domain = '',
  opType?: string,
): Operator<S> {
  return { domain, inputs, attributes, infer, ...(opType ? { opType } : {}) };
}

/** The internal domain, of high-level operators: they only exist between building and lowering. */
export const INTERNAL_DOMAIN = 'parts2whole';

/** ONNX's multidirectional broadcasting of two shapes. @throws GraphError naming both. */
export function broadcast(a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x === y || y === 1) return x;
    if (x === 1) return y;
    throw new GraphError(`shapes ${formatShape(a)} and ${formatShape(b)} cannot be broadcast together`);
  });
}

/** An axis counted from the start. @throws GraphError when out of range. */
export function normalAxis(axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(normal) || normal < 0 || normal >= rank)
    throw new GraphError(`axis ${axis} is out of range for ${rank} axes`);
  return normal;
}

/** The values of an input that a shape depends on. @throws GraphError when they are not constant. */
export function constantOf(input: InferInput | undefined, purpose: string): readonly number[] {
  if (input?.constant) return input.constant;
  throw new GraphError(`${purpose} must be a constant, got the computed value "${input?.name ?? ''}"`);
}

/** The element type of all inputs that are not left out. @throws GraphError when they differ */
export function sameType(inputs: readonly Value[]): ElementType {
  const types = new Set(inputs.filter(({ name }) => name !== '').map((v) => v.type));
  if (types.size !== 1)
    throw new GraphError(`inputs have different element types: ${[...types].join(' and ')}`);
  return inputs[0]!.type;
}
