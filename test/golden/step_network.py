"""Times training steps of a network of make_networks.py in PyTorch, for test/graphs/imported/speed.ts (needs what that script needs)."""
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "src/bench/baselines"))
import runner
import torch
import torch.nn.functional as F
from make_networks import first, network_of

job = runner.job()
torch.manual_seed(0)
torch.set_num_threads(job["threads"])
torch.set_flush_denormal(True)
layout = torch.channels_last_3d if job["channelsLast"] else torch.contiguous_format
network, x = network_of(job["network"])
network = network.train().to(memory_format=layout)
x = x.to(memory_format=layout)
with torch.no_grad():
    target = torch.randn_like(first(network(x)))
adam = torch.optim.Adam(network.parameters(), 1e-5, fused=True)


def step():
    adam.zero_grad(set_to_none=True)
    loss = F.mse_loss(first(network(x)), target)
    loss.backward()
    adam.step()
    return loss.item()


memory = "channels_last_3d" if job["channelsLast"] else "contiguous"
runner.serve_rounds(step, f"PyTorch {torch.__version__}, {memory}{runner.allocator()}", job["threads"])
