"""Makes the golden files beside it with PyTorch, an independent implementation of every operator.

Run by hand, never by the tests: python test/golden/make_golden.py   (needs torch, numpy, safetensors)
"""
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

HERE = Path(__file__).parent


def noise(shape, seed, scale=1.0, offset=0.0):
    """Reproducible in any language: a 32-bit integer hash of (seed, index), to [-scale, scale)."""
    with np.errstate(over="ignore"):
        h = np.arange(int(np.prod(shape)), dtype=np.uint32) * np.uint32(2654435761) + np.uint32(seed * 40503)
        h = (h ^ (h >> np.uint32(15))) * np.uint32(2246822519)
        h = (h ^ (h >> np.uint32(13))) * np.uint32(3266489917)
        h = h ^ (h >> np.uint32(16))
    unit = (h >> np.uint32(8)).astype(np.float64) / 2**24
    return torch.from_numpy(((unit * 2 - 1) * scale + offset).astype(np.float32).reshape(shape))


# ---- one operator each ----------------------------------------------------------------------------------------
CASES = []


def case(operator, function, shapes, attributes=None, constants=None, scale=1.0, offset=0.0, inputs=None):
    """`inputs` says in which order floats (their index) and constants (their name) are given to the ONNX operator."""
    xs = [noise(s, 7 * len(CASES) + i + 1, scale, offset).requires_grad_() for i, s in enumerate(shapes)]
    ys = function(*xs)
    ys = list(ys) if isinstance(ys, (tuple, list)) else [ys]
    dys = [noise(tuple(y.shape), 1000 + 7 * len(CASES) + i) for i, y in enumerate(ys)]
    sum((y * dy).sum() for y, dy in zip(ys, dys)).backward()
    CASES.append({
        "operator": operator,
        "attributes": attributes or {},
        "constants": constants or {},
        "inputs": inputs if inputs is not None else list(range(len(xs))),
        "values": [{"shape": list(x.shape), "data": x.detach().flatten().tolist()} for x in xs],
        "dys": [{"shape": list(d.shape), "data": d.flatten().tolist()} for d in dys],
        "outputs": [y.detach().flatten().tolist() for y in ys],
        "gradients": [x.grad.flatten().tolist() for x in xs],
    })


def ints(*values):
    return {"type": "int64", "shape": [len(values)], "data": list(values)}


def elementwise():
    for name, f in [("Add", torch.add), ("Sub", torch.sub), ("Mul", torch.mul)]:
        case(name, f, [(2, 3, 4), (2, 3, 4)])
        case(name, f, [(2, 3, 4), (3, 1)])
        case(name, f, [(4,), (2, 3, 4)])
    case("Div", torch.div, [(2, 3), (2, 3)], offset=2.5)
    case("Div", torch.div, [(2, 3), (3,)], offset=-2.5)
    case("Pow", torch.pow, [(2, 3), (1, 3)], offset=2.0)
    case("Max", torch.maximum, [(2, 3), (2, 3)])
    case("Min", torch.minimum, [(2, 3), (3,)])
    for name, f, offset in [
        ("Neg", torch.neg, 0), ("Abs", torch.abs, 0), ("Sqrt", torch.sqrt, 1.5), ("Exp", torch.exp, 0),
        ("Log", torch.log, 1.5), ("Reciprocal", torch.reciprocal, 2.0), ("Relu", F.relu, 0),
        ("Sigmoid", torch.sigmoid, 0), ("Tanh", torch.tanh, 0), ("Softplus", F.softplus, 0), ("Identity", lambda x: x * 1, 0),
    ]:
        case(name, f, [(3, 5)], offset=offset, scale=1.0 if offset else 2.0)
    case("LeakyRelu", lambda x: F.leaky_relu(x, 0.2), [(3, 5)], {"alpha": 0.2})
    limits = {"low": {"type": "float32", "shape": [], "data": [-0.5]}, "high": {"type": "float32", "shape": [], "data": [0.25]}}
    case("Clip", lambda x: x.clamp(-0.5, 0.25), [(4, 5)], constants=limits, inputs=[0, "low", "high"])
    case("Cast", lambda x: x.double().float(), [(3, 4)], {"to": 1})
    mask = {"mask": {"type": "bool", "shape": [2, 1, 3], "data": [1, 0, 1, 0, 0, 1]}}
    condition = torch.tensor([1, 0, 1, 0, 0, 1]).reshape(2, 1, 3).bool()
    case("Where", lambda a, b: torch.where(condition, a, b), [(2, 4, 3), (3,)], constants=mask, inputs=["mask", 0, 1])


