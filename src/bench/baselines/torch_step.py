"""Training steps of the same network in PyTorch."""
import runner

job = runner.job()
torch = runner.library("torch", "PyTorch")
nn, F = torch.nn, torch.nn.functional


def conv_norm_relu(inputs, channels):
    return [
        nn.Conv3d(inputs, channels, 3, padding=1),
        nn.BatchNorm3d(channels, eps=1e-3, momentum=0.01),
        nn.ReLU(inplace=True),
    ]


class AutoEncoder(nn.Module):
    def __init__(self, width, levels):
        super().__init__()
        inputs, self.down, self.up = 1, nn.ModuleList(), nn.ModuleList()
        for level in range(levels + 1):
            channels = width * 2**level
            self.down.append(
                nn.Sequential(*conv_norm_relu(inputs, channels), *conv_norm_relu(channels, 2 * channels))
            )
            inputs = 2 * channels
        for level in reversed(range(levels)):
            channels = width * 2 ** (level + 1)
            self.up.append(nn.Sequential(*conv_norm_relu(inputs, channels), *conv_norm_relu(channels, channels)))
            inputs = channels
        self.head = nn.Conv3d(inputs, 1, 1)

    def forward(self, x):
        for level, block in enumerate(self.down):
            x = block(F.max_pool3d(x, 2) if level else x)
        for block in self.up:
            x = block(F.interpolate(x, scale_factor=2, mode="nearest"))
        return torch.sigmoid(self.head(x))


torch.manual_seed(0)
torch.set_num_threads(job["threads"])
torch.set_flush_denormal(True)
device = torch.device(job["device"])
on_gpu = device.type == "cuda"
if on_gpu:
    if not torch.cuda.is_available():
        runner.unavailable(f"PyTorch {torch.__version__} sees no GPU")
    # float32 with all its digits, as ours; the fastest algorithm for each shape.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
layout = torch.channels_last_3d if job["channelsLast"] else torch.contiguous_format
shape = (job["batch"], 1, *job["size"])
net = AutoEncoder(job["width"], job["levels"]).to(device, memory_format=layout)
part = torch.rand(shape).to(device, memory_format=layout)
whole = torch.rand(shape).to(device, memory_format=layout)
adam = torch.optim.Adam(net.parameters(), 1e-3, fused=True)


def objective():
    return F.mse_loss(net(part), whole)


if job["compile"]:
    objective = torch.compile(objective)


def step():
    adam.zero_grad(set_to_none=True)
    loss = objective()
    loss.backward()
    adam.step()
    if on_gpu:
        torch.cuda.synchronize(device)
    return loss.item()


memory = "channels_last_3d" if job["channelsLast"] else "contiguous"
mode = "compiled" if job["compile"] else "eager"
detail = f"PyTorch {torch.__version__}, {memory}, {mode}{runner.allocator()}"
if on_gpu:
    name = torch.cuda.get_device_name(device)
    peak = lambda: torch.cuda.max_memory_allocated(device)
    runner.serve_rounds(step, f"{detail}, {name}, TF32 off, memory: the GPU's", job["threads"], peak)
else:
    runner.serve_rounds(step, detail, job["threads"])
