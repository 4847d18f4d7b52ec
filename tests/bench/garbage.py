#!/usr/bin/env python3
"""What one worker of four that feeds garbage costs: `make bench-garbage`.

Fashion-MNIST cut into four equal local shards (`data.placement: local`, {index} in the path). Worker 3's is replaced by

- `labels`: its images with random labels,
- `scaled`: its images times 100, so that its changes are finite and huge,
- `nan`: its images with a not-a-number in each, so that its changes are not finite,

and the same job runs with each aggregation; `clean` is the job with no garbage. The batch is adaptive, so the norm test
meets the garbage as well. The rate falls to nothing, so that the final accuracy does not depend on which steps were the
last. Wanted: with trimmedMean or clippedMean the final accuracy is within a point of that of the
clean run with the plain mean; and in no run does not-a-number reach the parameters (the last evaluation's loss is
finite). A run may diverge: the job then ends by itself with the parameters that it had, which counts as accuracy 0.

Writes build/bench/garbage.json: for each kind and aggregation {accuracy, loss, final_batch}, medians over seeds; then
worst_points_below_clean by aggregation (over the kinds, of the medians); goals and met.
"""

import argparse
import gzip
import json
import math
import random
import shutil
import statistics
import struct
import subprocess
import sys
from array import array
from pathlib import Path

from goals import goal, judged

ROOT = Path(__file__).resolve().parents[2]
DATA = Path("/usr/share/datasets/fashion-mnist")
WORKERS, BAD, PIXELS = 4, 3, 28 * 28
KINDS = ("clean", "labels", "scaled", "nan")
AGGREGATIONS = ("mean", "clippedMean", "trimmedMean")
WANTED_POINTS = 1.0


def content(name, header):
    for path, opened in ((DATA / name, open), (DATA / f"{name}.gz", gzip.open)):
        if path.exists():
            with opened(path, "rb") as f:
                return f.read()[header:]
    sys.exit(f"{DATA}: no {name}")


def write_npy(path, descr, shape, raw):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + raw)


def write_shards(folder, kind, seed, a):
    images, labels = content("train-images-idx3-ubyte", 16), content("train-labels-idx1-ubyte", 8)
    test_images, test_labels = content("t10k-images-idx3-ubyte", 16), content("t10k-labels-idx1-ubyte", 8)
    draw = random.Random(seed)
    order = list(range(len(labels)))
    draw.shuffle(order)
    for worker in range(WORKERS):
        shard = folder / str(worker)
        shard.mkdir(parents=True)
        chosen = order[worker * a.shard:(worker + 1) * a.shard]
        x = b"".join(images[i * PIXELS:(i + 1) * PIXELS] for i in chosen)
        y = [labels[i] for i in chosen]
        descr = "|u1"
        if worker == BAD and kind == "labels":
            y = [draw.randrange(10) for _ in y]
        if worker == BAD and kind in ("scaled", "nan"):
            values = array("f", (byte * (100 / 255 if kind == "scaled" else 1 / 255) for byte in x))
            if kind == "nan":
                for i in range(0, len(values), PIXELS):
                    values[i] = math.nan
            descr, x = "<f4", values.tobytes()
        write_npy(shard / "train_x.npy", descr, (len(y), 28, 28), x)
        write_npy(shard / "train_y.npy", "<i4", (len(y),), array("i", list(y)).tobytes())
        write_npy(shard / "test_x.npy", "|u1", (len(test_labels), 28, 28), test_images)
        write_npy(shard / "test_y.npy", "<i4", (len(test_labels),), array("i", list(test_labels)).tobytes())


