#!/usr/bin/env python3
"""Does longstride train to the loss that a plain torch loop reaches with the same samples? `make bench-parity`.

Two cases, each a manifest of manifests/ against tests/bench/parity_torch.py, one Python torch process that takes the
same number of samples in steps of the manifest's initial global batch:

- gpt: gpt-bytes.yaml on the King James Bible as Debian's bible-kjv prints it; two workers, DiLoCo, bfloat16 messages.
  Warm-up is 5 % of the samples, as in the manifest. The loss is on the last tenth of the text, in nats a byte.
- torchscript: torchscript.yaml with a net that a few lines of Python script; the loop trains that same net from the
  same initial parameters. The loss is on Fashion-MNIST's test images.

Wanted: a loss of at most 1.03 times that of the loop, both measured at the end, in the median over seeds. The 3 % are an
allowance by agreement: data orders differ, as do the initial parameters of gpt (same distributions), so no two runs end
alike. What chance alone does is measured beside: `spread` is how far the loop's own loss lies apart over its seeds
(greatest over least, less 1). A ratio above 1 + spread is worse than chance explains, met or not. The cheap case has
five seeds; gpt has one unless told otherwise, and no spread then.

The clock is for orientation only: longstride's covers its rounds with their evaluations, that of the loop only the
steps.

Writes build/bench/parity.json: cases.{gpt,torchscript}.{loss_ratio, longstride_loss, torch_loss, longstride_accuracy,
torch_accuracy, samples, rounds, longstride_seconds, torch_seconds}, medians over seeds; {seeds, spread, runs} of each;
goals and met.
"""

import argparse
import json
import shutil
import statistics

from goals import goal, judged
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


def spread(values):
    return max(values) / min(values) - 1 if len(values) > 1 else None


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seeds", type=int, default=5, help="of torchscript")
    p.add_argument("--gpt-seeds", type=int, default=1)
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
    seeds = {"gpt": a.gpt_seeds, "torchscript": a.seeds}
    for seed in range(1, max(seeds[case] for case in a.only) + 1):
        for case in (c for c in a.only if seed <= seeds[c]):
            ours, theirs = turns[case](seed)
            runs[case].append({
                "loss_ratio": ours["loss"] / theirs["loss"],
                **{f"{who}_{k}": r[k] for who, r in (("longstride", ours), ("torch", theirs))
                   for k in ("loss", "accuracy", "seconds")},
                "samples": ours["samples"], "rounds": ours["rounds"]})
            print(f"seed {seed} {case:12s} longstride {ours['loss']:.4f} in {ours['seconds']:.0f} s, "
                  f"torch {theirs['loss']:.4f} in {theirs['seconds']:.0f} s", flush=True)

    cases = {case: {k: statistics.median(r[k] for r in rs) for k in rs[0]} for case, rs in runs.items()}
    print(f"\nevaluation loss after the same samples, medians over seeds\n"
          f"{'case':14s}{'seeds':>6s}{'samples':>9s}{'rounds':>8s}{'longstride':>12s}{'torch':>9s}{'ratio':>8s}"
          f"{'spread of torch over its seeds':>32s}")
    for case, f in cases.items():
        chance = spread([r["torch_loss"] for r in runs[case]])
        f |= {"seeds": seeds[case], "spread": chance, "runs": runs[case]}
        print(f"{case:14s}{f['seeds']:6d}{f['samples']:9.0f}{f['rounds']:8.0f}{f['longstride_loss']:12.4f}"
              f"{f['torch_loss']:9.4f}{f['loss_ratio']:8.3f}"
              f"{'one seed: none' if chance is None else f'{100 * chance:.2f} %':>32s}")
    verdicts = judged([goal(f"{case}: loss / torch's, allowed by agreement", cases.get(case, {}).get("loss_ratio"),
                            "<=", MOST_LOSS_RATIO) for case in ("gpt", "torchscript")])
    path = ROOT / "build/bench/parity.json"
    path.write_text(json.dumps({"cases": cases, **verdicts}, indent=2) + "\n")
    print(f"\nwritten: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
