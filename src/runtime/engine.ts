import type { ElementType, TensorData } from '../../graphs/onnx/types.js';

/** A tensor as engines take and return it. int64 data are BigInt64Array, bool data bytes. */
export interface EngineTensor {
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly data: TensorData;
}
export type Tensors = Readonly<Record<string, EngineTensor>>;

export interface SessionOptions {
  /** Threads that one run may use; 0 leaves it to the engine. */
  readonly threads: number;
  /**
   * What the engine may do to the graph to make it faster: `all`, the default, or `nothing`, with which large graphs load
   * sooner.
   */
  readonly rewrite?: 'all' | 'nothing';
}

/** A loaded model. */
export interface Session {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /**
   * Runs the model once.
   * @param into tensors to write outputs into, by name; only the outputs named here, or all without it, are returned
   * @throws UserError of kind `runtime` with the runtime's own message
   */
  run(feeds: Tensors, into?: Tensors): Promise<Tensors>;
  release(): Promise<void>;
}

/** Something that runs ONNX models. Models are bytes to it. */
export interface Engine {
  /** Package, version and execution provider: what reports state beside a time. */
  readonly name: string;
  readonly provider: string;
  load(model: Uint8Array, options: SessionOptions): Promise<Session>;
}
