/** The element types that our graphs use, by their ONNX names. */
export type ElementType =
  | 'float32'
  | 'float64'
  | 'int8'
  | 'uint8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'float16'
  | 'bfloat16'
  | 'bool';

/** The element types that a network may compute in. */
export type FloatType = 'float32' | 'float64';

/** A size that is known, or a name for one that is not (`'N'`, `'D'`; `'D/2'` after pooling). */
export type Dim = number | string;
export type Shape = readonly Dim[];

/** The values of a tensor. float16 and bfloat16 are kept as their raw 16 bits, bool as one byte a value. */
export type TensorData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** A tensor whose values are known. */
export interface Tensor {
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** An edge of a graph: what it is called, and what flows along it. */
export interface Value {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: Shape;
  /** A sequence of any number of tensors of this type, of any shape. */
  readonly isSequence?: true;
  /** Of a file that does not say how many axes it has: the shape is empty. */
  readonly isUnranked?: true;
}

/** An attribute carries its ONNX kind, because 1 may be meant as an int or as a float. */
export type Attribute =
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'ints'; readonly value: readonly number[] }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'floats'; readonly value: readonly number[] }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'strings'; readonly value: readonly string[] }
  | { readonly kind: 'tensor'; readonly value: Tensor }
  | { readonly kind: 'graph'; readonly value: Graph };

/** One operation. Inputs and outputs are names of values; `''` is an omitted optional one. */
export interface Node {
  readonly name: string;
  readonly operator: string;
  /** `''` for standard ONNX, `com.microsoft…` for ONNX Runtime's own, `parts2whole` before lowering. */
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** Version of each operator set, by domain. */
export type Opsets = Readonly<Record<string, number>>;

/** A graph as plain data; nodes are in topological order. */
export interface Graph {
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly nodes: readonly Node[];
  readonly initializers: ReadonlyMap<string, Tensor>;
  /** Type and shape of everything with a name, where known. */
  readonly values: ReadonlyMap<string, Value>;
  /** What its nodes are written in, where it was read from a file; those of ours otherwise. */
  readonly opsets?: Opsets;
}

/** A tensor whose values lie in a file beside the model, and were not read. */
export interface ExternalTensor {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly location: ExternalLocation;
}

/** Where a tensor's bytes lie in a file beside the model. */
export interface ExternalLocation {
  readonly file: string;
  readonly offset: number;
  /** In bytes: what the shape needs. */
  readonly length: number;
}

/** A node of a function. Some of its attributes are those of the node that calls the function. */
export interface FunctionNode extends Node {
  /** By the node's own name of each. */
  readonly references: Readonly<Record<string, string>>;
}

/** An operator that a model brings itself, as a graph of others. */
export interface LocalFunction {
  readonly domain: string;
  readonly name: string;
  /** Which of several functions of one name it is; empty where there is one. */
  readonly overload: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Attributes that a call may leave out. */
  readonly defaults: Readonly<Record<string, Attribute>>;
  readonly nodes: readonly FunctionNode[];
  readonly opsets: Opsets;
}

/** A graph with what a runtime must know to run it. */
export interface Model {
  readonly graph: Graph;
  readonly irVersion: number;
  readonly opsets: Opsets;
  readonly producer: { readonly name: string; readonly version: string };
  readonly documentation: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Tensors that were left in files beside the model, those of bodies and attributes too; the graph does not have them. */
  readonly external?: readonly ExternalTensor[];
  /** Operators of its own; none without it. */
  readonly functions?: readonly LocalFunction[];
}

const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
} as const;

/** TensorProto.DataType of each element type. */
export const TYPE_CODES: Readonly<Record<ElementType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  bfloat16: 16,
};

/** The typed array that holds values of `type`. */
export const arrayOf = <T extends ElementType>(type: T): (typeof ARRAYS)[T] => ARRAYS[type];

/** Number of values in a known shape; 1 for a scalar. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** `[2, 'N', 3]` as `[2,N,3]`, for messages. */
export const formatShape = (shape: Shape): string => `[${shape.join(',')}]`;

/** What is known of a value's shape, for messages. */
export const shapeText = ({ shape, isUnranked }: Pick<Value, 'shape' | 'isUnranked'>): string =>
  isUnranked ? 'of any shape' : formatShape(shape);

/** The shape as numbers. @throws GraphError when a size is only a name. */
export function knownShape(shape: Shape, purpose: string): number[] {
  return shape.map((dim) => {
    if (typeof dim === 'number') return dim;
    throw new GraphError(`${purpose} needs sizes that are numbers, got ${formatShape(shape)}`);
  });
}

/** A graph that cannot be: shapes that do not fit, an unknown operator, a gradient that does not exist. */
export class GraphError extends Error {
  override readonly name = 'GraphError';
}
