"""Packs small PyTorch networks, exported to ONNX, with what training does to them into imported.bin.gz, for test/graphs/imported.

Run by hand, never by the tests: python test/golden/make_imported.py   (needs torch 2.15.0, onnx 1.23.2, onnxscript 0.7.2)

The file is a list of pieces, each behind its length as a little-endian 32-bit number: first a JSON text that lists the cases,
then for each case two models: the exported one, and one whose initialisers are results. Of these `x` and `target` are the batch,
`loss` its mean squared error, `gradient/NAME` the gradient of every parameter, `value/NAME` the parameter at the beginning, and
`after/NAME` every parameter and running statistic after three steps of Adam on the same batch. All was computed in float64.
"""
import gzip
import io
import json
import struct
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import nn

warnings.filterwarnings("ignore")


class Residual(nn.Module):
    """A residual network: batch normalisation, strides, groups, dilation, an overlapping pool."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 5, stride=2, padding=2, bias=False)
        self.stem_norm = nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.first = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4)
        self.first_norm = nn.BatchNorm2d(8, momentum=0.3)
        self.second = nn.Conv2d(8, 12, 3, stride=2, padding=1)
        self.second_norm = nn.BatchNorm2d(12)
        self.shortcut = nn.Conv2d(8, 12, 1, stride=2)
        self.head = nn.Linear(12, 1)

    def forward(self, x):
        x = self.pool(F.relu(self.stem_norm(self.stem(x))))
        y = F.silu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        x = F.leaky_relu(y + self.shortcut(x), 0.1)
        return self.head(x.mean((2, 3)))


class Decoder(nn.Module):
    """A segmenter of volumes: group and instance normalisation, PReLU, transposed convolution, resizing, a skip connection."""

    def __init__(self):
        super().__init__()
        self.encode = nn.Conv3d(1, 6, 3, padding=1)
        self.norm = nn.GroupNorm(2, 6)
        self.act = nn.PReLU(6)
        self.down = nn.Conv3d(6, 8, 2, stride=2)
        self.inner_norm = nn.InstanceNorm3d(8, affine=True)
        self.plain_norm = nn.InstanceNorm3d(8)
        self.up = nn.ConvTranspose3d(8, 6, 3, stride=2, padding=1, output_padding=1)
        self.out = nn.Conv3d(12, 2, 1)

    def forward(self, x):
        a = self.act(self.norm(self.encode(x)))
        b = F.elu(self.inner_norm(self.down(a)))
        b = self.plain_norm(F.avg_pool3d(b, 3, stride=1, padding=1))
        b = F.interpolate(b, scale_factor=2, mode="trilinear")
        b = F.avg_pool3d(b, 2)
        return self.out(torch.cat([a, self.up(b)], 1))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """A vision transformer: patches, a class token, positions, attention."""

    def __init__(self, width=8, heads=2):
        super().__init__()
        self.patches = nn.Conv2d(1, width, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.1)
        self.positions = nn.Parameter(torch.randn(1, 5, width) * 0.1)
        self.blocks = nn.Sequential(Block(width, heads), Block(width, heads))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


class Windows(nn.Module):
    """Attention in windows that are shifted, with a bias by relative position and patches that are merged, as in Swin
    transformers; a depthwise convolution with squeeze and excitation, as in EfficientNets."""

    def __init__(self, width=8, heads=2, window=4):
        super().__init__()
        self.heads, self.window = heads, window
        self.patches = nn.Conv2d(3, width, 2, stride=2)
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.table = nn.Parameter(torch.randn((2 * window - 1) ** 2, heads) * 0.1)
        places = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
        offsets = places[:, :, None] - places[:, None, :] + window - 1
        self.register_buffer("positions", offsets[0] * (2 * window - 1) + offsets[1])
        self.project = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(4 * width)
        self.merge = nn.Linear(4 * width, 2 * width, bias=False)
        self.depthwise = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width, bias=False)
        self.norm3 = nn.BatchNorm2d(2 * width)
        self.squeeze = nn.Conv2d(2 * width, 4, 1)
        self.excite = nn.Conv2d(4, 2 * width, 1)
        self.head = nn.Linear(2 * width, 3)

    def attend(self, x):
        n, h, w, c = x.shape
        k = self.window
        x = torch.roll(F.pad(x, (0, 0, 0, -w % k, 0, -h % k)), (-k // 2, -k // 2), (1, 2))
        rows, columns = x.shape[1] // k, x.shape[2] // k
        x = x.view(n, rows, k, columns, k, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, k * k, c)
        q, key, v = self.qkv(x).reshape(-1, k * k, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        bias = self.table[self.positions.reshape(-1)].reshape(k * k, k * k, -1).permute(2, 0, 1)
        scores = q @ key.transpose(-2, -1) * (c // self.heads) ** -0.5 + bias[None]
        x = self.project((scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, k * k, c))
        x = x.view(n, rows, columns, k, k, c).permute(0, 1, 3, 2, 4, 5).reshape(n, rows * k, columns * k, c)
        return torch.roll(x, (k // 2, k // 2), (1, 2))[:, :h, :w]

    def forward(self, x):
        x = self.patches(x).permute(0, 2, 3, 1)
        x = x + self.attend(self.norm1(x))
        x = torch.cat([x[:, i::2, j::2] for i in range(2) for j in range(2)], -1)
        x = self.merge(self.norm2(x)).permute(0, 3, 1, 2)
        x = F.silu(self.norm3(self.depthwise(x)))
        x = x * torch.sigmoid(self.excite(F.silu(self.squeeze(F.adaptive_avg_pool2d(x, 1)))))
        return self.head(x.mean((2, 3)))


NETWORKS = {
    "residual": (Residual, (4, 3, 20, 20)),
    "decoder": (Decoder, (2, 1, 8, 6, 8)),
    "transformer": (Transformer, (3, 1, 8, 8)),
    "windows": (Windows, (2, 3, 20, 12)),
    # As it is before training: scales of 1 and biases of 0, which exporters merge.
    "merged": (Transformer, (3, 1, 8, 8)),
}
# Network, exporter, options.
CASES = [
    ("residual", "legacy", {"training": True}),
    ("residual", "dynamo", {"optimize": False}),
    ("decoder", "legacy", {}),
    ("decoder", "dynamo", {}),
    ("transformer", "legacy", {"dynamic": True}),
    ("transformer", "dynamo", {"dynamic": True}),
    ("transformer", "dynamo", {"dynamic": True, "optimize": False}),
    ("windows", "legacy", {"training": True, "fold": False}),
    ("windows", "dynamo", {"optimize": False}),
    ("merged", "legacy", {}),
    ("merged", "dynamo", {"dynamic": True}),
]


def network_of(name):
    torch.manual_seed(1)
    make, shape = NETWORKS[name]
    network = make()
    if name != "merged":
        for tensor in network.parameters():
            # Exactly representable in float32, and unlike any other.
            tensor.data += 0.1 * torch.randn_like(tensor)
    return network, torch.randn(shape)


def exported(network, x, exporter, options):
    dynamic = options.get("dynamic", False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        if exporter == "dynamo":
            network.train(options.get("training", False))
            program = torch.onnx.export(
                network,
                (x,),
                dynamo=True,
                verbose=False,
                optimize=options.get("optimize", True),
                dynamic_shapes=({0: "batch"},) if dynamic else None,
            )
            for node in program.model.graph:
                node.metadata_props.clear()
            program.save(path)
        else:
            mode = torch.onnx.TrainingMode.TRAINING if options.get("training") else torch.onnx.TrainingMode.EVAL
            torch.onnx.export(
                network,
                (x,),
                path,
                dynamo=False,
                training=mode,
                do_constant_folding=options.get("fold", True),
                input_names=["x"],
                output_names=["y"],
                dynamic_axes={"x": {0: "batch"}} if dynamic else None,
            )
        return path.read_bytes()


def results_of(network, x):
    network = network.double().train()
    x = x.double()
    found = {"x": x}
    found |= {f"value/{name}": p.detach().clone() for name, p in network.named_parameters()}
    # Gradients that are zero but for rounding must not become steps: hence the large eps.
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2, eps=1e-4)
    for step in range(3):
        y = network(x)
        if step == 0:
            found["target"] = torch.randn(y.shape).double()
        loss = F.mse_loss(y, found["target"])
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            found["loss"] = loss.detach()
            found |= {f"gradient/{name}": p.grad.clone() for name, p in network.named_parameters()}
        optimizer.step()
    found |= {
        f"after/{name}": t for name, t in network.state_dict().items() if t.is_floating_point()
    }
    return found


def tensors_model(tensors):
    initializers = [
        onnx.numpy_helper.from_array(t.detach().numpy().astype(np.float32), name) for name, t in tensors.items()
    ]
    graph = onnx.helper.make_graph([], "results", [], [], initializers)
    return onnx.helper.make_model(graph).SerializeToString()


if __name__ == "__main__":
    cases, pieces = [], []
    for name, exporter, options in CASES:
        network, x = network_of(name)
        model = exported(network, x, exporter, options)
        # Exporting in training mode changes the running statistics: those in the file count.
        stored = {t.name: torch.tensor(onnx.numpy_helper.to_array(t)) for t in onnx.load_from_string(model).graph.initializer}
        for key, buffer in network.named_buffers():
            if key in stored:
                buffer.copy_(stored[key])
        how = [key for key, value in options.items() if value and key not in ("optimize", "fold")]
        how += ["not optimised"] if not options.get("optimize", True) else []
        cases.append(" ".join([name, exporter, *how]))
        pieces += [model, tensors_model(results_of(network, x))]

    head = json.dumps({"torch": torch.__version__, "onnx": onnx.__version__, "cases": cases}).encode()
    buffer = io.BytesIO()
    for piece in [head, *pieces]:
        buffer.write(struct.pack("<I", len(piece)))
        buffer.write(piece)
    path = Path(__file__).parent / "imported.bin.gz"
    path.write_bytes(gzip.compress(buffer.getvalue(), mtime=0))
    print(path, len(cases), "cases", path.stat().st_size, "bytes")
