#!/usr/bin/env python3
"""longstride against torch's own strategies over slow links: `make bench-peers`.

Four network namespaces joined at a limited rate; every contender trains the same CNN on Fashion-MNIST to the
same test accuracy with one thread a worker. Seeds are interleaved over contenders, medians are printed, and
bytes are what the kernel counted on each worker's link (headers and acknowledgements included).

Clock: from the first training step to the evaluation that reaches the target, evaluations left out. Set-up (process
start, data, rendezvous, longstride's profiling; and the end of the processes) is left out for all and printed beside.

A contender may use its epochs up without reaching the target. Its time then says nothing: it is shown, and takes part
in no ratio.

Writes build/bench/peers.json: for each contender at 100 Mbit/s {seconds, megabytes_per_worker, rounds, epochs,
accuracy, setup_seconds, evaluation_seconds}, medians, and {reached, runs}: in how many of how many runs it reached the
target; the same at 20 Mbit/s under "at_20_mbit"; goals and met.
"""

import argparse
import json
import os
import statistics
import subprocess
import time

from goals import goal, judged
from runs import NETNS, PYTHON, ROOT, command, committed_rounds, in_namespaces, netns, run_to_end, seconds_of

PREFIX = "lsp"
WORKERS = 4
# What longstride sets with mallopt at start, as glibc's environment variables.
SAME_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str((1 << 31) - 1),
               "MALLOC_TOP_PAD_": str(64 << 20)}


def megabytes_per_worker():
    return statistics.mean(int(netns("bytes", PREFIX, i).split()[0]) for i in range(WORKERS)) / 1e6


def run_torch(seed, mode, local_steps=0, environment=None):
    store = netns("address", PREFIX, 0) + ":29400"
    env = dict(os.environ, OMP_NUM_THREADS="1", GLOO_SOCKET_IFNAME="eth0", TORCH_CPP_LOG_LEVEL="ERROR",
               **(environment or {}))
    processes, begin = [], time.perf_counter()
    for rank in range(WORKERS):
        words = [NETNS, "exec", PREFIX, rank, "--", PYTHON, ROOT / "tests/bench/peer_torch.py", "--mode", mode,
                 "--rank", rank, "--world", WORKERS, "--store", store, "--seed", seed]
        if local_steps:
            words += ["--local-steps", local_steps]
        processes.append(subprocess.Popen([str(w) for w in words], env=env,
                                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True))
    out = processes[0].communicate(timeout=1200)[0]
    for p in processes[1:]:
        p.wait(timeout=60)
    return with_setup(json.loads(out.strip().splitlines()[-1]), time.perf_counter() - begin)


def with_setup(result, whole_seconds):
    return result | {"setup_seconds": whole_seconds - result["seconds"] - result["evaluation_seconds"]}


def run_longstride(seed, settings=()):
    out = ROOT / f"build/bench/peers-run-{os.getpid()}-{time.time_ns()}"
    words = in_namespaces(PREFIX, command("fashion-mnist.yaml", out, WORKERS,
                                          [f"seed={seed}", "checkpoint.everyRounds=0", *settings]))
    begin = time.perf_counter()
    run_to_end(words, 1200)
    whole = time.perf_counter() - begin
    records = committed_rounds(out)
    seconds = seconds_of(records, without=["evaluation"])
    last = records[-1]
    samples = sum(r["samples"] for r in records)
    return with_setup({"seconds": seconds, "accuracy": last["evaluationAccuracy"], "epochs": samples / 60000,
                       "rounds": last["round"], "reached": last["targetReached"],
                       "evaluation_seconds": seconds_of(records) - seconds}, whole)


CONTENDERS = {
    "longstride": lambda seed: run_longstride(seed),
    "ddp": lambda seed: run_torch(seed, "ddp"),
    "ddp-bf16": lambda seed: run_torch(seed, "ddp-bf16"),
    "postlocal-16": lambda seed: run_torch(seed, "postlocal", 16),
    "postlocal-64": lambda seed: run_torch(seed, "postlocal", 64),
    "postlocal-16-malloc": lambda seed: run_torch(seed, "postlocal", 16, SAME_MALLOC),
    "postlocal-64-malloc": lambda seed: run_torch(seed, "postlocal", 64, SAME_MALLOC),
}
POST_LOCAL = ["postlocal-16", "postlocal-64"]
AT_20_MBIT = ["longstride", *POST_LOCAL]


