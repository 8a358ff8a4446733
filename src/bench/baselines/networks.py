"""The networks of this package in PyTorch, and MONAI's own U-Net."""
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode


def conv_norm_relu(inputs, channels):
    return [
        nn.Conv3d(inputs, channels, 3, padding=1),
        nn.BatchNorm3d(channels, eps=1e-3, momentum=0.01),
        nn.ReLU(inplace=True),
    ]


class Encoder(nn.Module):
    """Two convolutions a level, a pooling between levels: gives the feature maps of all levels, fine to coarse."""

    def __init__(self, width, levels):
        super().__init__()
        inputs, self.down = 1, nn.ModuleList()
        for level in range(levels + 1):
            channels = width * 2**level
            self.down.append(
                nn.Sequential(*conv_norm_relu(inputs, channels), *conv_norm_relu(channels, 2 * channels))
            )
            inputs = 2 * channels

    def forward(self, x):
        maps = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool3d(x, 2) if level else x)
            maps.append(x)
        return maps


class UNet(nn.Module):
    """Encoder and decoder: logits of the size of the image."""

    def __init__(self, width, levels, skip, upsampling):
        super().__init__()
        self.encoder = Encoder(width, levels)
        self.skip = skip
        inputs, self.up, self.larger = width * 2 ** (levels + 1), nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(levels)):
            channels = width * 2 ** (level + 1)
            deconvolution = upsampling == "deconv"
            self.larger.append(
                nn.ConvTranspose3d(inputs, inputs, 2, 2)
                if deconvolution
                else nn.Upsample(scale_factor=2, mode="nearest")
            )
            joined = inputs + channels if skip else inputs
            self.up.append(nn.Sequential(*conv_norm_relu(joined, channels), *conv_norm_relu(channels, channels)))
            inputs = channels
        self.head = nn.Conv3d(inputs, 1, 1)

    def forward(self, x):
        *skips, x = self.encoder(x)
        for larger, block, skip in zip(self.larger, self.up, reversed(skips)):
            x = larger(x)
            x = block(torch.cat([x, skip], 1) if self.skip else x)
        return self.head(x)


class Classifier(nn.Module):
    """Encoder, mean over all positions, one hidden layer: one logit."""

    def __init__(self, width, levels, hidden):
        super().__init__()
        self.encoder = Encoder(width, levels)
        features = width * 2 ** (levels + 1)
        self.head = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, 1))

    def forward(self, x):
        return self.head(self.encoder(x)[-1].mean((2, 3, 4)))


def flops(make, size):
    """Of the forward pass of one image through the network that is made, as it is written; nothing is computed."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        make().eval()(torch.empty(1, 1, *size))
    return counter.get_total_flops()


def monai_unet(monai, width, levels):
    """MONAI's residual U-Net with batch normalisation, of as many levels."""
    return monai.networks.nets.UNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=1,
        channels=[width * 2**level for level in range(levels + 1)],
        strides=[2] * levels,
        num_res_units=2,
        norm="BATCH",
    )


def monai_flops(monai, width, levels, size):
    return flops(lambda: monai_unet(monai, width, levels), size)


def monai_width(monai, levels, size, target):
    """The width, a multiple of 4, with which MONAI's U-Net comes closest to so many FLOPs."""
    return min(range(4, 257, 4), key=lambda width: abs(monai_flops(monai, width, levels, size) - target))
