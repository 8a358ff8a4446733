"""Cutting parts out of a whole and enlarging them to its size, by SciPy, MONAI or PyTorch."""
import runner

job = runner.job()
np = runner.library("numpy", "NumPy")
name, whole_size = job["library"], job["size"]
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
    scipy = runner.library("scipy", "SciPy")
    ndimage = runner.library("scipy.ndimage", "SciPy")
    detail = f"SciPy {scipy.__version__}, zoom of order 1"

    def enlarge(part):
        factors = [s / p for s, p in zip(whole_size, part.shape)]
        return ndimage.zoom(part, factors, order=1, mode="nearest", grid_mode=True)
else:
    torch = runner.library("torch", "PyTorch")
    torch.set_num_threads(job["threads"])
    if name == "monai":
        monai = runner.library("monai", "MONAI")
        transforms = runner.library("monai.transforms", "MONAI")
        detail = f"MONAI {monai.__version__}, Resize trilinear{runner.allocator()}"
        resize = transforms.Resize(whole_size, mode="trilinear", align_corners=False)

        def enlarge(part):
            return resize(part[None])
    else:
        detail = f"PyTorch {torch.__version__}, interpolate trilinear{runner.allocator()}"

        def enlarge(part):
            batch = torch.from_numpy(part)[None, None]
            return torch.nn.functional.interpolate(batch, whole_size, mode="trilinear", align_corners=False)


runner.serve_rounds(lambda: [enlarge(cut()) for _ in range(job["parts"])], detail, job["threads"])