def run(kind, aggregation, seed, folder, a):
    out = ROOT / f"build/bench/garbage/{kind}-{aggregation}-{seed}"
    settings = [f"seed={seed}", "data.placement=local", "data.format=npy", f"data.path={folder}/{{index}}",
                "data.classes=10", "training.synchronization.outer=null",
                f"training.synchronization.aggregation={aggregation}", f"training.learningRate.value={a.learning_rate}",
                "training.learningRate.schedule=cosine",
                f"training.batch.initial={a.batch}", f"training.localSteps.steps={a.local_steps}", "training.maxEpochs=0",
                f"training.maxSamples={a.samples}", "evaluation.target=null", f"evaluation.everySamples={a.samples}",
                "checkpoint.everyRounds=0", *a.set]
    command = [ROOT / "build/release/bin/longstride", "run", ROOT / "manifests/fashion-mnist.yaml",
               "--workers", WORKERS, "--threads", 1, "--out", out]
    for s in settings:
        command += ["--set", s]
    done = subprocess.run([str(w) for w in command], text=True, capture_output=True, timeout=7200)
    if done.returncode == 2 and "training diverged" in done.stdout + done.stderr:
        print(f"seed {seed} {kind:7s}{aggregation:12s} diverged: no update of anybody was finite any more", flush=True)
        return {"accuracy": 0.0, "loss": math.inf, "final_batch": a.batch, "diverged": True, "finite": True}
    if done.returncode != 0:
        sys.exit(f"longstride run failed with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    records = [json.loads(line) for line in open(out / "rounds.jsonl")]
    last = records[-1]
    result = {"accuracy": last["evaluationAccuracy"], "loss": last["evaluationLoss"], "final_batch": last["globalBatch"]}
    finite = result["loss"] is not None and math.isfinite(result["loss"])
    result |= {"diverged": False, "finite": finite}
    print(f"seed {seed} {kind:7s}{aggregation:12s} {len(records):5d} rounds, batch {a.batch} -> "
          f"{result['final_batch']:5d}, {100 * result['accuracy']:.2f} %{'' if finite else ', loss not finite'}",
          flush=True)
    return result


def finite_numbers(x):
    """JSON has no infinity."""
    if isinstance(x, dict):
        return {k: finite_numbers(v) for k, v in x.items()}
    if isinstance(x, list):
        return [finite_numbers(v) for v in x]
    return None if isinstance(x, float) and not math.isfinite(x) else x


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seeds", type=int, default=2)
    p.add_argument("--samples", type=int, default=120000)
    p.add_argument("--shard", type=int, default=10000, help="samples of each shard")
    p.add_argument("--batch", type=int, default=64, help="of all workers together, at the start")
    p.add_argument("--local-steps", type=int, default=8)
    p.add_argument("--learning-rate", type=float, default=0.02)
    p.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="more settings for all")
    a = p.parse_args()
    base = ROOT / "build/bench/garbage"
    shutil.rmtree(base, ignore_errors=True)
    runs = {kind: {aggregation: [] for aggregation in AGGREGATIONS} for kind in KINDS}
    for seed in range(1, a.seeds + 1):
        for kind in KINDS:
            folder = base / f"data-{kind}-{seed}"
            write_shards(folder, kind, seed, a)
            for aggregation in AGGREGATIONS:
                runs[kind][aggregation].append(run(kind, aggregation, seed, folder, a))
            shutil.rmtree(folder)

    figures = {kind: {aggregation: {k: statistics.median(r[k] for r in rs) for k in ("accuracy", "loss", "final_batch")}
                      for aggregation, rs in of_kind.items()} for kind, of_kind in runs.items()}
    clean = figures["clean"]["mean"]["accuracy"]
    below = {g: max(100 * (clean - figures[kind][g]["accuracy"]) for kind in KINDS) for g in AGGREGATIONS}
    not_finite = sum(not r["finite"] for of_kind in runs.values() for rs in of_kind.values() for r in rs)

    print(f"\nfinal accuracy, medians of {a.seeds} seeds\n{'worker 3':10s}" + "".join(f"{g:>14s}" for g in AGGREGATIONS))
    for kind in KINDS:
        print(f"{kind:10s}" + "".join(f"{100 * figures[kind][g]['accuracy']:13.2f}%" for g in AGGREGATIONS))
    print("worst loss against clean with mean: " + ", ".join(f"{g} {below[g]:.2f}" for g in AGGREGATIONS)
          + " points")
    verdicts = judged([
        goal("points below clean at worst, better robust aggregation", min(below["clippedMean"], below["trimmedMean"]),
             "<=", WANTED_POINTS),
        goal("runs whose loss ends not finite", not_finite, "==", 0)])
    path = ROOT / "build/bench/garbage.json"
    path.write_text(json.dumps({**finite_numbers(figures), "worst_points_below_clean": below, "finite": not_finite == 0,
                                **verdicts, "seeds": a.seeds, "samples": a.samples, "shard": a.shard, "batch": a.batch,
                                "local_steps": a.local_steps, "learning_rate": a.learning_rate, "settings": a.set,
                                "runs": finite_numbers(runs)}, indent=2) + "\n")
    print(f"\nwritten: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