def measure(rate, names, seeds):
    runs = {n: [] for n in names}
    for seed in seeds:
        for name in names:
            netns("up", PREFIX, WORKERS, rate)
            try:
                result = CONTENDERS[name](seed)
                result["megabytes_per_worker"] = megabytes_per_worker()
            finally:
                netns("down", PREFIX)
            runs[name].append(result)
            print(f"{rate:4d} Mbit/s seed {seed} {name:20s} {result['seconds']:7.1f} s "
                  f"{result['megabytes_per_worker']:8.1f} MB {result['rounds']:5d} rounds "
                  f"{result['epochs']:5.2f} epochs {100 * result['accuracy']:.2f} %"
                  f"{'' if result['reached'] else ' (target NOT reached)'}", flush=True)
    return {n: {k: statistics.median(r[k] for r in rs) for k in rs[0] if k != "reached"}
            | {"reached": sum(r["reached"] for r in rs), "runs": len(rs)} for n, rs in runs.items()}


def fair(figures, name):
    """A contender's medians, unless one of its runs did not reach the target."""
    f = figures.get(name)
    return f if f and f.get("runs") and f["reached"] == f["runs"] else None


def time_ratio(figures, others):
    """longstride's time over that of the fastest of the others, of those that reached the target."""
    ours, theirs = fair(figures, "longstride"), [f for f in (fair(figures, n) for n in others) if f]
    return ours["seconds"] / min(f["seconds"] for f in theirs) if ours and theirs else None


def goals_of(result):
    slow = result.get("at_20_mbit", {})
    ours = fair(result, "longstride")
    return [
        goal("MB per worker at 100 Mbit/s", ours and ours["megabytes_per_worker"], "<=", 45),
        goal("time / DDP's", time_ratio(result, ["ddp"]), "<=", 1 / 6),
        goal("time / best PostLocalSGD's", time_ratio(result, POST_LOCAL), "<=", 0.8),
        goal("time / best PostLocalSGD's with the same malloc",
             time_ratio(result, [f"{n}-malloc" for n in POST_LOCAL]), "<=", 0.9),
        goal("time / best PostLocalSGD's at 20 Mbit/s", time_ratio(slow, POST_LOCAL), "<=", 0.7)]


def table(title, figures):
    print(f"\n{title}\n{'contender':22s}{'seconds':>9s}{'MB/worker':>11s}{'rounds':>8s}{'epochs':>8s}"
          f"{'accuracy':>10s}{'reached':>9s}{'set-up s':>10s}{'time of longstride / it':>25s}")
    for name, f in figures.items():
        ratio = time_ratio(figures, [name])
        print(f"{name:22s}{f['seconds']:9.1f}{f['megabytes_per_worker']:11.1f}{f['rounds']:8.0f}"
              f"{f['epochs']:8.2f}{100 * f['accuracy']:9.2f}%{f['reached']:7d}/{f['runs']}{f['setup_seconds']:10.1f}"
              f"{'-' if ratio is None else f'{ratio:.3f}':>25s}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="contenders, default all")
    parser.add_argument("--rates", nargs="*", type=int, default=[100, 20])
    a = parser.parse_args()
    seeds = range(1, a.seeds + 1)
    path = ROOT / "build/bench/peers.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    # One rate measured again leaves the other's figures where they are.
    result = json.loads(path.read_text()) if path.exists() and len(a.rates) == 1 else {}
    for rate in a.rates:
        names = list(CONTENDERS) if rate == 100 else AT_20_MBIT
        if a.only:
            names = [n for n in names if n in a.only]
        figures = measure(rate, names, seeds)
        if rate == 100:
            result.update(figures)
        else:
            result[f"at_{rate}_mbit"] = figures
        if "longstride" in figures:
            table(f"{rate} Mbit/s, medians of {a.seeds} seeds, to 90.0 % test accuracy", figures)
        path.write_text(json.dumps(result, indent=2) + "\n")
    result |= judged(goals_of(result))
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"\nwritten: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
