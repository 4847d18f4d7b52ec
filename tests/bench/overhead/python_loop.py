"""The loop of overhead_bare in Python torch, written as its users write it and with its defaults.

    python_loop.py MODEL BATCH BLOCKS THREADS      MODEL: cnn | resnet20 | gpt
"""

import json
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

SAMPLES, STEPS_OF_BLOCK = 2048, 16


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(32 * 7 * 7, 256), nn.Linear(256, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class BasicBlock(nn.Module):
    def __init__(self, channels, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.bn2(self.conv2(x))
        x += shortcut
        return F.relu(x, inplace=True)


class Resnet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        blocks, channels = [], 16
        for out, stride in ((16, 1), (32, 2), (64, 2)):
            for i in range(3):
                blocks.append(BasicBlock(channels, out, stride if i == 0 else 1))
                channels = out
        self.blocks, self.fc = nn.Sequential(*blocks), nn.Linear(64, 10)

    def forward(self, x):
        x = self.blocks(F.relu(self.bn1(self.conv1(x)), inplace=True))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class DecoderBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        n, t, w = x.shape
        q, k, v = (p.view(n, t, self.heads, w // self.heads).transpose(1, 2)
                   for p in self.c_attn(self.ln_1(x)).split(w, dim=2))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(mixed.transpose(1, 2).reshape(n, t, w))
        return x + self.mlp(self.ln_2(x))


class Gpt(nn.Module):
    def __init__(self, layers=4, heads=4, width=128, context=128, vocabulary=256):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.h = nn.Sequential(*(DecoderBlock(width, heads) for _ in range(layers)))
        self.ln_f, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.wte.weight

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        return self.head(self.ln_f(self.h(x))).flatten(0, 1)


def main():
    name, batch, blocks, threads = sys.argv[1], *map(int, sys.argv[2:5])
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    if name == "gpt":
        model, x = Gpt(), torch.randint(256, (SAMPLES, 128))
        y = x.roll(-1, 1)
    else:
        model, x = (Cnn(), torch.randn(SAMPLES, 1, 28, 28)) if name == "cnn" else (
            Resnet20(), torch.randn(SAMPLES, 3, 32, 32))
        y = torch.randint(10, (SAMPLES,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    order, at, rates = torch.randperm(SAMPLES), 0, []
    for block in range(blocks + 2):
        begin = time.perf_counter()
        for _ in range(STEPS_OF_BLOCK):
            if at + batch > SAMPLES:
                order, at = torch.randperm(SAMPLES), 0
            picked = order[at:at + batch]
            at += batch
            optimizer.zero_grad()
            F.cross_entropy(model(x[picked]), y[picked].flatten()).backward()
            optimizer.step()
        if block >= 2:
            rates.append(batch * STEPS_OF_BLOCK / (time.perf_counter() - begin))
    print(json.dumps({"samples_per_second": statistics.median(rates)}))


if __name__ == "__main__":
    main()
