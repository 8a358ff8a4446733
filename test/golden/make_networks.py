"""Writes networks of the field, exported by PyTorch to ONNX, with what training does to them, for test/graphs/imported/networks.ts.

Run by hand, never by the tests: python test/golden/make_networks.py FOLDER [NETWORK…]
(needs torch 2.15.0, monai 1.6.1, onnx 1.23.2, onnxscript 0.7.2, einops 0.8.1)

Weights are random. Transformers are narrower than published, all else that counts, such as depth, windows and strides, is as it
is. For every network FOLDER/NETWORK has the exported models, `results…onnx`, whose initialisers are results as
`make_imported.py` describes them, in float64, and `cases.json`, which lists what was exported and how far PyTorch's own float32 is
from these results: with the input as it is, and with inputs `x/1`… that are rounded to the float next to it, up or down by chance.
What these differ by is what rounding does to a network.
"""
import copy
import json
import sys
import warnings
from pathlib import Path

import onnx
import torch
import torch.nn.functional as F
from make_imported import tensors_model
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

import monai.networks.nets as monai_nets

warnings.filterwarnings("ignore")


def medicalnet(make, **options):
    """3D ResNets as MedicalNet has them. Their shortcut without weights (A) cuts the gradient off, which no exported file can say:
    here it does not."""
    network = make(spatial_dims=3, n_input_channels=1, num_classes=2, conv1_t_stride=2, **options)

    def shortcut(x, planes, stride, spatial_dims=3):
        x = F.avg_pool3d(x, 1, stride)
        return torch.cat([x, x.new_zeros(x.shape[0], planes - x.shape[1], *x.shape[2:])], 1)

    for module in network.modules():
        partial = getattr(module, "downsample", None)
        if hasattr(partial, "keywords"):
            module.downsample = lambda x, given=partial.keywords: shortcut(x, **given)
    return network