def shaping():
    case("Reshape", lambda x: x.reshape(4, 6), [(2, 3, 4)], constants={"s": ints(4, -1)}, inputs=[0, "s"])
    case("Unsqueeze", lambda x: x[:, None, :, None], [(2, 3)], constants={"a": ints(1, 3)}, inputs=[0, "a"])
    case("Squeeze", lambda x: x[:, 0], [(2, 1, 3)], constants={"a": ints(1)}, inputs=[0, "a"])
    case("Expand", lambda x: x.expand(2, 4, 3), [(4, 1)], constants={"s": ints(2, 4, 3)}, inputs=[0, "s"])
    case("Transpose", lambda x: x.permute(2, 0, 1), [(2, 3, 4)], {"perm": [2, 0, 1]})
    case("Concat", lambda a, b, c: torch.cat([a, b, c], 1), [(2, 1, 3), (2, 2, 3), (2, 3, 3)], {"axis": 1})
    case("Split", lambda x: torch.split(x, [1, 3, 2], 1), [(2, 6)], {"axis": 1}, {"s": ints(1, 3, 2)}, inputs=[0, "s"])

    def sliced(f, starts, ends, axes, steps):
        case("Slice", f, [(5, 7)], constants={"b": ints(*starts), "e": ints(*ends), "a": ints(*axes), "s": ints(*steps)},
             inputs=[0, "b", "e", "a", "s"])

    sliced(lambda x: x[1:4, 2:], [1, 2], [4, 99], [0, 1], [1, 1])
    sliced(lambda x: x[:, 1:6:2], [1], [6], [1], [2])
    sliced(lambda x: x.flip(1), [-1], [-99], [1], [-1])
    sliced(lambda x: x.flip(0)[::2], [-1], [-99], [0], [-2])
    case("Pad", lambda x: F.pad(x, (2, 0, 1, 1)), [(3, 4)], constants={"p": ints(1, 2, 1, 0)}, inputs=[0, "p"])
    case("Pad", lambda x: F.pad(x, (-1, 2)), [(3, 4)], constants={"p": ints(0, -1, 0, 2)}, inputs=[0, "p"])
    one = {"type": "int64", "shape": [], "data": [1]}
    case("Gather", lambda x: x[:, 1], [(2, 4, 3)], {"axis": 1}, {"i": one}, inputs=[0, "i"])
    case("Gather", lambda x: x[:, -3:-1], [(2, 4, 3)], {"axis": 1}, {"i": ints(-3, 2)}, inputs=[0, "i"])
    case("Gather", lambda x: x[:, [2, 0, 2]], [(2, 4, 3)], {"axis": 1}, {"i": ints(2, 0, 2)}, inputs=[0, "i"])


def reductions():
    for keep in (0, 1):
        case("ReduceSum", lambda x: x.sum((0, 2), keepdim=bool(keep)), [(2, 3, 4)], {"keepdims": keep}, {"a": ints(0, 2)}, inputs=[0, "a"])
        case("ReduceMean", lambda x: x.mean((1,), keepdim=bool(keep)), [(2, 3, 4)], {"keepdims": keep}, {"a": ints(-2)}, inputs=[0, "a"])
        case("ReduceMax", lambda x: x.amax((1, 2), keepdim=bool(keep)), [(2, 3, 4)], {"keepdims": keep}, {"a": ints(1, 2)}, inputs=[0, "a"])
        case("ReduceSumSquare", lambda x: (x * x).sum((2,), keepdim=bool(keep)), [(2, 3, 4)], {"keepdims": keep}, {"a": ints(2)}, inputs=[0, "a"])
    case("Softmax", lambda x: x.softmax(1), [(2, 5, 3)], {"axis": 1})
    case("LogSoftmax", lambda x: x.log_softmax(-1), [(4, 5)], {"axis": -1})


