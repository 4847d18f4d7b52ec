#!/usr/bin/env python3
"""What growing the batch by the norm test saves in rounds: `make bench-normtest`.

Fashion-MNIST, four workers, global batch 32 at the start. The same job twice a seed, in turns: `adaptive` lets the
norm test grow the batch and couples the learning rate to its square root, `fixed` keeps it at 32; both with the same
H, plain averaging, the same base learning rate (one at which batch 32, eight a worker, is stable), the same seed (so
the same initial parameters and data order) and the same target, at which they stop. Counted are rounds and samples up
to that evaluation, so figures are as coarse as the evaluation cadence and a round. Wanted: fewer rounds at no more
than 1.1 times the samples, and every run of both reaches the target.

Writes build/bench/normtest.json: for adaptive and fixed {rounds, samples, accuracy, final_batch, reached}, then
rounds_ratio and samples_ratio (adaptive / fixed within a seed); all medians over seeds except `reached`; goals and met.
"""

import argparse
import json
import shutil
import statistics

from goals import goal, judged
from runs import ROOT, command, committed_rounds, run_to_end

WORKERS, INITIAL_BATCH = 4, 32
MOST_SAMPLES_RATIO = 1.1
LEARNING_RATE, ETA = 0.02, 1.0
CONTENDERS = {
    "adaptive": ["training.learningRate.coupling=sqrt", f"training.batch.normTest.eta={ETA}"],
    "fixed": ["training.batch.policy=fixed", "training.batch.normTest=null"],
}


def run(name, seed, a):
    out = ROOT / f"build/bench/normtest/{name}-{seed}"
    settings = [f"seed={seed}", "training.synchronization.outer=null", f"training.learningRate.value={LEARNING_RATE}",
                f"training.batch.initial={INITIAL_BATCH}", f"training.localSteps.steps={a.local_steps}",
                f"training.maxEpochs={a.max_epochs}", f"evaluation.target.value={a.target}",
                f"evaluation.everySamples={a.evaluate_every}", "checkpoint.everyRounds=0", *CONTENDERS[name], *a.set]
    run_to_end(command("fashion-mnist.yaml", out, WORKERS, settings))
    records = committed_rounds(out)
    last = records[-1]
    result = {"rounds": last["round"], "samples": sum(r["samples"] for r in records),
              "accuracy": last["evaluationAccuracy"], "final_batch": last["globalBatch"],
              "reached": last["targetReached"]}
    print(f"seed {seed} {name:9s} {result['rounds']:6d} rounds {result['samples']:8d} samples, batch "
          f"{INITIAL_BATCH} -> {result['final_batch']}, {100 * result['accuracy']:.2f} %"
          f"{'' if result['reached'] else ' (target NOT reached)'}", flush=True)
    return result


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--target", type=float, default=0.89, help="test accuracy, the same for both")
    p.add_argument("--local-steps", type=int, default=16, help="H, the same for both")
    p.add_argument("--max-epochs", type=float, default=6)
    p.add_argument("--evaluate-every", type=int, default=7680, help="samples")
    p.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="more settings for both")
    a = p.parse_args()
    shutil.rmtree(ROOT / "build/bench/normtest", ignore_errors=True)
    runs = {name: [] for name in CONTENDERS}
    for seed in range(1, a.seeds + 1):
        names = list(CONTENDERS) if seed % 2 else list(reversed(CONTENDERS))
        for name in names:
            runs[name].append(run(name, seed, a))

    figures = {name: {k: statistics.median(r[k] for r in rs) for k in ("rounds", "samples", "accuracy", "final_batch")}
               | {"reached": sum(r["reached"] for r in rs)} for name, rs in runs.items()}
    ratios = {f"{k}_ratio": statistics.median(ours[k] / theirs[k]
                                             for ours, theirs in zip(runs["adaptive"], runs["fixed"]))
              for k in ("rounds", "samples")}

    print(f"\nfrom batch {INITIAL_BATCH}, H={a.local_steps}, to {100 * a.target:.1f} % test accuracy, medians of "
          f"{a.seeds} seeds\n{'batch':10s}{'rounds':>8s}{'samples':>10s}{'accuracy':>10s}{'last batch':>12s}"
          f"{'reached':>9s}")
    for name, f in figures.items():
        print(f"{name:10s}{f['rounds']:8.0f}{f['samples']:10.0f}{100 * f['accuracy']:9.2f}%{f['final_batch']:12.0f}"
              f"{f['reached']:6d}/{a.seeds}")
    verdicts = judged([goal(f"{name}: runs that reach the target", f["reached"], "==", a.seeds)
                       for name, f in figures.items()]
                      + [goal("rounds, adaptive / fixed", ratios["rounds_ratio"], "<", 1),
                         goal("samples, adaptive / fixed", ratios["samples_ratio"], "<=", MOST_SAMPLES_RATIO)])
    path = ROOT / "build/bench/normtest.json"
    path.write_text(json.dumps({**figures, **ratios, **verdicts, "seeds": a.seeds, "target": a.target,
                                "local_steps": a.local_steps, "max_epochs": a.max_epochs,
                                "evaluate_every": a.evaluate_every, "settings": a.set, "runs": runs},
                               indent=2) + "\n")
    print(f"\nwritten: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
