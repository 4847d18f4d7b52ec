"""One rank of a torch baseline: DDP, DDP with the bf16 hook, or PostLocalSGD, on Fashion-MNIST.

The same net, data, hyper-parameters, target and evaluation cadence as manifests/fashion-mnist.yaml.
Rank 0 prints one JSON line when the target is reached or the epochs are used up. Evaluation is outside
the clock. Started by tests/bench/peers.py, one process in each network namespace.
"""

import argparse
import gzip
import json
import time
from datetime import timedelta
from pathlib import Path

import numpy
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks, post_localSGD_hook
from torch.distributed.algorithms.model_averaging.averagers import PeriodicModelAverager
from torch.distributed.optim import PostLocalSGDOptimizer
from torch.nn.parallel import DistributedDataParallel

# PostLocalSGD averages gradients like DDP for this many steps before it goes local.
WARMUP_STEPS = 4


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.fc1 = nn.Linear(32 * 7 * 7, 256)
        self.fc2 = nn.Linear(256, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


def read_idx(path, header):
    with gzip.open(path) as f:
        return numpy.frombuffer(f.read()[header:], dtype=numpy.uint8)


def load(folder, split):
    images = read_idx(folder / f"{split}-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
    labels = read_idx(folder / f"{split}-labels-idx1-ubyte.gz", 8)
    x = (torch.from_numpy(images.astype(numpy.float32)) / 255 - 0.2860) / 0.3530
    return x, torch.from_numpy(labels.astype(numpy.int64))


def evaluate(net, x, y):
    net.eval()
    with torch.no_grad():
        right = sum(int((net(a).argmax(1) == b).sum()) for a, b in zip(x.split(500), y.split(500)))
    net.train()
    return right / len(y)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--mode", choices=["ddp", "ddp-bf16", "postlocal"], required=True)
    p.add_argument("--local-steps", type=int, default=16)
    p.add_argument("--rank", type=int, required=True)
    p.add_argument("--world", type=int, required=True)
    p.add_argument("--store", required=True, help="host:port of rank 0")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--target", type=float, default=0.90)
    p.add_argument("--max-epochs", type=float, default=8)
    p.add_argument("--evaluate-every", type=int, default=15360)
    p.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    a = p.parse_args()

    torch.manual_seed(a.seed)
    dist.init_process_group("gloo", init_method=f"tcp://{a.store}", rank=a.rank, world_size=a.world,
                            timeout=timedelta(seconds=120))
    x, y = load(a.data, "train")
    test_x, test_y = load(a.data, "t10k")
    net = DistributedDataParallel(Cnn())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    if a.mode == "ddp-bf16":
        net.register_comm_hook(None, default_hooks.bf16_compress_hook)
    elif a.mode == "postlocal":
        state = post_localSGD_hook.PostLocalSGDState(
            process_group=None, subgroup=None, start_localSGD_iter=WARMUP_STEPS,
            post_local_gradient_allreduce=False)
        net.register_comm_hook(state, post_localSGD_hook.post_localSGD_hook)
        optimizer = PostLocalSGDOptimizer(
            optim=optimizer, averager=PeriodicModelAverager(period=a.local_steps, warmup_steps=WARMUP_STEPS))

    samples, evaluations, accuracy, clock, evaluating, reached = 0, 0, 0.0, 0.0, 0.0, False
    step_samples = a.batch * a.world
    steps = 0
    epoch = -1
    dist.barrier()
    started = time.perf_counter()
    while samples < a.max_epochs * len(y):
        if samples // (len(y) // step_samples * step_samples) != epoch:
            epoch = samples // (len(y) // step_samples * step_samples)
            order = torch.randperm(len(y), generator=torch.Generator().manual_seed(a.seed * 1000 + epoch))
            position = 0
        mine = order[position + a.rank * a.batch: position + (a.rank + 1) * a.batch]
        position += step_samples
        optimizer.zero_grad()
        F.cross_entropy(net(x[mine]), y[mine]).backward()
        optimizer.step()
        steps += 1
        samples += step_samples
        if samples // a.evaluate_every > evaluations:
            evaluations = samples // a.evaluate_every
            dist.barrier()
            paused = time.perf_counter()
            clock += paused - started
            flag = torch.zeros(1)
            if a.rank == 0:
                accuracy = evaluate(net.module, test_x, test_y)
                flag[0] = float(accuracy >= a.target)
            dist.broadcast(flag, 0)
            started = time.perf_counter()
            evaluating += started - paused
            reached = bool(flag[0])
            if reached:
                break
    if a.rank == 0:
        local = max(0, steps - WARMUP_STEPS)
        rounds = steps if a.mode != "postlocal" else min(steps, WARMUP_STEPS) + local // a.local_steps
        print(json.dumps({"seconds": clock, "accuracy": accuracy, "epochs": samples / len(y),
                          "rounds": rounds, "steps": steps, "reached": reached,
                          "evaluation_seconds": evaluating}), flush=True)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
