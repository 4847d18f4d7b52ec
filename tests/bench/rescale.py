#!/usr/bin/env python3
"""The number of workers changes while they train: 2 -> 4 -> 3, `make bench-rescale`.

Four CPU quotas of 40 % (cgroups, period 10 ms), one for each worker, so that a worker more is a machine more.
`longstride run` of the CNN of manifests/fashion-mnist.yaml starts with two workers; `longstride scale` makes them four
and then three; some rounds are watched in each phase. Asked are:

- survivors restarted: workers 0 and 1 must be the same processes throughout.
- rounds lost: rounds that were committed and taken back, or positions missing or counted twice in the ledger.
- pause: from the last round's end before a change to the first local step after it, over the members of both.
- throughput: samples per second of each phase, first round left out, against that of two workers; the global batch is
  fixed, so twice the workers take half the local steps' time.

Wanted: none restarted, at most one round lost in each change, no sample lost or repeated, and a throughput that
follows: three workers do more than two, and four more than three.

Writes build/bench/rescale.json: throughput.{2,4,3}, speedup.{4,3} (over two workers), pause_seconds.{4,3},
survivors_restarted, rounds_lost, samples_lost_or_repeated, goals, met. Ends with 1 if a sample was lost or repeated.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys

from goals import goal, judged
from runs import LONGSTRIDE, ROOT, Run, RunFailed, check_ledger, command, committed_rounds, end, number_of

BASE = ROOT / "build/bench/rescale"
CPU_QUOTA = ROOT / "tests/bench/cpu_quota.sh"
PREFIX, PERIOD_US, PERCENT = "lsr", 10000, 40
PHASES = [2, 4, 3]
NEVER = 10**9
WAIT_SECONDS = 180


def worker_pids(run):
    """The processes of the run's workers, by place."""
    found = subprocess.run(["ps", "-eo", "pid=,args="], text=True, capture_output=True, check=True).stdout
    pids = {}
    for line in found.splitlines():
        pid, _, words = line.strip().partition(" ")
        words = words.split()
        if words and words[0].endswith("longstride-worker") and str(run.out) in " ".join(words):
            pids[words[words.index("--index") + 1]] = int(pid)
    return pids


def rounds_of(run, workers):
    """The rounds of the newest generation, if it has so many members."""
    rounds = run.committed()
    if not rounds:
        return []
    newest = number_of(rounds[-1]["generation"])
    mine = [r for r in rounds if number_of(r["generation"]) == newest]
    return mine if len(mine[0]["workers"]) == workers else []


def throughput(rounds):
    return sum(r["samples"] for r in rounds[1:]) / (rounds[-1]["time"] - rounds[0]["time"])


def pause(before, after):
    """From the last round's commit to the first local step of the next generation, of its slowest member."""
    return max(w["firstStepTime"] for w in after["workers"]) - before["time"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=12, help="to watch in each phase")
    p.add_argument("--batch", type=int, default=256)
    p.add_argument("--local-steps", type=int, default=16)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    shutil.rmtree(BASE, ignore_errors=True)
    BASE.mkdir(parents=True)
    subprocess.run([str(CPU_QUOTA), "up", PREFIX, str(PERIOD_US), *[str(PERCENT)] * max(PHASES)], check=True)
    out = BASE / "run"
    words = command("fashion-mnist.yaml", out, PHASES[0],
                    [f"seed={a.seed}", f"training.localSteps.steps={a.local_steps}", "training.batch.policy=fixed",
                     "training.batch.normTest=null", f"training.batch.initial={a.batch}",
                     f"training.maxEpochs={10**6}", f"evaluation.everySamples={NEVER}", "evaluation.target=null",
                     "checkpoint.everyRounds=0"],
                    "--launch-prefix", f"{CPU_QUOTA} exec {PREFIX} {{index}} --")
    run, phases, pauses, first = Run(words, out), {}, {}, None
    try:
        for i, workers in enumerate(PHASES):
            if i > 0:
                subprocess.run([str(LONGSTRIDE), "scale", str(out), str(workers)], check=True, timeout=60)
            if not run.wait_for(lambda n=workers: len(rounds_of(run, n)) >= a.rounds, WAIT_SECONDS):
                raise RunFailed(f"no {a.rounds} rounds with {workers} workers in {WAIT_SECONDS} s\n{run.log_tail()}")
            phases[workers] = rounds_of(run, workers)[:a.rounds]
            first = first or worker_pids(run)
        last = worker_pids(run)
        code = end(run.process, signal.SIGTERM)
        if code != 7:
            raise RunFailed(f"longstride ended with {code} instead of 7, interrupted\n{run.log_tail()}")
    except RunFailed as e:
        sys.exit(str(e))
    finally:
        end(run.process, signal.SIGKILL)

    records = committed_rounds(out)
    for before, after in zip(records, records[1:]):
        if number_of(before["generation"]) != number_of(after["generation"]):
            pauses[len(after["workers"])] = pause(before, after)
    wrong, _ = check_ledger(records)
    written = [r for r in run.rounds.read() if "round" in r]
    rates = {n: throughput(rounds) for n, rounds in phases.items()}
    result = {"throughput": rates, "speedup": {n: rates[n] / rates[2] for n in PHASES[1:]}, "pause_seconds": pauses,
              "survivors_restarted": sum(first[i] != last.get(i) for i in first),
              "rounds_lost": len(written) - len(records), "samples_lost_or_repeated": wrong}
    print("2 -> 4 -> 3 workers, live")
    for n in PHASES:
        print(f"  {n} workers  {rates[n]:8.0f} samples/s  {rates[n] / rates[2]:5.2f} x two"
              + (f"  pause {pauses[n]:.2f} s" if n in pauses else ""))
    print(f"  survivors restarted {result['survivors_restarted']}, rounds lost {result['rounds_lost']}, samples lost "
          f"or repeated {wrong}")
    result |= judged([goal("survivors restarted", result["survivors_restarted"], "==", 0),
                      goal("rounds lost", result["rounds_lost"], "<=", len(PHASES) - 1),
                      goal("samples lost or repeated", wrong, "==", 0),
                      goal("throughput of three workers / of two", rates[3] / rates[2], ">", 1),
                      goal("throughput of four workers / of three", rates[4] / rates[3], ">", 1)])
    path = ROOT / "build/bench/rescale.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"\nwritten: {path.relative_to(ROOT)}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