class Unit3d(nn.Module):
    """Convolution, batch normalisation, ReLU with TensorFlow's padding, as I3D has them."""

    def __init__(self, inputs, outputs, kernel=1, stride=1):
        super().__init__()
        kernel = (kernel,) * 3 if isinstance(kernel, int) else kernel
        self.pads = [p for k in reversed(kernel) for p in ((k - stride) // 2, k - stride - (k - stride) // 2)]
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, bias=False)
        self.norm = nn.BatchNorm3d(outputs, eps=0.001, momentum=0.01)
        self.act = nn.ReLU()

    def forward(self, x):
        return self.act(self.norm(self.conv(F.pad(x, [max(p, 0) for p in self.pads]))))


class Pool3d(nn.Module):
    def __init__(self, kernel, stride):
        super().__init__()
        self.pool = nn.MaxPool3d(kernel, stride)

    def forward(self, x):
        sizes = zip(self.pool.kernel_size, self.pool.stride, x.shape[2:])
        total = [max(k - (size % s or s), 0) for k, s, size in sizes]
        return self.pool(F.pad(x, [p for t in reversed(total) for p in (t // 2, t - t // 2)]))


class Inception(nn.Module):
    def __init__(self, inputs, widths):
        super().__init__()
        a, b, c, d, e, f = widths
        self.first = Unit3d(inputs, a)
        self.second = nn.Sequential(Unit3d(inputs, b), Unit3d(b, c, 3))
        self.third = nn.Sequential(Unit3d(inputs, d), Unit3d(d, e, 3))
        self.fourth = nn.Sequential(Pool3d((3, 3, 3), (1, 1, 1)), Unit3d(inputs, f))

    def forward(self, x):
        return torch.cat([self.first(x), self.second(x), self.third(x), self.fourth(x)], 1)


def i3d():
    """Inception-v1, inflated (Carreira and Zisserman 2017)."""
    rows = [
        [(64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)],
        [
            *[(192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64)],
            *[(112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128)],
        ],
        [(256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)],
    ]
    layers = [Unit3d(1, 64, 7, 2), Pool3d((1, 3, 3), (1, 2, 2)), Unit3d(64, 64), Unit3d(64, 192, 3)]
    width = 192
    for row, (kernel, stride) in zip(rows, [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (2, 2, 2)), ((2, 2, 2), (2, 2, 2))]):
        layers.append(Pool3d(kernel, stride))
        for widths in row:
            layers.append(Inception(width, widths))
            width = widths[0] + widths[2] + widths[4] + widths[5]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool3d(1), nn.Conv3d(width, 2, 1), nn.Flatten())


class DenseVNet(nn.Module):
    """Dense V-Net (Gibson et al. 2018): dense stacks with batch normalisation, a spatial prior that is learned."""

    class Unit(nn.Sequential):
        def __init__(self, inputs, outputs, stride=1, dilation=1):
            super().__init__(
                nn.Conv3d(inputs, outputs, 3, stride, dilation, dilation, bias=False), nn.BatchNorm3d(outputs), nn.ReLU()
            )

    class Stack(nn.Module):
        def __init__(self, inputs, growth, count):
            super().__init__()
            self.units = nn.ModuleList(DenseVNet.Unit(inputs + i * growth, growth) for i in range(count))

        def forward(self, x):
            found = [x]
            for unit in self.units:
                found.append(unit(torch.cat(found, 1)))
            return torch.cat(found[1:], 1)

    def __init__(self, classes=2):
        super().__init__()
        self.stem = self.Unit(1, 24, 2)
        self.stacks, self.downs, self.skips = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        width = 25
        for i, (growth, count, skip) in enumerate([(4, 5, 12), (8, 10, 24), (16, 10, 24)]):
            if i:
                self.downs.append(self.Unit(width, width, 2))
            self.stacks.append(self.Stack(width, growth, count))
            width = growth * count
            self.skips.append(self.Unit(width, skip))
        self.merge = self.Unit(60, 24)
        self.out = nn.Conv3d(24, classes, 3, padding=1)
        self.prior = nn.Parameter(torch.randn(1, classes, 12, 12, 12) * 0.1)

    def forward(self, x):
        y = torch.cat([self.stem(x), F.avg_pool3d(x, 3, 2, 1)], 1)
        size, skips = y.shape[2:], []
        for i, (stack, skip) in enumerate(zip(self.stacks, self.skips)):
            y = stack(self.downs[i - 1](y) if i else y)
            skips.append(F.interpolate(skip(y), size, mode="trilinear") if i else skip(y))
        y = self.out(self.merge(torch.cat(skips, 1))) + F.interpolate(self.prior, size, mode="trilinear")
        return F.interpolate(y, x.shape[2:], mode="trilinear")


class ResEnc(nn.Module):
    """nnU-Net's U-Net with a residual encoder (ResEnc)."""

    class Conv(nn.Sequential):
        def __init__(self, inputs, outputs, stride=1, act=True):
            norm = nn.InstanceNorm3d(outputs, eps=1e-5, affine=True)
            super().__init__(nn.Conv3d(inputs, outputs, 3, stride, 1), norm, *([nn.LeakyReLU(0.01)] if act else []))

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.body = nn.Sequential(ResEnc.Conv(inputs, outputs, stride), ResEnc.Conv(outputs, outputs, act=False))
            pool = [nn.AvgPool3d(stride)] if stride > 1 else []
            match = [nn.Conv3d(inputs, outputs, 1, bias=False), nn.InstanceNorm3d(outputs, affine=True)]
            self.skip = nn.Sequential(*pool, *(match if inputs != outputs else []))
            self.act = nn.LeakyReLU(0.01)

        def forward(self, x):
            return self.act(self.body(x) + self.skip(x))

    def __init__(self, widths=(32, 64, 128, 256, 320), blocks=(1, 3, 4, 6, 6), classes=2):
        super().__init__()
        self.stem, last = self.Conv(1, widths[0]), widths[0]
        self.stages = nn.ModuleList()
        for i, (width, count) in enumerate(zip(widths, blocks)):
            first = self.Block(last, width, 2 if i else 1)
            self.stages.append(nn.Sequential(first, *(self.Block(width, width, 1) for _ in range(count - 1))))
            last = width
        pairs = list(zip(widths[:-1], widths[1:]))[::-1]
        self.ups = nn.ModuleList(nn.ConvTranspose3d(deep, width, 2, 2) for width, deep in pairs)
        self.decoders = nn.ModuleList(self.Conv(2 * width, width) for width, _ in pairs)
        self.out = nn.Conv3d(widths[0], classes, 1)

    def forward(self, x):
        found = [self.stem(x)]
        for stage in self.stages:
            found.append(stage(found[-1]))
        y = found.pop()
        for up, decoder in zip(self.ups, self.decoders):
            y = decoder(torch.cat([up(y), found.pop()], 1))
        return self.out(y)


def efficientnet():
    network = monai_nets.EfficientNetBN("efficientnet-b0", pretrained=False, spatial_dims=3, in_channels=1, num_classes=2)
    # Nothing is dropped by chance, so that results can be compared.
    network._dropout.p = 0.0
    for module in network.modules():
        if hasattr(module, "drop_connect_rate"):
            module.drop_connect_rate = 0
    return network


PLAIN = {"spatial_dims": 3, "in_channels": 1, "out_channels": 2}
NNUNET = [32, 64, 128, 256, 320]
CUBE, SLAB = (1, 1, 32, 32, 32), (2, 1, 32, 64, 64)
NETWORKS = {
    "MedicalNet ResNet-10": (lambda: medicalnet(monai_nets.resnet10, shortcut_type="B"), SLAB),
    "MedicalNet ResNet-18": (lambda: medicalnet(monai_nets.resnet18, shortcut_type="A"), SLAB),
    "MedicalNet ResNet-50": (lambda: medicalnet(monai_nets.resnet50, shortcut_type="B"), SLAB),
    "I3D": (i3d, SLAB),
    "Dense V-Net": (DenseVNet, CUBE),
    "SegResNet": (lambda: monai_nets.SegResNet(**PLAIN), CUBE),
    "SegResNetDS (CT-FM)": (
        lambda: monai_nets.SegResNetDS(**PLAIN, init_filters=32, blocks_down=(1, 2, 2, 4, 4), norm="instance"),
        CUBE,
    ),
    "nnU-Net PlainConvUNet": (
        lambda: monai_nets.DynUNet(**PLAIN, kernel_size=[3] * 5, strides=[1, 2, 2, 2, 2], upsample_kernel_size=[2] * 4, filters=NNUNET),
        CUBE,
    ),
    "nnU-Net ResEnc": (ResEnc, CUBE),
    "SwinUNETR": (lambda: monai_nets.SwinUNETR(**PLAIN, feature_size=12, patch_size=2, window_size=7), (1, 1, 32, 64, 64)),
    "UNETR": (
        lambda: monai_nets.UNETR(1, 2, (32, 32, 32), feature_size=8, hidden_size=192, mlp_dim=768, num_heads=6),
        CUBE,
    ),
    "ViT": (
        lambda: monai_nets.ViT(1, (32, 32, 32), (8, 8, 8), hidden_size=192, mlp_dim=768, num_heads=6, classification=True),
        CUBE,
    ),
    "DenseNet-121": (lambda: monai_nets.DenseNet121(**PLAIN), SLAB),
    "EfficientNet-B0": (efficientnet, SLAB),
    "U-Net (MONAI)": (
        lambda: monai_nets.UNet(**PLAIN, channels=(16, 32, 64, 128, 256), strides=(2, 2, 2, 2), num_res_units=2),
        CUBE,
    ),
    "Attention U-Net": (lambda: monai_nets.AttentionUnet(**PLAIN, channels=(16, 32, 64, 128), strides=(2, 2, 2)), CUBE),
}
# An error at a kink comes up in PyTorch once in some roundings: fewer do not show its range.
ROUNDINGS = 8
DYNAMO_FOLDS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
# With smooth activations, in the mode that changes least: what float32 does to kinks, such as that of a ReLU, is left out.
SMOOTH = ("torchscript", "train, smooth", {}, ())
# Exporter, mode, options; and, where batch normalisation is folded, into which layers.
EXPORTS = [
    ("torchscript", "train", {}, ()),
    ("torchscript", "eval", {}, (nn.Conv2d, nn.Conv3d)),
    # This exporter writes layers as in evaluation, whatever the mode is.
    ("dynamo", "train", {}, DYNAMO_FOLDS),
    ("dynamo", "eval", {}, DYNAMO_FOLDS),
    ("dynamo", "eval, optimize=False", {"optimize": False}, ()),
]


def network_of(name):
    torch.manual_seed(1)
    make, shape = NETWORKS[name]
    network = make()
    for tensor in network.parameters():
        # Before training many tensors are alike.
        if tensor.ndim == 1 or tensor.min() == tensor.max():
            tensor.data += (0.1 if tensor.ndim == 1 else 0.02) * torch.randn_like(tensor)
    return network, torch.randn(shape)


def smooth(network):
    """The network without kinks: with SiLU in place of ReLU and what is like it, and means in place of maxima."""
    network = copy.deepcopy(network)
    for name, module in list(network.named_modules()):
        if isinstance(module, (nn.ReLU, nn.LeakyReLU, nn.PReLU)):
            network.set_submodule(name, nn.SiLU())
        elif isinstance(module, nn.MaxPool3d):
            network.set_submodule(name, nn.AvgPool3d(module.kernel_size, module.stride, module.padding))
    return network


def export(network, x, exporter, mode, options, path):
    network_buffers = dict(network.named_buffers())
    network = copy.deepcopy(network)
    training = mode.startswith("train")
    if exporter == "dynamo":
        network.train(training)
        program = torch.onnx.export(network, (x,), dynamo=True, verbose=False, **options)
        for node in program.model.graph:
            node.metadata_props.clear()
        program.save(path)
        return
    torch.onnx.export(
        network,
        (x,),
        path,
        dynamo=False,
        training=torch.onnx.TrainingMode.TRAINING if training else torch.onnx.TrainingMode.EVAL,
        do_constant_folding=not training,
        input_names=["x"],
        output_names=["y"],
    )
    if training:
        restore_buffers(network_buffers, path)


def restore_buffers(buffers, path):
    """Exporting in training mode changes the running statistics."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.name in buffers:
            tensor.CopyFrom(onnx.numpy_helper.from_array(buffers[tensor.name].numpy(), tensor.name))
    onnx.save(model, path)


def folded(network, x, layers):
    """The network with batch normalisation folded into the layers before it, as exporters do, and how many were."""
    network = copy.deepcopy(network).eval()
    outputs, pairs, hooks = {}, [], []
    names = {module: name for name, module in network.named_modules()}

    def after(module, inputs, output):
        if isinstance(module, layers):
            outputs[id(output)] = (module, output)
        elif isinstance(module, nn.modules.batchnorm._BatchNorm) and id(inputs[0]) in outputs:
            pairs.append((outputs[id(inputs[0])][0], module))

    for module in network.modules():
        hooks.append(module.register_forward_hook(after))
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    for layer, norm in pairs:
        fused = fuse_conv_bn_eval(layer, norm, transpose=isinstance(layer, nn.modules.conv._ConvTransposeNd))
        network.set_submodule(names[layer], fused)
        network.set_submodule(names[norm], nn.Identity())
    # A bias that was not there before is trained too.
    network.requires_grad_(True)
    if layers is DYNAMO_FOLDS and isinstance(network, DenseVNet):
        # This exporter stores the prior in the size that it is used in.
        network.prior = nn.Parameter(F.interpolate(network.prior.detach(), [size // 2 for size in x.shape[2:]], mode="trilinear"))
    return network, len(pairs)


def trained(network, x, target, dtype):
    network = copy.deepcopy(network).to(dtype).train()
    x = x.to(dtype)
    found = {f"value/{name}": p.detach().clone() for name, p in network.named_parameters()}
    # Gradients that are zero but for rounding must not become steps: hence the large eps.
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, eps=1e-3)
    for step in range(3):
        y = first(network(x))
        loss = F.mse_loss(y, target.to(dtype))
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            found["loss"] = loss.detach()
            found |= {f"gradient/{name}": p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
        optimizer.step()
    found |= {
        f"after/{name}": t for name, t in network.state_dict().items() if t.is_floating_point()
    }
    return found


def rounded(x, seed):
    """The float next to each of x's values, above or below it."""
    up = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    return torch.nextafter(x, torch.where(up, torch.inf, -torch.inf))


def first(outputs):
    return outputs if torch.is_tensor(outputs) else outputs[0]


def write(folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    network, x = network_of(name)
    network.train()
    with torch.no_grad():
        target = torch.randn(first(network(x)).shape)
    inputs = [x, *(rounded(x, seed) for seed in range(1, ROUNDINGS + 1))]
    named = {f"x/{i}" if i else "x": value for i, value in enumerate(inputs)}
    cases, written = [], {}
    has_batch_norm = any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in network.modules())
    for exporter, mode, options, layers in [*EXPORTS, SMOOTH]:
        if options and not has_batch_norm:
            continue
        model = f"{exporter}-{mode.replace(', ', '-').replace('=', '-')}.onnx"
        case = {"network": name, "exporter": exporter, "mode": mode, "model": model}
        cases.append(case)
        source = smooth(network) if mode.endswith("smooth") else network
        try:
            export(source, x, exporter, mode, options, folder / model)
        except Exception as error:
            case["error"] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            print(name, exporter, mode, case["error"], flush=True)
            continue
        reference, count = folded(network, x, layers) if layers else (source, 0)
        variant = "smooth" if source is not network else f"{count}-{exporter}" if count else "0"
        case["folded"] = count
        case["results"] = f"results-{variant}.onnx"
        if variant not in written:
            exact = trained(reference, x, target, torch.float64)
            (folder / case["results"]).write_bytes(tensors_model({**named, "target": target, **exact}))
            written[variant] = [errors_of(exact, trained(reference, value, target, torch.float32)) for value in inputs]
        case["float32"] = written[variant]
        print(name, exporter, mode, "folded", count, flush=True)
    (folder / "cases.json").write_text(json.dumps(cases, indent=1))


def errors_of(exact, single):
    """How far float32 is from float64, of each gradient and each tensor after the steps."""
    return {
        key: (single[key].double() - value).abs().max().item()
        for key, value in exact.items()
        if key.startswith(("gradient/", "after/"))
    }


if __name__ == "__main__":
    root, *wanted = sys.argv[1:]
    for name in wanted or NETWORKS:
        write(Path(root) / name, name)
