#!/usr/bin/env python3
"""What longstride costs beside the training itself: `make bench-overhead`.

One worker (M=1, H=16, fixed batch) against the same network in a bare LibTorch loop (same malloc settings) and in
Python torch at its defaults; all with the same batch and one thread, on random data. longstride and one of the
others run at the same time, each with all its processes on a CPU of its own, then again with the CPUs exchanged:
neighbours on a shared machine, which come and go within seconds, meet both. Each gives the median throughput of
its blocks of 16 steps (for longstride: of its rounds, whole wall time except evaluation and checkpoints), and the
figures are medians of the ratios. Wanted: at least 0.98 of the bare loop's throughput, and more than Python's.

Writes build/bench/overhead.json: cases.{cnn,resnet20,gpt}.{throughput_vs_bare, throughput_vs_python} and the
samples per second behind them; goals and met.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from goals import goal, judged  # noqa: E402
from runs import PYTHON, ROOT  # noqa: E402

LOCAL_STEPS = 16
WARM_UP_ROUNDS = 2

SAMPLES, EVALUATION_SAMPLES, CONTEXT = 2048, 64, 128
CLASSIFIED = "normalization: {mean: [0.5], std: [0.29]}"
CASES = {  # batch, blocks of 16 steps in a turn, model and data of the manifest
    "cnn": (64, 48, "{name: cnn}", "{format: idx, path: DATA, " + CLASSIFIED + "}"),
    "resnet20": (64, 6, "{name: resnet, resnet: {style: cifar, depth: 20}}",
                 "{format: cifar10, path: DATA, " + CLASSIFIED + "}"),
    "gpt": (16, 6, "{name: gpt, gpt: {layers: 4, heads: 4, width: 128}}",
            "{format: text, path: DATA/text, evaluationPath: DATA/evaluation, context: 128}"),
}


def write_data(case, folder):
    """Random samples as files, so that all read memory and nobody generates: IDX, CIFAR-10 binary, text."""
    rng = random.Random(1)

    def idx(kind, dims, values):
        head = bytes([0, 0, 8, len(dims)]) + b"".join(d.to_bytes(4, "big") for d in dims)
        (folder / kind).write_bytes(head + values)

    def labels(n):
        return bytes(rng.choices(range(10), k=n))

    if case == "cnn":
        for name, n in (("train", SAMPLES), ("t10k", EVALUATION_SAMPLES)):
            idx(f"{name}-images-idx3-ubyte", (n, 28, 28), rng.randbytes(n * 28 * 28))
            idx(f"{name}-labels-idx1-ubyte", (n,), labels(n))
    elif case == "resnet20":
        for i in range(1, 7):
            n = SAMPLES // 4 if i < 5 else EVALUATION_SAMPLES
            name = f"data_batch_{i}.bin" if i < 6 else "test_batch.bin"
            (folder / name).write_bytes(b"".join(labels(1) + rng.randbytes(3072) for _ in range(n)))
    else:
        for name, n in (("text", SAMPLES), ("evaluation", EVALUATION_SAMPLES)):
            (folder / name).write_bytes(rng.randbytes(n * CONTEXT + 1))


MANIFEST = """\
apiVersion: longstride.dev/v1alpha1
kind: TrainingJob
metadata: {{name: overhead-{case}}}
spec:
  replicas: 1
  model: {model}
  data: {data}
  training:
    maxSamples: {samples}
    optimizer: {{name: sgd, momentum: 0.9}}
    learningRate: {{value: 0.01}}
    localSteps: {{policy: constant, steps: {steps}}}
    batch: {{policy: fixed, initial: {batch}}}
  evaluation: {{everySamples: {samples}}}
  checkpoint: {{everyRounds: 0}}
