#!/usr/bin/env python3
"""Unlike workers: batches by measured speed against equal batches, `make bench-heterogeneous`.

Four workers of one thread each under CPU quotas of 80, 40, 40 and 20 % (cgroups, period 10 ms) train the CNN of
manifests/fashion-mnist.yaml. Three measurements a seed, in turns, so that what the machine does meanwhile hits all:

- speeds: what each worker does with nobody to wait for. Four jobs of one worker, all at once, one under each quota,
  each with the batch that its quota would earn. Speed = samples / seconds of local steps (data and compute alone),
  over the time in which all four trained.
- adaptive: the job as everybody gets it. Which worker is how fast is not told; the coordinator finds it out.
- equal: the same with bounds that leave every worker a quarter of the batch.

Both jobs take the same samples in the same global batch, which is fixed so that nothing but the split differs. Their
clock is the sum over rounds of the slowest worker's time, first rounds included, evaluation and checkpoint left out.
Ideal = samples / sum of the speeds: local steps only, no synchronization, nobody ever waits.

The split has settled with the first round from which on, for ten rounds, every worker's batch is within 10 % (or two
samples) of its median over the second half of the run. rounds_to_settle counts the rounds before that one.

Writes build/bench/heterogeneous.json: speedup_over_equal_batches and time_vs_ideal (medians over seeds),
rounds_to_settle (worst), plan_changes_after_settling (per 20 rounds, over all seeds), accuracy_difference (adaptive -
equal in points, mean over seeds), goals, met, and runs.
"""

import argparse
import json
import shutil
import signal
import statistics
import subprocess
import sys
import time

from goals import goal, judged
from runs import ROOT, command, committed_rounds, seconds_of

BASE = ROOT / "build/bench/heterogeneous"
CPU_QUOTA = ROOT / "tests/bench/cpu_quota.sh"
PREFIX = "lsh"
QUOTAS, PERIOD_US = [80, 40, 40, 20], 10000
WORKERS = len(QUOTAS)
NEVER = 10**9
START_SECONDS, STOP_SECONDS, RUN_SECONDS = 120, 60, 3600
NEAR, SETTLED_FOR = 0.10, 10
GOALS = {"speedup_over_equal_batches": (">=", 1.7), "time_vs_ideal": ("<=", 1.10), "rounds_to_settle": ("<=", 5),
         "plan_changes_after_settling": ("<", 1)}
MOST_POINTS_APART = 0.3


def cpu_quota(*words):
    subprocess.run([str(CPU_QUOTA), *map(str, words)], check=True, timeout=60)


def words_of(out, seed, batch, a, workers, group, settings):
    return command("fashion-mnist.yaml", out, workers,
                   [f"seed={seed}", f"training.localSteps.steps={a.local_steps}", "training.batch.policy=fixed",
                    "training.batch.normTest=null", f"training.batch.initial={batch}",
                    f"evaluation.everySamples={NEVER}", "evaluation.target=null", "checkpoint.everyRounds=0",
                    *settings, *a.set],
                   "--launch-prefix", f"{CPU_QUOTA} exec {PREFIX} {group} --")


def fail(what, log):
    sys.exit(f"{what}\n{log.read_text()[-4000:]}")


