#!/usr/bin/env python3
"""What H should be when data differ between workers: `make bench-skew`.

Fashion-MNIST, four workers with local data (`data.placement: local`), cut by class by a Dirichlet distribution. Every
seed has its own partition, initial parameters and data order. The same job three times a seed, in turns, with the same
samples, batch and learning rate:

- `fixed`: H = 64, the data very unlike (Dirichlet 0.1);
- `auto`: policy auto on the same shards, with a link so slow that it asks for H = 64 too (communicationShare 0.001);
- `alike`: policy auto on shards that are alike (Dirichlet 1000), to show that H falls for the skew alone.

Wanted: skew is seen (`auto` measures a skew above the noise, `alike` one far below), H falls (median over rounds below
that of `alike`), and in every seed the final accuracy of `auto` is above that of `fixed`, in the median by the margin.

Writes build/bench/skew.json: for each contender {accuracy, local_steps, rounds, sent_megabytes, skew_over_noise},
medians over seeds of the run's last evaluation, of the median H of its rounds after the fifth (the first plan knows no
link), of its rounds, of the megabytes that each worker sent, and of the median of skew / noise; then margin_points
(`auto` - `fixed` within a seed: the median) and worst_margin_points; goals and met.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from goals import goal, judged

ROOT = Path(__file__).resolve().parents[2]
WORKERS, MOST_STEPS, UNLIKE, ALIKE = 4, 64, 0.1, 1000
WANTED_MARGIN = 2.0  # points
AUTO = ["training.localSteps.policy=auto", "training.localSteps.steps=null", "training.localSteps.communicationShare=0.001",
        f"training.localSteps.maxSteps={MOST_STEPS}"]
CONTENDERS = {
    "fixed": [f"training.localSteps.steps={MOST_STEPS}", f"data.partition.dirichlet={UNLIKE}"],
    "auto": [*AUTO, f"data.partition.dirichlet={UNLIKE}"],
    "alike": [*AUTO, f"data.partition.dirichlet={ALIKE}"],
}


def run(name, seed, a):
    out = ROOT / f"build/bench/skew/{name}-{seed}"
    settings = [f"seed={seed}", "data.placement=local", "training.synchronization.outer=null",
                f"training.learningRate.value={a.learning_rate}", "training.batch.policy=fixed",
                f"training.batch.initial={a.batch}", "training.batch.normTest=null", "training.maxEpochs=0",
                f"training.maxSamples={a.samples}", "evaluation.target=null", f"evaluation.everySamples={a.samples}",
                "checkpoint.everyRounds=0", *CONTENDERS[name], *a.set]
    command = [ROOT / "build/release/bin/longstride", "run", ROOT / "manifests/fashion-mnist.yaml",
               "--workers", WORKERS, "--threads", 1, "--out", out]
    for s in settings:
        command += ["--set", s]
    done = subprocess.run([str(w) for w in command], text=True, capture_output=True, timeout=7200)
    if done.returncode != 0:
        sys.exit(f"longstride run failed with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    records = [json.loads(line) for line in open(out / "rounds.jsonl")]
    settled = records[5:] or records
    result = {"accuracy": records[-1]["evaluationAccuracy"],
              "local_steps": statistics.median(r["localSteps"] for r in settled),
              "rounds": len(records),
              "sent_megabytes": sum(sum(w["bytesSent"]) for r in records for w in r["workers"]) / WORKERS / 1e6,
              "skew_over_noise": statistics.median(r["skew"] / r["noiseVariance"] for r in records)}
    print(f"seed {seed} {name:6s} H {result['local_steps']:5.1f}, {result['rounds']:5d} rounds, "
          f"{result['sent_megabytes']:7.1f} MB sent, skew {result['skew_over_noise']:6.2f} x noise, "
          f"{100 * result['accuracy']:.2f} %", flush=True)
    return result


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--samples", type=int, default=65536)
    p.add_argument("--batch", type=int, default=128, help="of all workers together")
    p.add_argument("--learning-rate", type=float, default=0.02)
    p.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="more settings for all")
    a = p.parse_args()
    shutil.rmtree(ROOT / "build/bench/skew", ignore_errors=True)
    runs = {name: [] for name in CONTENDERS}
    for seed in range(1, a.seeds + 1):
        for name in CONTENDERS if seed % 2 else reversed(CONTENDERS):
            runs[name].append(run(name, seed, a))

    figures = {name: {k: statistics.median(r[k] for r in rs) for k in rs[0]} for name, rs in runs.items()}
    margins = [100 * (x["accuracy"] - y["accuracy"]) for x, y in zip(runs["auto"], runs["fixed"])]
    margin, worst = statistics.median(margins), min(margins)
    print(f"\n{a.samples} samples in batches of {a.batch}, medians of {a.seeds} seeds\n"
          f"{'':8s}{'H':>6s}{'rounds':>8s}{'MB sent':>9s}{'skew/noise':>12s}{'accuracy':>10s}")
    for name, f in figures.items():
        print(f"{name:8s}{f['local_steps']:6.1f}{f['rounds']:8.0f}{f['sent_megabytes']:9.1f}{f['skew_over_noise']:12.2f}"
              f"{100 * f['accuracy']:9.2f}%")
    verdicts = judged([
        goal("auto: skew / noise", figures["auto"]["skew_over_noise"], ">", 1),
        goal("alike: skew / noise", figures["alike"]["skew_over_noise"], "<", 0.25),
        goal("auto: H, against that of alike", figures["auto"]["local_steps"], "<", figures["alike"]["local_steps"]),
        goal("accuracy, auto - fixed, points, median", margin, ">=", WANTED_MARGIN),
        goal("accuracy, auto - fixed, points, at worst", worst, ">", 0)])
    path = ROOT / "build/bench/skew.json"
    path.write_text(json.dumps({**figures, "margin_points": margin, "worst_margin_points": worst, **verdicts,
                                "seeds": a.seeds, "samples": a.samples, "batch": a.batch,
                                "learning_rate": a.learning_rate, "settings": a.set, "runs": runs}, indent=2) + "\n")
    print(f"\nwritten: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