def linear():
    case("MatMul", torch.matmul, [(3, 4), (4, 5)])
    case("MatMul", torch.matmul, [(2, 3, 4), (4, 5)])
    case("MatMul", torch.matmul, [(2, 1, 3, 4), (5, 4, 2)])
    case("MatMul", torch.matmul, [(2, 9, 7), (2, 7, 2)])
    case("MatMul", torch.matmul, [(2, 2, 7), (2, 7, 9)])
    case("MatMul", torch.matmul, [(3, 2, 9, 7), (2, 7, 2)])
    for ta in (0, 1):
        for tb in (0, 1):
            case("Gemm", lambda a, b, c: 0.5 * (a.T if ta else a) @ (b.T if tb else b) + 2.0 * c,
                 [(4, 3) if ta else (3, 4), (5, 4) if tb else (4, 5), (5,)],
                 {"alpha": 0.5, "beta": 2.0, "transA": ta, "transB": tb})


def spatial():
    one = [1] * 6
    case("Conv", lambda x, w, b: F.conv3d(x, w, b, padding=1), [(2, 3, 4, 5, 3), (4, 3, 3, 3, 3), (4,)], {"kernel_shape": [3, 3, 3], "pads": one})
    case("Conv", lambda x, w: F.conv3d(x, w, padding=1), [(3, 1, 3, 4, 5), (2, 1, 3, 3, 3)], {"pads": one})
    case("Conv", lambda x, w, b: F.conv3d(x, w, b), [(2, 3, 2, 3, 4), (5, 3, 1, 1, 1), (5,)], {"kernel_shape": [1, 1, 1]})
    case("Conv", lambda x, w: F.conv3d(x, w, stride=2), [(1, 2, 4, 6, 4), (3, 2, 2, 2, 2)], {"kernel_shape": [2, 2, 2], "strides": [2, 2, 2]})
    case("Conv", lambda x, w: F.conv2d(x, w, stride=(2, 1), padding=(1, 0)), [(2, 2, 6, 5), (3, 2, 3, 2)],
         {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 0]})
    case("ConvTranspose", lambda x, w, b: F.conv_transpose3d(x, w, b, stride=2), [(2, 3, 2, 3, 2), (3, 4, 2, 2, 2), (4,)],
         {"kernel_shape": [2, 2, 2], "strides": [2, 2, 2]})
    case("UpsampleConv", lambda x, w, b: F.conv3d(F.interpolate(x, scale_factor=2, mode="nearest"), w, b, padding=1),
         [(2, 3, 2, 3, 4), (5, 3, 3, 3, 3), (5,)])
    case("MaxPool", lambda x: F.max_pool3d(x, 2), [(2, 3, 4, 2, 6)], {"kernel_shape": [2, 2, 2], "strides": [2, 2, 2]})
    case("MaxPool", lambda x: F.max_pool2d(F.relu(x), 2), [(2, 3, 4, 6)], {"kernel_shape": [2, 2], "strides": [2, 2]})
    CASES[-1]["before"] = "Relu"
    case("AveragePool", lambda x: F.avg_pool3d(x, (1, 2, 3)), [(2, 2, 3, 4, 6)], {"kernel_shape": [1, 2, 3], "strides": [1, 2, 3]})
    case("GlobalAveragePool", lambda x: x.mean((2, 3, 4), keepdim=True), [(2, 3, 2, 3, 4)])
    scales = {"s": {"type": "float32", "shape": [5], "data": [1, 1, 2, 1, 3]}}
    case("Resize", lambda x: F.interpolate(x, scale_factor=(2, 1, 3), mode="nearest"), [(2, 2, 2, 3, 2)],
         {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}, scales, inputs=[0, None, "s"])
    for shape in [(3, 2, 2, 3, 4), (4, 3)]:
        case("BatchNorm", lambda x, s, b: F.batch_norm(x, None, None, s, b, True, 0.1, 1e-3), [shape, (shape[1],), (shape[1],)], {"epsilon": 1e-3}, offset=0.5)
    case("Conv", lambda x, w: F.conv3d(x, w, padding=1, groups=4), [(2, 4, 3, 4, 5), (4, 1, 3, 3, 3)],
         {"kernel_shape": [3, 3, 3], "pads": one, "group": 4})
    case("Conv", lambda x, w: F.conv3d(x, w, stride=2, padding=(1, 2, 1), groups=3), [(2, 3, 5, 6, 7), (6, 1, 3, 5, 3)],
         {"kernel_shape": [3, 5, 3], "strides": [2, 2, 2], "pads": [1, 2, 1, 1, 2, 1], "group": 3})
    case("Conv", lambda x, w: F.conv2d(x, w, stride=(1, 2), padding=2, dilation=2, groups=3), [(2, 3, 7, 9), (3, 1, 3, 3)],
         {"kernel_shape": [3, 3], "strides": [1, 2], "pads": [2, 2, 2, 2], "dilations": [2, 2], "group": 3})
    case("Conv", lambda x, w: F.conv3d(x, w, stride=2, padding=1, groups=2), [(1, 4, 4, 5, 4), (6, 2, 3, 3, 3)],
         {"kernel_shape": [3, 3, 3], "strides": [2, 2, 2], "pads": one, "group": 2})
    case("ConvTranspose", lambda x, w, b: F.conv_transpose3d(x, w, b, stride=2, padding=1, output_padding=1, groups=2),
         [(2, 4, 2, 3, 2), (4, 3, 3, 3, 3), (6,)],
         {"kernel_shape": [3, 3, 3], "strides": [2, 2, 2], "pads": one, "output_padding": [1, 1, 1], "group": 2})