def measure_speeds(seed, a):
    """Samples per second of each worker, all training at once and none waiting for another."""
    outs = [BASE / f"speed-{seed}-{i}" for i in range(WORKERS)]
    logs = [out.with_suffix(".log") for out in outs]
    jobs = []
    try:
        for i, (out, log) in enumerate(zip(outs, logs)):
            batch = max(1, round(a.batch * QUOTAS[i] / sum(QUOTAS)))
            words = words_of(out, seed, batch, a, 1, i, [f"training.maxEpochs={10**6}"])
            with open(log, "w") as f:
                jobs.append(subprocess.Popen(words, stdout=f, stderr=subprocess.STDOUT))
        deadline = time.monotonic() + START_SECONDS
        while not all(committed_rounds(out) for out in outs):
            for job, log in zip(jobs, logs):
                if job.poll() is not None:
                    fail(f"a speed job ended with {job.returncode}", log)
            if time.monotonic() > deadline:
                fail(f"not all speed jobs trained after {START_SECONDS} s", logs[-1])
            time.sleep(0.1)
        begin = max(committed_rounds(out)[0]["time"] for out in outs)
        time.sleep(a.speed_seconds)
        end = time.time()
        for job in jobs:
            job.send_signal(signal.SIGTERM)
        for job, log in zip(jobs, logs):
            if job.wait(timeout=STOP_SECONDS) != 7:
                fail(f"a speed job ended with {job.returncode} instead of 7, interrupted", log)
    finally:
        for job in jobs:
            if job.poll() is None:
                job.kill()
                job.wait()
    speeds = []
    for out in outs:
        inside = [r["workers"][0] for r in committed_rounds(out)
                  if r["time"] - r["workers"][0]["wallSeconds"] >= begin and r["time"] <= end]
        if not inside:
            sys.exit(f"{out}: no round within {a.speed_seconds} s; raise --speed-seconds")
        speeds.append(sum(w["localSamples"] for w in inside)
                      / sum(w["seconds"]["data"] + w["seconds"]["compute"] for w in inside))
    print(f"seed {seed} speeds   {sum(speeds):8.0f} samples/s = {' + '.join(f'{s:.0f}' for s in speeds)}", flush=True)
    return {"speeds": speeds}


