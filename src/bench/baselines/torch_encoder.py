"""The same encoder in PyTorch, its normalisation folded into its convolutions: HU in, features out."""
import runner

job = runner.job()
torch = runner.library("torch", "PyTorch")
nn = torch.nn


class Encoder(nn.Module):
    def __init__(self, width, levels):
        super().__init__()
        layers, inputs = [], 1
        for level in range(levels + 1):
            layers += [nn.MaxPool3d(2)] if level else []
            for channels in (width * 2**level, width * 2 ** (level + 1)):
                layers += [nn.Conv3d(inputs, channels, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = channels
        self.layers = nn.Sequential(*layers)

    def forward(self, hu):
        x = (hu.clamp(-1000, 1000) + 1000) / 2000
        features = self.layers(x[:, None].contiguous(memory_format=layout))
        return features, features.mean((2, 3, 4))


torch.manual_seed(0)
torch.set_num_threads(job["threads"])
torch.set_flush_denormal(True)
layout = torch.channels_last_3d if job["channelsLast"] else torch.contiguous_format
net = Encoder(job["width"], job["levels"]).eval().to(memory_format=layout)
hu = torch.rand((job["batch"], *job["size"])) * 2000 - 1000
if job["compile"]:
    import torch._inductor.config

    torch._inductor.config.freezing = True
    net = torch.compile(net)


def encode():
    with torch.no_grad():
        net(hu)


memory = "channels_last_3d" if job["channelsLast"] else "contiguous"
mode = "compiled, weights frozen" if job["compile"] else "eager"
runner.serve_rounds(encode, f"PyTorch {torch.__version__}, {memory}, {mode}{runner.allocator()}", job["threads"])
