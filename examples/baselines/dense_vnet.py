"""Dense V-Net (Gibson et al. 2018) in PyTorch, as NiftyNet has it, and its weights by NiftyNet's names: see docs/baselines.md."""
import torch
import torch.nn.functional as F
from torch import nn


class Unit(nn.Module):
    """Convolution with TensorFlow's padding for even sizes, batch normalisation."""

    def __init__(self, inputs, outputs, kernel=3, stride=1, relu=True):
        super().__init__()
        total = kernel - stride
        self.pads = (total // 2, total - total // 2) * 3
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, bias=False)
        self.norm = nn.BatchNorm3d(outputs)
        self.act = nn.ReLU() if relu else nn.Identity()

    def forward(self, x):
        return self.act(self.norm(self.conv(F.pad(x, self.pads))))


class Stack(nn.Module):
    """Dense units; what they find goes on to the decoder (skip) and, at half the size, to the next stack (down)."""

    def __init__(self, inputs, growth, count, skip, down):
        super().__init__()
        width = inputs + count * growth
        self.units = nn.ModuleList(Unit(inputs + i * growth, growth) for i in range(count))
        self.skip = Unit(width, skip)
        self.down = Unit(width, down, stride=2) if down else None

    def forward(self, x):
        for unit in self.units:
            x = torch.cat([x, unit(x)], 1)
        return self.skip(x), self.down and self.down(x)


def resized(x, size):
    """A map at a multiple of its size. TensorFlow 1 interpolates from the corners on, not from the middles of voxels."""
    if x.shape[2:] == size:
        return x
    more = F.interpolate(F.pad(x, (0, 1) * 3, mode="replicate"), [n + 1 for n in size], mode="trilinear", align_corners=True)
    return more[:, :, :-1, :-1, :-1]


class DenseVNet(nn.Module):
    """What NiftyNet's last layer is given, at the size of the image, whose sides are multiples of 8."""

    def __init__(self):
        super().__init__()
        self.image_norm = nn.BatchNorm3d(1)
        self.stem = Unit(1, 24, 5, 2, relu=False)
        self.stacks = nn.ModuleList([Stack(25, 4, 5, 12, 24), Stack(24, 8, 10, 24, 24), Stack(24, 16, 10, 24, None)])

    def forward(self, x):
        image = self.image_norm(F.avg_pool3d(x, 3, 2, ceil_mode=True))
        found, down = [image], torch.cat([image, self.stem(x)], 1)
        size = image.shape[2:]
        for stack in self.stacks:
            skip, down = stack(down)
            found.append(resized(skip, size))
        return resized(torch.cat(found, 1), x.shape[2:])


def numbered(name, i):
    return f"{name}_{i}" if i else name


def niftynet_names(network):
    """NiftyNet's scope of each layer."""
    names = {"image_norm": "batch_norm", "stem": "conv_bn"}
    for i, stack in enumerate(network.stacks):
        scope = numbered("dense_feature_stack_block", i)
        for j in range(len(stack.units)):
            names[f"stacks.{i}.units.{j}"] = f"{scope}/dense_feature_stack_block/{numbered('conv_bn_relu', j)}"
        names[f"stacks.{i}.skip"] = f"{scope}/conv_bn_relu"
        names[f"stacks.{i}.down"] = f"{scope}/conv_bn_relu_1"
    return names


def load_niftynet(network, tensor):
    """`tensor` gives the array of a name, as `tf.train.load_checkpoint(path).get_tensor`. NiftyNet's axes A, R, S become S, A, R."""
    parts = {"conv.weight": "conv_/w", "norm.weight": "bn_/gamma", "norm.bias": "bn_/beta"}
    parts |= {"norm.running_mean": "bn_/moving_mean", "norm.running_var": "bn_/moving_variance"}
    alone = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    state = network.state_dict()
    for layer, scope in niftynet_names(network).items():
        for part, name in (alone if layer == "image_norm" else parts).items():
            if f"{layer}.{part}" not in state:
                continue
            value = torch.from_numpy(tensor(f"DenseVNet/{scope}/{name}"))
            state[f"{layer}.{part}"] = value.permute(4, 3, 2, 0, 1) if value.ndim == 5 else value
    network.load_state_dict(state)
