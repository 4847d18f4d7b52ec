#!/usr/bin/env python3
"""Does longstride train to the loss that a plain torch loop reaches with the same samples? `make bench-parity`.

Two cases, each a manifest of manifests/ against tests/bench/parity_torch.py, one Python torch process that takes the
same number of samples in steps of the manifest's initial global batch:

- gpt: gpt-bytes.yaml on the King James Bible as Debian's bible-kjv prints it; two workers, DiLoCo, bfloat16 messages.
  Warm-up is 5 % of the samples, as in the manifest. The loss is on the last tenth of the text, in nats a byte.
- torchscript: torchscript.yaml with a net that a few lines of Python script; the loop trains that same net from the
  same initial parameters. The loss is on Fashion-MNIST's test images.

Wanted: a loss of at most 1.03 times that of the loop, both measured at the end. Data orders differ, as do the initial
parameters of gpt (same distributions). The clock is for orientation only: longstride's covers its rounds with their
evaluations, that of the loop only the steps.

Writes build/bench/parity.json: cases.{gpt,torchscript}.{loss_ratio, longstride_loss, torch_loss, longstride_accuracy,
torch_accuracy, samples, rounds, longstride_seconds, torch_seconds}, medians over seeds.
"""

import argparse
import json
import shutil
import statistics

from runs import PYTHON, ROOT, command, committed_rounds, run_to_end, seconds_of

BASE = ROOT / "build/bench/parity"
WORKERS = 2
MOST_LOSS_RATIO = 1.03


def run_longstride(case, seed, manifest, settings):
    out = BASE / f"{case}-{seed}"
    run_to_end(command(manifest, out, WORKERS, [f"seed={seed}", "checkpoint.everyRounds=0", *settings]))
    records = committed_rounds(out)
    last = records[-1]
    return {"loss": last["evaluationLoss"], "accuracy": last["evaluationAccuracy"], "rounds": last["round"],
            "samples": sum(r["samples"] for r in records),
            "seconds": seconds_of(records)}


def run_torch(*words):
    return json.loads(run_to_end([PYTHON, ROOT / "tests/bench/parity_torch.py", *words]).strip().splitlines()[-1])


def gpt(seed, samples, threads):
    text = BASE / "bible-kjv.txt"
    if not text.exists():
        text.write_text(run_to_end(["bible", "-f", "Gen1:1-Rev22:21"]))
    warmup = samples // 20
    ours = run_longstride("gpt", seed, "gpt-bytes.yaml",
                          [f"data.path={text}", f"training.maxSamples={samples}",
                           f"training.learningRate.warmupSamples={warmup}"])
    theirs = run_torch("gpt", "--text", text, "--seed", seed, "--threads", threads, "--samples", ours["samples"],
                       "--schedule-samples", samples, "--warmup-samples", warmup)
    return ours, theirs


def torchscript(seed, samples, threads):
    model = BASE / f"model-{seed}.pt"
    run_torch("script", "--model", model, "--seed", seed)
    ours = run_longstride("torchscript", seed, "torchscript.yaml",
                          [f"model.torchscript.path={model}", f"training.maxSamples={samples}"])
    theirs = run_torch("net", "--seed", seed, "--threads", threads, "--samples", ours["samples"])
    return ours, theirs


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seeds", type=int, default=1)
    p.add_argument("--only", nargs="*", choices=["gpt", "torchscript"], default=["gpt", "torchscript"])
    p.add_argument("--gpt-samples", type=int, default=64000, help="windows of 128 bytes; the manifest's own number")
    p.add_argument("--torchscript-samples", type=int, default=120000, help="images; at most two epochs")
    p.add_argument("--threads", type=int, default=WORKERS, help="of the torch loop; longstride's workers have one each")
    a = p.parse_args()
    shutil.rmtree(BASE, ignore_errors=True)
    BASE.mkdir(parents=True)
    turns = {"gpt": lambda seed: gpt(seed, a.gpt_samples, a.threads),
             "torchscript": lambda seed: torchscript(seed, a.torchscript_samples, a.threads)}
    runs = {case: [] for case in a.only}
    for seed in range(1, a.seeds + 1):
        for case in a.only:
            ours, theirs = turns[case](seed)
            runs[case].append({
                "loss_ratio": ours["loss"] / theirs["loss"],
                **{f"{who}_{k}": r[k] for who, r in (("longstride", ours), ("torch", theirs))
                   for k in ("loss", "accuracy", "seconds")},
                "samples": ours["samples"], "rounds": ours["rounds"]})
            print(f"seed {seed} {case:12s} longstride {ours['loss']:.4f} in {ours['seconds']:.0f} s, "
                  f"torch {theirs['loss']:.4f} in {theirs['seconds']:.0f} s", flush=True)

    cases = {case: {k: statistics.median(r[k] for r in rs) for k in rs[0]} for case, rs in runs.items()}
    print(f"\nevaluation loss after the same samples, medians of {a.seeds} seeds\n"
          f"{'case':14s}{'samples':>9s}{'rounds':>8s}{'longstride':>12s}{'torch':>9s}{'ratio':>8s}"
          f"  wanted: <= {MOST_LOSS_RATIO}")
    for case, f in cases.items():
        f["met"] = f["loss_ratio"] <= MOST_LOSS_RATIO
        print(f"{case:14s}{f['samples']:9.0f}{f['rounds']:8.0f}{f['longstride_loss']:12.4f}{f['torch_loss']:9.4f}"
              f"{f['loss_ratio']:8.3f}  {'met' if f['met'] else 'NOT met'}")
    path = ROOT / "build/bench/parity.json"
    path.write_text(json.dumps({"seeds": a.seeds, "cases": cases}, indent=2) + "\n")
    print(f"\nwritten: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
