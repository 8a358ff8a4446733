"""Batches of Models Genesis: the corruptions of its published code, written anew with NumPy, made by worker processes."""
import random

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

#: Points of an intensity curve.
CURVE_POINTS = 100_000


def flipped(image):
    """At most three flips, each along any axis, as long as the one before was made."""
    for _ in range(3):
        if random.random() >= 0.4:
            break
        image = np.flip(image, random.randrange(3))
    return image


def shuffled(image, blocks):
    """The voxels of many small blocks in another order, each block's among themselves."""
    result = image.copy()
    for _ in range(blocks):
        sides = [random.randint(1, max(1, length // 10)) for length in image.shape]
        starts = [random.randint(0, length - side) for length, side in zip(image.shape, sides)]
        place = tuple(slice(start, start + side) for start, side in zip(starts, sides))
        values = image[place].flatten()
        np.random.shuffle(values)
        result[place] = values.reshape(sides)
    return result


def curved(image):
    """Intensities through a Bézier curve with random control points, rising or falling."""
    t = np.linspace(0, 1, CURVE_POINTS)
    x1, y1, x2, y2 = np.random.rand(4)
    bezier = lambda first, second: 3 * (1 - t) ** 2 * t * first + 3 * (1 - t) * t**2 * second + t**3
    xs, ys = np.sort(bezier(x1, x2)), bezier(y1, y2)
    return np.interp(image, xs, np.sort(ys) if random.random() < 0.5 else ys[::-1])


def box(shape, least, most):
    """A random box, three voxels from the edges."""
    sides = [random.randint(low, max(low, high)) for low, high in zip(least, most)]
    starts = [random.randint(min(3, n - s), max(min(3, n - s), n - s - 3)) for n, s in zip(shape, sides)]
    return tuple(slice(start, start + side) for start, side in zip(starts, sides))


def painted_inside(image):
    """Up to five boxes of noise."""
    result = image.copy()
    for _ in range(5):
        if random.random() >= 0.95:
            break
        place = box(image.shape, [max(1, n // 6) for n in image.shape], [max(1, n // 3) for n in image.shape])
        result[place] = np.random.rand(*result[place].shape)
    return result


def painted_outside(image):
    """Noise but for one to five boxes."""
    result = np.random.rand(*image.shape).astype(image.dtype)
    for count in range(5):
        if count and random.random() >= 0.95:
            break
        place = box(image.shape, [n - 4 * n // 7 for n in image.shape], [n - 3 * n // 7 for n in image.shape])
        result[place] = image[place]
    return result


class Corrupted(IterableDataset):
    """Endless pairs of a corrupted image and the one to restore, both [1, D, H, W] in [0, 1]."""

    def __init__(self, shards, window, blocks):
        super().__init__()
        low, high = window
        tiles = np.concatenate([np.load(shard) for shard in shards]).astype(np.float32)
        self.images = (tiles.clip(low, high) - low) / (high - low)
        self.blocks = blocks

    def __iter__(self):
        seed = torch.initial_seed() % 2**32
        random.seed(seed)
        np.random.seed(seed)
        while True:
            target = flipped(random.choice(self.images))
            image = shuffled(target, self.blocks) if random.random() < 0.5 else target
            if random.random() < 0.9:
                image = curved(image)
            if random.random() < 0.9:
                image = painted_inside(image) if random.random() < 0.2 else painted_outside(image)
            pair = (np.array(each, np.float32)[None] for each in (image, target))
            yield tuple(torch.from_numpy(each) for each in pair)


def batches(job):
    """Batches, read ahead by as many processes as there are threads."""
    data = Corrupted(job["shards"], job["window"], job["blocks"])
    return iter(DataLoader(data, job["batch"], num_workers=job["threads"], persistent_workers=True))