"""


def run(command, cpu):
    env = dict(os.environ, OMP_NUM_THREADS="1")
    words = ["taskset", "--cpu-list", cpu, *command]
    done = subprocess.run([str(w) for w in words], env=env, text=True, capture_output=True, timeout=1200)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def loop(program, case, cpu):
    batch, blocks, _, _ = CASES[case]
    out = run([*program, case, batch, blocks, 1], cpu)
    return json.loads(out.strip().splitlines()[-1])["samples_per_second"]


def longstride(case, cpu):
    batch, blocks, model, data = CASES[case]
    with tempfile.TemporaryDirectory(prefix="longstride-overhead-") as folder:
        manifest = Path(folder) / "job.yaml"
        samples = (blocks + WARM_UP_ROUNDS) * LOCAL_STEPS * batch
        write_data(case, Path(folder))
        manifest.write_text(MANIFEST.format(case=case, model=model, data=data.replace("DATA", folder),
                                            samples=samples, steps=LOCAL_STEPS, batch=batch))
        out = Path(folder) / "run"
        run([ROOT / "build/release/bin/longstride", "run", manifest, "--workers", 1, "--threads", 1,
             "--out", out], cpu)
        records = [json.loads(line) for line in open(out / "rounds.jsonl")]
    rates = []
    for record in [r for r in records if "round" in r][WARM_UP_ROUNDS:]:
        worker = record["workers"][0]
        seconds = worker["wallSeconds"] - worker["seconds"]["evaluation"] - worker["seconds"]["checkpoint"]
        rates.append(record["samples"] / seconds)
    return statistics.median(rates)


OTHERS = {
    "bare": lambda case, cpu: loop([ROOT / "build/release/bin/overhead_bare"], case, cpu),
    "python": lambda case, cpu: loop([PYTHON, HERE / "python_loop.py"], case, cpu),
}
WANTED = {"bare": (">=", 0.98), "python": (">", 1.0)}


def side_by_side(case, other, cpus):
    """Samples per second of longstride and of another, at the same time."""
    with ThreadPoolExecutor(2) as pool:
        ours, theirs = pool.submit(longstride, case, cpus[0]), pool.submit(OTHERS[other], case, cpus[1])
        return ours.result(), theirs.result()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=4, help="pairs of runs, with the CPUs exchanged")
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    a = parser.parse_args()
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        sys.exit("needs two CPUs")
    cpus = [cpus[0], cpus[-1]]
    cases = {}
    for case in a.only:
        pairs = {other: [] for other in OTHERS}
        for turn in range(2 * a.turns):
            for other, of in pairs.items():
                of.append(side_by_side(case, other, cpus[::-1] if turn % 2 else cpus))
            print(f"{case:10s} run {turn + 1}: " + "  ".join(
                f"{other} {of[-1][0]:.1f} / {of[-1][1]:.1f} = {of[-1][0] / of[-1][1]:.3f}"
                for other, of in pairs.items()), flush=True)
        cases[case] = {"longstride_samples_per_second": statistics.median(p[0] for of in pairs.values() for p in of)}
        for other, of in pairs.items():
            cases[case][f"throughput_vs_{other}"] = statistics.median(p[0] / p[1] for p in of)
            cases[case][f"{other}_samples_per_second"] = statistics.median(p[1] for p in of)
    print(f"\nthroughput of longstride / that of the other, medians of {2 * a.turns} runs\n"
          f"{'case':10s}" + "".join(f"{other:>12s}" for other in OTHERS))
    for case, figures in cases.items():
        print(f"{case:10s}" + "".join(f"{figures[f'throughput_vs_{other}']:12.3f}" for other in OTHERS))
    path = ROOT / "build/bench/overhead.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    verdicts = judged([goal(f"{case}: throughput / that of {other}",
                            cases.get(case, {}).get(f"throughput_vs_{other}"), *WANTED[other])
                       for case in CASES for other in OTHERS])
    path.write_text(json.dumps({"runs": 2 * a.turns, "cases": cases, **verdicts}, indent=2) + "\n")
    print(f"\nwritten: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
