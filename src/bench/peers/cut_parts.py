"""Cutting parts out of a whole and enlarging them to its size, by SciPy, MONAI or PyTorch."""
import contest

work = contest.work()
np = contest.library("numpy", "NumPy")
name, whole_size = work["library"], work["size"]
rng = np.random.default_rng(0)
whole = rng.integers(-1000, 1000, whole_size).astype(np.int16)


def random_box():
    """A part of 1/16 to 1/4 of the volume, as depth, height and width: start and size."""
    factor = rng.uniform(1 / 16, 1 / 4) ** (1 / 3)
    size = [max(1, round(s * factor * rng.uniform(0.9, 1.1))) for s in whole_size]
    return [(rng.integers(0, s - part + 1), part) for s, part in zip(whole_size, size)]


def cut():
    """A part in [0, 1], float32."""
    box = whole[tuple(slice(start, start + size) for start, size in random_box())]
    return (np.clip(box.astype(np.float32), -1000, 1000) + 1000) / 2000


if name == "scipy":
    scipy = contest.library("scipy", "SciPy")
    ndimage = contest.library("scipy.ndimage", "SciPy")
    detail = f"SciPy {scipy.__version__}, zoom of order 1"

    def enlarge(part):
        factors = [s / p for s, p in zip(whole_size, part.shape)]
        return ndimage.zoom(part, factors, order=1, mode="nearest", grid_mode=True)
else:
    torch = contest.library("torch", "PyTorch")
    torch.set_num_threads(work["threads"])
    if name == "monai":
        monai = contest.library("monai", "MONAI")
        transforms = contest.library("monai.transforms", "MONAI")
        detail = f"MONAI {monai.__version__}, Resize trilinear"
        resize = transforms.Resize(whole_size, mode="trilinear", align_corners=False)

        def enlarge(part):
            return resize(part[None])
    else:
        detail = f"PyTorch {torch.__version__}, interpolate trilinear"

        def enlarge(part):
            batch = torch.from_numpy(part)[None, None]
            return torch.nn.functional.interpolate(batch, whole_size, mode="trilinear", align_corners=False)


contest.compete(lambda: [enlarge(cut()) for _ in range(work["parts"])], detail, work["threads"])
