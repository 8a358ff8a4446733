/** Models as other exporters write them, made with an independent reading of onnx.proto. */
import onnxProto from 'onnx-proto';

const { ModelProto, TensorProto } = onnxProto.onnx;

export interface ProtoModel {
  readonly nodes: readonly object[];
  readonly inputs: readonly object[];
  readonly outputs: readonly object[];
  readonly initializers?: readonly object[];
  readonly opset?: number;
  readonly domains?: readonly string[];
}

/** A value of an interface. */
export const protoValue = (name: string, shape: readonly (number | string)[], elemType = 1): object => ({
  name,
  type: {
    tensorType: {
      elemType,
      shape: { dim: shape.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d })) },
    },
  },
});

export const protoTensor = (name: string, dims: readonly number[], floatData: readonly number[]): object => ({
  name,
  dims,
  dataType: TensorProto.DataType.FLOAT,
  floatData,
});

/** A node without a name, as many exporters write them. */
export const protoNode = (
  opType: string,
  input: readonly string[],
  output: readonly string[],
  attribute: readonly object[] = [],
  domain = '',
): object => ({ opType, input, output, attribute, domain });

export function protoModel({
  nodes,
  inputs,
  outputs,
  initializers = [],
  opset = 18,
  domains = [],
}: ProtoModel) {
  const imports = domains.map((domain) => ({ domain, version: 1 }));
  return ModelProto.encode(
    ModelProto.fromObject({
      irVersion: 8,
      producerName: 'another',
      opsetImport: [{ domain: '', version: opset }, ...imports],
      graph: { name: 'g', node: nodes, input: inputs, output: outputs, initializer: initializers },
    }),
  ).finish();
}
