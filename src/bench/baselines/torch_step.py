"""Training steps in PyTorch: of the same network, or of MONAI's own with as many FLOPs."""
import runner
import time

job = runner.job()
torch = runner.library("torch", "PyTorch")
import networks
from torch.nn import functional as F

torch.manual_seed(0)
torch.set_num_threads(job["threads"])
torch.set_flush_denormal(True)
device = torch.device(job["device"])
on_gpu = device.type == "cuda"
if on_gpu:
    if not torch.cuda.is_available():
        runner.unavailable(f"PyTorch {torch.__version__} sees no GPU", missing=True)
    # float32 with all its digits, as ours; the fastest algorithm for each shape.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
layout = torch.channels_last_3d if job["channelsLast"] else torch.contiguous_format
task, batch, size = job["task"], job["batch"], job["size"]
width, levels = job["width"], job["levels"]
detail = f"PyTorch {torch.__version__}"


def same_network():
    if task == "classification":
        return networks.Classifier(width, levels, job["hidden"])
    return networks.UNet(width, levels, job["skip"], job["upsampling"])


if job["library"] == "monai":
    if task == "classification":
        runner.unavailable("MONAI's U-Net does not classify", missing=True)
    monai = runner.library("monai", "MONAI")
    runner.library("monai.networks.nets", "MONAI")
    target = networks.flops(same_network, size)
    chosen = networks.monai_width(monai, levels, size, target)
    net = networks.monai_unet(monai, chosen, levels)
    share = networks.monai_flops(monai, chosen, levels, size) / target
    detail = f"MONAI {monai.__version__}, UNet of width {chosen}, {share:.2f} times the FLOPs, {detail}"
else:
    net = same_network()
net = net.to(device, memory_format=layout)
adam = torch.optim.Adam(net.parameters(), 1e-3, fused=True)


def placed(values):
    return values.to(device, memory_format=layout)


def dice(logits, mask):
    """Soft Dice of the whole batch."""
    p = torch.sigmoid(logits)
    return 1 - (2 * (p * mask).sum() + 1) / (p.sum() + mask.sum() + 1)


LOSSES = {
    "restoration": lambda logits, whole: F.mse_loss(torch.sigmoid(logits), whole),
    "segmentation": dice,
    "classification": F.binary_cross_entropy_with_logits,
}
loss_of = LOSSES[task]


def objective(image, answer):
    return loss_of(net(image), answer)


if job["compile"]:
    objective = torch.compile(objective)

waited = None
if job["shards"]:
    import models_genesis

    made, waiting = models_genesis.batches(job), 0.0

    def next_batch():
        global waiting
        asked = time.perf_counter()
        pair = next(made)
        waiting += time.perf_counter() - asked
        return [placed(values) for values in pair]

    waited = lambda: waiting
else:
    image = placed(torch.rand(batch, 1, *size))
    answers = {
        "restoration": lambda: placed(torch.rand(batch, 1, *size)),
        "segmentation": lambda: placed((torch.rand(batch, 1, *size) > 0.5).float()),
        "classification": lambda: (torch.rand(batch, 1) > 0.5).float().to(device),
    }
    fixed = image, answers[task]()
    next_batch = lambda: fixed


def step():
    image, answer = next_batch()
    adam.zero_grad(set_to_none=True)
    loss = objective(image, answer)
    loss.backward()
    adam.step()
    if on_gpu:
        torch.cuda.synchronize(device)
    return loss.item()


memory = "channels_last_3d" if job["channelsLast"] else "contiguous"
mode = "compiled" if job["compile"] else "eager"
detail = f"{detail}, {memory}, {mode}{runner.allocator()}"
peak = runner.resident
if on_gpu:
    detail += f", {torch.cuda.get_device_name(device)}, TF32 off, memory: the GPU's"
    peak = lambda: torch.cuda.max_memory_allocated(device)
runner.serve_rounds(step, detail, job["threads"], peak, waited)
