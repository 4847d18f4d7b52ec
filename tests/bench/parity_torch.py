"""The plain torch loops that tests/bench/parity.py compares with: one process, the manifest's global batch.

    parity_torch.py gpt ...       the model and hyper-parameters of manifests/gpt-bytes.yaml
    parity_torch.py script ...    only writes the scripted net, untrained
    parity_torch.py net ...       the same net with the hyper-parameters of manifests/torchscript.yaml

The last line printed is JSON: loss and accuracy on the evaluation data at the end, seconds of the steps.
"""

import argparse
import json
import math
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent / "overhead"))
from peer_torch import load  # noqa: E402
from python_loop import Gpt  # noqa: E402

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
LAYERS, CONTEXT, DEVIATION = 4, 128, 0.02


def make_gpt():
    """GPT-2's initialization, as longstride's: normal, and narrower for the projections into the residual stream."""
    net = Gpt(layers=LAYERS, heads=4, width=128, context=CONTEXT)
    for name, p in net.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(p)
        elif p.dim() == 2:
            residual = name.endswith(("c_proj.weight", "mlp.2.weight"))
            nn.init.normal_(p, std=DEVIATION / math.sqrt(2 * LAYERS) if residual else DEVIATION)
    return net


def make_net():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))


def windows(tokens):
    n = (len(tokens) - 1) // CONTEXT
    return tokens[:n * CONTEXT].view(n, CONTEXT), tokens[1:n * CONTEXT + 1].view(n, CONTEXT)


def load_text(path):
    tokens = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
    kept = len(tokens) - len(tokens) // 10
    return windows(tokens[:kept]), windows(tokens[kept:])


def outputs(net, x):
    return net(x.long() if x.dtype == torch.uint8 else x)


def train(net, optimizer, x, y, samples, batch, rate, clip=0.0):
    """`rate`: from (samples so far, samples of this step) to the learning rate."""
    done, at, order = 0, 0, torch.randperm(len(x))
    begin = time.perf_counter()
    while done < samples:
        size = min(batch, samples - done)
        if at + size > len(x):
            at, order = 0, torch.randperm(len(x))
        picked = order[at:at + size]
        for group in optimizer.param_groups:
            group["lr"] = rate(done, size)
        optimizer.zero_grad()
        F.cross_entropy(outputs(net, x[picked]), y[picked].long().flatten()).backward()
        if clip:
            nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimizer.step()
        done += size
        at += size
    return time.perf_counter() - begin


def evaluate(net, x, y):
    net.eval()
    loss, right = 0.0, 0
    with torch.no_grad():
        for a, b in zip(x.split(256), y.split(256)):
            out, target = outputs(net, a), b.long().flatten()
            loss += float(F.cross_entropy(out, target)) * len(a)
            right += int((out.argmax(1) == target).sum())
    return {"loss": loss / len(x), "accuracy": right / y.numel()}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("what", choices=["gpt", "script", "net"])
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--samples", type=int, default=0)
    p.add_argument("--text", type=Path)
    p.add_argument("--schedule-samples", type=int, help="length of the cosine")
    p.add_argument("--warmup-samples", type=int)
    p.add_argument("--model", type=Path, help="file to write the scripted net to")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)

    if a.what == "script":
        torch.jit.script(make_net()).save(str(a.model))
        print(json.dumps({"model": str(a.model)}))
        return
    if a.what == "gpt":
        net, (train_data, test_data) = make_gpt(), load_text(a.text)
        optimizer = torch.optim.AdamW(net.parameters(), betas=(0.9, 0.95), weight_decay=0.1)

        def rate(done, size):
            t = max(0.0, (done - a.warmup_samples) / (a.schedule_samples - a.warmup_samples))
            warm = min(1.0, (done + size) / a.warmup_samples) if done < a.warmup_samples else 1.0
            return 2.0e-3 * warm * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * min(1.0, t))))

        seconds = train(net, optimizer, *train_data, a.samples, 32, rate, clip=1.0)
    else:
        net, train_data, test_data = make_net(), load(FASHION_MNIST, "train"), load(FASHION_MNIST, "t10k")
        optimizer = torch.optim.Adam(net.parameters())
        seconds = train(net, optimizer, *train_data, a.samples, 128, lambda done, size: 1.0e-3)
    print(json.dumps({**evaluate(net, *test_data), "seconds": seconds}))


if __name__ == "__main__":
    main()
