"""Packs the ONNX standard's own node tests into node-tests.bin.gz, for test/graphs/standard.

Run by hand, never by the tests: python test/golden/make_node_tests.py   (needs onnx 1.23.2)

Each case is a model: its graph has the case's name and one node; its initialisers are the inputs, and, with `expected/` before
their names, the outputs. The file is a list of pieces, each behind its length as a little-endian 32-bit number: first a JSON
text that says what was left out and why, then the models.
"""
import gzip
import json
import struct
import warnings
from pathlib import Path

import numpy as np
import onnx
from onnx.backend.test.case.node import collect_testcases

LARGEST = 10_000  # bytes of all tensors of a case, so that the file stays small
ALWAYS = {"test_erf", "test_mish"}  # the only cases of their operators
# TensorProto.DataType of all element types but strings, complex numbers, and those that are narrower than int8 and float16.
TYPES = {1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 16}
FLOATS = {"float32", "float64", "float16", "bfloat16"}


def reason_to_leave_out(case):
    graph = case.model.graph
    if len(graph.node) != 1:
        return "several nodes: another operator as a graph of simpler ones"
    node = graph.node[0]
    if node.domain not in ("", "ai.onnx"):
        return f"another domain: {node.domain}"
    if any(a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) for a in node.attribute):
        return "control flow"
    types = [value.type.WhichOneof("value") for value in [*graph.input, *graph.output]]
    if set(types) != {"tensor_type"}:
        return "sequences or optional values"
    if not {value.type.tensor_type.elem_type for value in [*graph.input, *graph.output]} <= TYPES:
        return "element types of fewer than 8 bits, float8, strings, complex numbers"
    inputs, outputs = tensors(case)
    if not any(is_float(x) for x in inputs):
        return "no input of floats"
    if not any(is_float(y) for y in outputs):
        return "no output of floats"
    if 0 in (inputs[0].size, outputs[0].size):
        return "tensors without values"
    if case.name not in ALWAYS and sum(t.nbytes for t in inputs + outputs) > LARGEST:
        return f"more than {LARGEST} bytes of values"
    return None


def is_float(array):
    return array.dtype.name in FLOATS


def tensors(case):
    def array(value):
        return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)

    inputs, outputs = case.data_sets[0]
    return [array(x) for x in inputs], [array(y) for y in outputs]


def packed(case):
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    graph = model.graph
    graph.name = case.name
    model.doc_string = model.producer_name = ""
    inputs, outputs = tensors(case)
    for value, array in zip(graph.input, inputs):
        graph.initializer.append(onnx.numpy_helper.from_array(array, value.name))
    for value, array in zip(graph.output, outputs):
        graph.initializer.append(onnx.numpy_helper.from_array(array, f"expected/{value.name}"))
    return model.SerializeToString(deterministic=True)


def main():
    warnings.simplefilter("ignore")
    left_out, models = {}, []
    for case in sorted(collect_testcases(None), key=lambda case: case.name):
        reason = reason_to_leave_out(case)
        if reason:
            left_out[reason] = left_out.get(reason, 0) + 1
        else:
            models.append(packed(case))
    head = json.dumps({"onnx": onnx.__version__, "leftOut": left_out}).encode()
    content = b"".join(struct.pack("<I", len(piece)) + piece for piece in [head, *models])
    target = Path(__file__).with_name("node-tests.bin.gz")
    target.write_bytes(gzip.compress(content, mtime=0))
    print(f"{len(models)} cases in {target.stat().st_size} bytes; left out: {json.dumps(left_out, indent=1)}")


if __name__ == "__main__":
    main()