# ---- whole networks --------------------------------------------------------------------------------------------
def parameter_seed(name):
    seed = 0
    for character in name:
        seed = (seed * 31 + ord(character)) % 65521
    return seed


class Network:
    """The networks of the product, written again with torch.nn.functional; parameters by name."""

    def __init__(self, width, levels, skip, upsampling, epsilon=1e-3):
        self.width, self.levels, self.skip, self.upsampling, self.epsilon = width, levels, skip, upsampling, epsilon
        self.parameters = {}
        self.frozen = False

    def parameter(self, name, shape, scale, offset=0.0):
        values = noise(shape, parameter_seed(name), scale, offset)
        if self.frozen:
            return values
        return self.parameters.setdefault(name, values.requires_grad_())

    def block(self, path, i, x, channels):
        fan = x.shape[1] * 27
        w = self.parameter(f"{path}.conv{i}.weight", (channels, x.shape[1], 3, 3, 3), (3 / fan) ** 0.5)
        b = self.parameter(f"{path}.conv{i}.bias", (channels,), 0.1)
        scale = self.parameter(f"{path}.norm{i}.weight", (channels,), 0.2, 1.0)
        offset = self.parameter(f"{path}.norm{i}.bias", (channels,), 0.2, 0.1)
        y = F.conv3d(x, w, b, padding=1)
        if not self.frozen:
            return F.relu(F.batch_norm(y, None, None, scale, offset, True, 0.1, self.epsilon))
        mean = self.parameter(f"{path}.norm{i}.running_mean", (channels,), 0.2, 0.1)
        variance = self.parameter(f"{path}.norm{i}.running_var", (channels,), 0.3, 1.0)
        return F.relu(F.batch_norm(y, mean, variance, scale, offset, False, 0.1, self.epsilon))

    def encoder(self, x, frozen=False):
        """The bottleneck, and the feature maps before each pooling."""
        self.frozen = frozen
        skips = []
        for level in range(self.levels + 1):
            x = self.block(f"encoder.{level}", 1, x, self.width << level)
            x = self.block(f"encoder.{level}", 2, x, 2 * self.width << level)
            if level < self.levels:
                skips.append(x)
                x = F.max_pool3d(x, 2)
        self.frozen = False
        return x, skips

    def decoder(self, x, skips, channels):
        """Logits of as many channels."""
        for level in reversed(range(self.levels)):
            if self.upsampling == "deconv":
                c = x.shape[1]
                w = self.parameter(f"decoder.{level}.up.weight", (c, c, 2, 2, 2), (1 / c) ** 0.5)
                x = F.conv_transpose3d(x, w, self.parameter(f"decoder.{level}.up.bias", (c,), 0.1), stride=2)
            else:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
            if self.skip:
                x = torch.cat([x, skips[level]], 1)
            x = self.block(f"decoder.{level}", 1, x, 2 * self.width << level)
            x = self.block(f"decoder.{level}", 2, x, 2 * self.width << level)
        w = self.parameter("head.weight", (channels, x.shape[1], 1, 1, 1), (3 / x.shape[1]) ** 0.5)
        return F.conv3d(x, w, self.parameter("head.bias", (channels,), 0.1))

    def dense(self, path, x, outputs):
        w = self.parameter(f"{path}.weight", (outputs, x.shape[1]), (3 / x.shape[1]) ** 0.5)
        return F.linear(x, w, self.parameter(f"{path}.bias", (outputs,), 0.1))


