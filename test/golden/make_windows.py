"""Makes windows.npz beside it with MONAI's sliding_window_inference.

Run by hand, never by the tests: python test/golden/make_windows.py
(needs numpy, torch, monai). The predictor depends on neighbours, on the window's border and on the place in the window,
so that positions, padding and weights all show in the result. The tests write it again in TypeScript.
"""
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from monai.inferers import sliding_window_inference

# Image, window (both x, y, z), overlap.
CASES = [
    ((20, 13, 9), (8, 8, 4), 0.5),
    ((5, 30, 17), (8, 8, 8), 0.5),
    ((17, 9, 11), (8, 6, 5), 0.7),
    ((16, 16, 3), (6, 16, 8), 0.25),
    ((8, 8, 8), (8, 8, 8), 0.5),
    ((3, 2, 1), (4, 4, 4), 0.5),
    ((13, 7, 6), (4, 4, 4), 0),
]


def image(size):
    x, y, z = np.meshgrid(*(np.arange(n) for n in size), indexing="ij")
    values = (x * 73 + y * 151 + z * 283 + x * y * 17 + y * z * 29) % 101 / 101
    return torch.tensor(values.T.copy(), dtype=torch.float32)[None, None]


def predict(windows):
    mean = F.avg_pool3d(windows, 3, stride=1, padding=1)
    d, h, w = windows.shape[2:]
    z, y, x = torch.meshgrid(*(torch.arange(n) / n for n in (d, h, w)), indexing="ij")
    return torch.cat([mean + x * y, windows * z - mean], dim=1)


np.savez_compressed(
    Path(__file__).parent / "windows.npz",
    **{
        f"{'x'.join(map(str, size))}/{'x'.join(map(str, window))}/{overlap}": sliding_window_inference(
            image(size), window[::-1], 3, predict, overlap=overlap, mode="gaussian"
        )[0].numpy()
        for size, window, overlap in CASES
    },
)