def settling(records):
    """Rounds before the split settled, then rounds and plan changes from there on."""
    splits = [[w["localBatch"] for w in r["workers"]] for r in records]
    final = [statistics.median(s[i] for s in splits[len(splits) // 2:]) for i in range(WORKERS)]
    near = [all(abs(b - f) <= max(2, NEAR * f) for b, f in zip(s, final)) for s in splits]
    before = next((i for i in range(len(near)) if all(near[i:i + SETTLED_FOR])), len(near))
    versions = [r["planVersion"] for r in records[before:]]
    return before, len(versions), sum(v != w for v, w in zip(versions, versions[1:]))


def train(name, seed, a, settings):
    out = BASE / f"{name}-{seed}"
    log = out.with_suffix(".log")
    words = words_of(out, seed, a.batch, a, WORKERS, "{index}", [f"training.maxEpochs={a.epochs}", *settings])
    with open(log, "w") as f:
        done = subprocess.run(words, stdout=f, stderr=subprocess.STDOUT, timeout=RUN_SECONDS)
    if done.returncode != 0:
        fail(f"longstride run failed with {done.returncode}", log)
    records = committed_rounds(out)
    before, after, changes = settling(records)
    result = {"seconds": seconds_of(records, without=["evaluation", "checkpoint"]),
              "samples": sum(r["samples"] for r in records), "rounds": len(records),
              "accuracy": records[-1]["evaluationAccuracy"], "rounds_to_settle": before,
              "rounds_after_settling": after, "plan_changes_after_settling": changes,
              "first_batches": [w["localBatch"] for w in records[0]["workers"]],
              "last_batches": [w["localBatch"] for w in records[-1]["workers"]]}
    print(f"seed {seed} {name:8s} {result['seconds']:8.1f} s, {result['samples']} samples, {len(records)} rounds, "
          f"{100 * result['accuracy']:.2f} %, batches {result['first_batches']} -> {result['last_batches']}",
          flush=True)
    return result


def adaptive(seed, a):
    return train("adaptive", seed, a, [])


def equal(seed, a):
    each = a.batch // WORKERS
    return train("equal", seed, a, [f"workers[0].batch.min={each}", f"workers[0].batch.max={each}"])


def figures_of(runs):
    both = list(zip(runs["measure_speeds"], runs["adaptive"], runs["equal"]))
    for _, ours, theirs in both:
        if ours["samples"] != theirs["samples"]:
            sys.exit(f"not the same samples: {ours['samples']} and {theirs['samples']}")
    rounds = sum(ours["rounds_after_settling"] for _, ours, _ in both)
    return {
        "speedup_over_equal_batches": statistics.median(theirs["seconds"] / ours["seconds"]
                                                        for _, ours, theirs in both),
        "time_vs_ideal": statistics.median(ours["seconds"] * sum(speed["speeds"]) / ours["samples"]
                                           for speed, ours, _ in both),
        "rounds_to_settle": max(ours["rounds_to_settle"] for _, ours, _ in both),
        "plan_changes_after_settling": 20 * sum(ours["plan_changes_after_settling"] for _, ours, _ in both)
                                       / max(1, rounds),
        "accuracy_difference": 100 * statistics.mean(ours["accuracy"] - theirs["accuracy"] for _, ours, theirs in both),
    }


def show(runs):
    print(f"\n{'seed':>4s}{'ideal s':>10s}{'adaptive s':>12s}{'equal s':>10s}{'/ ideal':>9s}{'speedup':>9s}"
          f"{'settled after':>15s}{'changes then':>14s}{'adaptive':>10s}{'equal':>8s}")
    for seed, (speed, ours, theirs) in enumerate(zip(*(runs[n] for n in ("measure_speeds", "adaptive", "equal"))), 1):
        ideal = ours["samples"] / sum(speed["speeds"])
        print(f"{seed:4d}{ideal:10.1f}{ours['seconds']:12.1f}{theirs['seconds']:10.1f}{ours['seconds'] / ideal:9.3f}"
              f"{theirs['seconds'] / ours['seconds']:9.2f}{ours['rounds_to_settle']:9d} rounds"
              f"{ours['plan_changes_after_settling']:5d} of {ours['rounds_after_settling']:5d}"
              f"{100 * ours['accuracy']:9.2f}%{100 * theirs['accuracy']:7.2f}%")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seeds", type=int, default=3)
    p.add_argument("--batch", type=int, default=512, help="global batch, a multiple of 4")
    p.add_argument("--local-steps", type=int, default=32, help="H")
    p.add_argument("--epochs", type=float, default=10)
    p.add_argument("--speed-seconds", type=float, default=20, help="how long speeds are measured")
    p.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="more settings for all jobs")
    a = p.parse_args()
    if a.batch % WORKERS:
        p.error(f"--batch must be a multiple of {WORKERS}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that groups and jobs end with us
    shutil.rmtree(BASE, ignore_errors=True)
    BASE.mkdir(parents=True)
    measurements = [measure_speeds, adaptive, equal]
    runs = {m.__name__: [] for m in measurements}
    print(f"quotas {QUOTAS} % of a CPU, period {PERIOD_US / 1000:.0f} ms, batch {a.batch}, H {a.local_steps}, "
          f"seeds 1 to {a.seeds}", flush=True)
    cpu_quota("up", PREFIX, PERIOD_US, *QUOTAS)
    try:
        for seed in range(1, a.seeds + 1):
            for m in measurements if seed % 2 else measurements[::-1]:
                runs[m.__name__].append(m(seed, a))
    finally:
        cpu_quota("down", PREFIX)

    figures = figures_of(runs)
    show(runs)
    verdicts = judged([goal(name, figures[name], *wanted) for name, wanted in GOALS.items()]
                      + [goal("accuracy_difference, either way", abs(figures["accuracy_difference"]), "<=",
                              MOST_POINTS_APART)])
    path = ROOT / "build/bench/heterogeneous.json"
    path.write_text(json.dumps({**figures, **verdicts, "quotas": QUOTAS,
                                "period_us": PERIOD_US, "seeds": a.seeds, "batch": a.batch,
                                "local_steps": a.local_steps, "epochs": a.epochs, "settings": a.set, "runs": runs},
                               indent=2) + "\n")
    print(f"\nwritten: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