NETWORKS = [
    dict(name="nearest", width=3, levels=2, skip=False, upsampling="nearest", batch=3, tile=(8, 12, 8), whole=(8, 12, 8)),
    dict(name="nearest-skip", width=2, levels=2, skip=True, upsampling="nearest", batch=1, tile=(16, 8, 16), whole=(8, 8, 16)),
    dict(name="deconv-skip", width=2, levels=2, skip=True, upsampling="deconv", batch=2, tile=(8, 8, 12), whole=(8, 8, 12)),
    dict(name="deep", width=1, levels=3, skip=False, upsampling="nearest", batch=1, tile=(16, 32, 48), whole=(8, 16, 24)),
]


def network(config):
    net = Network(config["width"], config["levels"], config["skip"], config["upsampling"])
    n, tile, whole = config["batch"], config["tile"], config["whole"]
    # A smooth anatomy with noise, so that neither the clipping nor the pooling is trivial.
    hu = (noise((n, *tile), 5, 700) + noise((n, 1, 1, tile[2]), 6, 600)).round().to(torch.int16)
    unit = (hu.float().clamp(-1000, 1000) + 1000) / 2000
    boxes, parts = [], []
    for i in range(n):
        size = [max(1, round(s * f)) for s, f in zip(tile, (0.6, 0.5, 0.7))]
        start = [(s - z) * (i + 1) // (n + 1) for s, z in zip(tile, size)]
        boxes.append({"start": start[::-1], "size": size[::-1]})  # x, y, z
        (d, h, w), (dd, hh, ww) = start, size
        box = unit[i, d:d + dd, h:h + hh, w:w + ww][None, None]
        parts.append(F.interpolate(box, size=whole, mode="trilinear", align_corners=False))
    target = F.avg_pool3d(unit[:, None], tuple(t // s for t, s in zip(tile, whole)))
    part = torch.cat(parts)
    output = torch.sigmoid(net.decoder(*net.encoder(part), 1))
    loss = F.mse_loss(output, target)
    loss.backward()
    tensors = {f"gradient:{k}": v.grad.numpy() for k, v in net.parameters.items()}
    tensors |= {"loss": loss.detach().numpy().reshape(1), "part": part.numpy(), "whole": target.numpy(), "hu": hu.numpy()}
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, HERE / f"network-{config['name']}.safetensors",
              metadata={"config": json.dumps(config | {"boxes": boxes})})


# ---- networks of target tasks ----------------------------------------------------------------------------------
TARGETS = [
    dict(name="classifier", channels=2, batch=2, size=(8, 12, 8), hidden=7, outputs=1, sample_weight=[1, 0.5],
         loss=dict(name="binaryCrossEntropy", positiveWeights=[2.5])),
    dict(name="classifier-questions", channels=1, batch=2, size=(8, 8, 8), hidden=5, outputs=3, sample_weight=[1, 1],
         loss=dict(name="binaryCrossEntropy", positiveWeights=None)),
    dict(name="classifier-classes", channels=2, batch=4, size=(8, 8, 8), hidden=6, outputs=3, sample_weight=[1, 1, 0.25, 0],
         loss=dict(name="crossEntropy", classWeights=[1, 3, 0.5])),
    dict(name="classifier-frozen", channels=2, batch=2, size=(8, 8, 8), hidden=None, outputs=2, frozen=True, sample_weight=[1, 1],
         loss=dict(name="crossEntropy", classWeights=None)),
    dict(name="segmenter", channels=2, batch=2, size=(8, 8, 12), classes=1, upsampling="nearest", sample_weight=[1, 1],
         losses=[dict(name="dice"), dict(name="binaryCrossEntropy", positiveWeights=[3])]),
    dict(name="segmenter-classes", channels=3, batch=3, size=(8, 8, 8), classes=2, upsampling="deconv", sample_weight=[1, 0.5, 0],
         losses=[dict(name="dice")]),
    dict(name="segmenter-frozen", channels=2, batch=2, size=(8, 8, 8), classes=2, upsampling="nearest", frozen=True, sample_weight=[1, 0.5],
         losses=[dict(name="binaryCrossEntropy", positiveWeights=None)]),
]


def positive_weights(loss, axes):
    given = loss["positiveWeights"]
    return None if given is None else torch.tensor(given).float().reshape(-1, *[1] * axes)


def target_loss(config, logits, target, weights):
    """Weighted by sample; Dice over the whole batch."""
    total = 0
    for loss in config.get("losses") or [config["loss"]]:
        if loss["name"] == "dice":
            w = weights.reshape(-1, 1, 1, 1, 1)
            p = torch.sigmoid(logits)
            over = (0, 2, 3, 4)
            total = total + (1 - (2 * (w * p * target).sum(over) + 1) / ((w * p).sum(over) + (w * target).sum(over) + 1)).mean()
        elif loss["name"] == "binaryCrossEntropy":
            each = F.binary_cross_entropy_with_logits(
                logits, target, pos_weight=positive_weights(loss, logits.ndim - 2), reduction="none").flatten(1).mean(1)
            total = total + (weights * each).sum() / weights.sum()
        else:
            w = weights if loss["classWeights"] is None else weights * torch.tensor(loss["classWeights"]).float()[target]
            total = total + (w * F.cross_entropy(logits, target, reduction="none")).sum() / w.sum()
    return total


def target_task(config):
    net = Network(3, 2, True, config.get("upsampling", "nearest"))
    n, size = config["batch"], config["size"]
    hu = (noise((n, config["channels"], *size), 5, 700) + noise((n, 1, 1, 1, size[2]), 6, 600)).round().to(torch.int16)
    encoded = net.encoder((hu.float().clamp(-1000, 1000) + 1000) / 2000, config.get("frozen", False))
    if "classes" in config:
        logits = net.decoder(*encoded, config["classes"])
        given = target = (noise(tuple(logits.shape), 8) > 0.4).to(torch.uint8)
    else:
        vector = encoded[0].mean((2, 3, 4))
        hidden = vector if config["hidden"] is None else F.relu(net.dense("classifier.hidden", vector, config["hidden"]))
        logits = net.dense("classifier.output", hidden, config["outputs"])
        if config["loss"]["name"] == "crossEntropy":
            given, target = (torch.arange(n) % config["outputs"]).int(), torch.arange(n) % config["outputs"]
        else:
            given = target = (noise(tuple(logits.shape), 8) > 0).float()
    target = target.float() if target.dtype == torch.uint8 else target
    loss = target_loss(config, logits, target, torch.tensor(config["sample_weight"]).float())
    loss.backward()
    tensors = {f"gradient:{k}": v.grad.numpy() for k, v in net.parameters.items()}
    tensors |= {"loss": loss.detach().numpy().reshape(1), "image": hu.numpy(), "target": given.numpy(),
                "probabilities": (logits.softmax(1) if config.get("loss", {}).get("name") == "crossEntropy" else logits.sigmoid()).detach().numpy()}
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, HERE / f"target-{config['name']}.safetensors",
              metadata={"config": json.dumps(config)})


# ---- Models Genesis ---------------------------------------------------------------------------------------------
class GenesisConv(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1 = torch.nn.Conv3d(inputs, outputs, kernel_size=3, padding=1)
        self.bn1 = torch.nn.BatchNorm3d(outputs)

    def forward(self, x):
        y, bn = self.conv1(x), self.bn1  # always normalised by the batch, as theirs
        return F.relu(F.batch_norm(y, None, None, bn.weight, bn.bias, True, 0.1, bn.eps))


class GenesisBlock(torch.nn.Module):
    def __init__(self, inputs, middle, outputs, up=None):
        super().__init__()
        if up:
            self.up_conv = torch.nn.ConvTranspose3d(up, up, kernel_size=2, stride=2)
        self.ops = torch.nn.Sequential(GenesisConv(inputs, middle), GenesisConv(middle, outputs))


class GenesisUNet(torch.nn.Module):
    """The modules of Models Genesis' unet3d.py, with its names; theirs has width 32."""

    def __init__(self, w):
        super().__init__()
        self.down_tr64 = GenesisBlock(1, w, 2 * w)
        self.down_tr128 = GenesisBlock(2 * w, 2 * w, 4 * w)
        self.down_tr256 = GenesisBlock(4 * w, 4 * w, 8 * w)
        self.down_tr512 = GenesisBlock(8 * w, 8 * w, 16 * w)
        self.up_tr256 = GenesisBlock(24 * w, 8 * w, 8 * w, up=16 * w)
        self.up_tr128 = GenesisBlock(12 * w, 4 * w, 4 * w, up=8 * w)
        self.up_tr64 = GenesisBlock(6 * w, 2 * w, 2 * w, up=4 * w)
        self.out_tr = torch.nn.Module()
        self.out_tr.final_conv = torch.nn.Conv3d(2 * w, 1, kernel_size=1)

    def forward(self, x):
        skips = []
        for block in (self.down_tr64, self.down_tr128, self.down_tr256):
            skips.append(block.ops(x))
            x = F.max_pool3d(skips[-1], 2)
        x = self.down_tr512.ops(x)
        for block in (self.up_tr256, self.up_tr128, self.up_tr64):
            x = block.ops(torch.cat([block.up_conv(x), skips.pop()], 1))
        return torch.sigmoid(self.out_tr.final_conv(x))


def genesis():
    assert sum(p.numel() for p in GenesisUNet(32).parameters()) == 19_073_665
    network = GenesisUNet(1)
    with torch.no_grad():
        for i, parameter in enumerate(network.parameters()):
            parameter += noise(tuple(parameter.shape), 300 + i, 0.2)
    x = noise((2, 1, 8, 16, 8), 299, 0.5, 0.5)
    state = {f"module.{k}": v.numpy() for k, v in network.state_dict().items()}
    np.savez_compressed(HERE / "genesis.npz", **state)
    save_file({"image": x.numpy(), "output": network(x).detach().numpy()}, HERE / "genesis-output.safetensors")
    np.savez(HERE / "arrays.npz", plain=np.arange(6, dtype="<f4").reshape(2, 3), big=np.array([1.5, -2.0], ">f8"),
             scalar=np.float32(0.5), count=np.array(7, "<i8"), empty=np.zeros((0, 3), "<f4"))


# ---- optimisers ------------------------------------------------------------------------------------------------
def optimizers():
    result = []
    for name, make, options in [
        ("adam", lambda p: torch.optim.Adam(p, lr=0.01), dict(name="adam", beta1=0.9, beta2=0.999, epsilon=1e-8, weightDecay=0)),
        ("adam+decay", lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1), dict(name="adam", beta1=0.9, beta2=0.999, epsilon=1e-8, weightDecay=0.1)),
        ("adamw", lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1), dict(name="adamw", beta1=0.9, beta2=0.999, epsilon=1e-8, weightDecay=0.1)),
        ("sgd", lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9), dict(name="sgd", momentum=0.9, weightDecay=0)),
        ("sgd+decay", lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.1), dict(name="sgd", momentum=0.9, weightDecay=0.1)),
    ]:
        for clip in (None, 0.5):
            parameter = noise((2, 3), 11).requires_grad_()
            optimizer = make([parameter])
            gradients, values = [], []
            for step in range(5):
                parameter.grad = noise((2, 3), 20 + step)
                gradients.append(parameter.grad.flatten().tolist())
                if clip:
                    torch.nn.utils.clip_grad_norm_([parameter], clip)
                optimizer.step()
                values.append(parameter.detach().flatten().tolist())
            result.append({"name": name, "options": options, "clip": clip, "learningRate": 0.01,
                           "start": noise((2, 3), 11).flatten().tolist(), "gradients": gradients, "values": values})
    return result


if __name__ == "__main__":
    torch.manual_seed(0)
    for family in (elementwise, shaping, reductions, linear, spatial):
        family()
    rounded = lambda v: float(np.float32(v)) if isinstance(v, float) else v
    (HERE / "rules.json").write_text(json.dumps(json.loads(json.dumps(CASES), parse_float=lambda t: rounded(float(t)))))
    (HERE / "optimizers.json").write_text(json.dumps(optimizers()))
    for config in NETWORKS:
        network(config)
    for config in TARGETS:
        target_task(config)
    genesis()
