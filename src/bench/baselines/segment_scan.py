"""A scan segmented by MONAI's sliding windows: the network in PyTorch, or the exported file in OpenVINO."""
import runner

job = runner.job()
np = runner.library("numpy", "NumPy")
torch = runner.library("torch", "PyTorch")
monai = runner.library("monai", "MONAI")
from monai.inferers import sliding_window_inference

nn, F = torch.nn, torch.nn.functional
torch.manual_seed(0)
torch.set_num_threads(job["threads"])
torch.set_flush_denormal(True)


def conv_relu(inputs, channels):
    return [nn.Conv3d(inputs, channels, 3, padding=1), nn.ReLU(inplace=True)]


class Segmenter(nn.Module):
    """The same network, its normalisation folded into its convolutions: HU in, probabilities out."""

    def __init__(self, width, levels):
        super().__init__()
        inputs, self.down, self.up = 1, nn.ModuleList(), nn.ModuleList()
        for level in range(levels + 1):
            channels = width * 2**level
            self.down.append(nn.Sequential(*conv_relu(inputs, channels), *conv_relu(channels, 2 * channels)))
            inputs = 2 * channels
        for level in reversed(range(levels)):
            channels = width * 2 ** (level + 1)
            self.up.append(nn.Sequential(*conv_relu(inputs + channels, channels), *conv_relu(channels, channels)))
            inputs = channels
        self.head = nn.Conv3d(inputs, 1, 1)

    def forward(self, hu):
        x = ((hu.clamp(-1000, 1000) + 1000) / 2000).contiguous(memory_format=layout)
        skips = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool3d(x, 2) if level else x)
            skips.append(x)
        for block, skip in zip(self.up, reversed(skips[:-1])):
            x = block(torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skip], 1))
        return torch.sigmoid(self.head(x))


if job["library"] == "openvino":
    ov = runner.library("openvino", "OpenVINO")
    core = ov.Core()
    model = core.read_model(job["model"])
    model.reshape({"image": [-1, 1, *job["window"]]})
    settings = {"INFERENCE_NUM_THREADS": job["threads"], "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(model, "CPU", settings)
    predict = lambda hu: torch.from_numpy(compiled({"image": hu.numpy()})["probabilities"])
    detail = f"OpenVINO {ov.__version__.split('-')[0]}, MONAI {monai.__version__}"
else:
    layout = torch.channels_last_3d if job["channelsLast"] else torch.contiguous_format
    predict = Segmenter(job["width"], job["levels"]).eval().to(memory_format=layout)
    if job["compile"]:
        import torch._inductor.config

        torch._inductor.config.freezing = True
        predict = torch.compile(predict)
    memory = "channels_last_3d" if job["channelsLast"] else "contiguous"
    mode = "compiled, weights frozen" if job["compile"] else "eager"
    detail = f"MONAI {monai.__version__}, PyTorch {torch.__version__}, {memory}, {mode}{runner.allocator()}"

hu = torch.from_numpy(np.load(job["scan"]).astype(np.float32))[None, None]


def segment():
    with torch.no_grad():
        probabilities = sliding_window_inference(
            hu, job["window"], job["batch"], predict, overlap=job["overlap"], mode="gaussian"
        )
        return (probabilities > 0.5).to(torch.uint8)


runner.serve_rounds(segment, detail, job["threads"])
