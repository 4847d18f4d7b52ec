#!/usr/bin/env python3
"""kill -9 of a whole run at seeded moments, `--resume`, and a replay to compare with: `make bench-resume`.

Each seed: start a run with checkpoints every few rounds; at a seeded round and fraction of a round end the
command line and all workers with SIGKILL; resume to the end; then run the same plan history undisturbed
(`--replay`). Demanded: final parameters equal bit for bit, committed rounds cover every position up to the cursor
once. The workers of every second seed run under unlike ATEN_CPU_CAPABILITY, whose digests must agree too.

Only a run that the signal ended, with rounds still to come, counts. One that ended by itself before its moment is
thrown away, and the seed draws an earlier moment of another run.

Writes build/bench/resume.json: killed (runs that count), equal (of all), of (seeds), goals, runs[].{seed, killed,
killed_after_round, moments_missed, rounds, cursor, equal}. Ends with 1 if parameters differ.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import time

from goals import goal, judged
from runs import LONGSTRIDE, ROOT, check_ledger, children_of, command, committed_rounds, send

UNLIKE_CPUS = ROOT / "tests/bench/unlike_cpus.sh"
SETTINGS = ["checkpoint.everyRounds=4", "training.localSteps.steps=4", "training.maxSamples=60000"]
DEADLINE_SECONDS = 120
FIRST_ROUND, LAST_ROUND = 1, 40  # after one of these the kill comes
WANTED_RUNS = 20


def words_of(out, seed, *more):
    return command("synthetic-smoke.yaml", out, 3, [f"seed={seed}", *SETTINGS], *more)


def check_rounds(rounds):
    for number, record in enumerate(rounds, 1):
        assert record["round"] == number, f"round {record['round']} stands at place {number}"
    assert check_ledger(rounds) == (0, 0), "samples were lost or repeated"
    return rounds[-1]["cursorEnd"]


def final_model(directory):
    checkpoints = sorted((directory / "checkpoints").glob("round-*[0-9]"))
    return checkpoints[-1].name, (checkpoints[-1] / "model.safetensors").read_bytes()


def kill_at(out, words, at_round, fraction):
    """Starts a run and kills all of it so far into the round after `at_round`; whether it had not ended before."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begin = time.monotonic()
    while process.poll() is None and time.monotonic() - begin < DEADLINE_SECONDS:
        rounds = committed_rounds(out)
        if len(rounds) >= at_round:
            time.sleep(fraction * max(w["wallSeconds"] for w in rounds[-1]["workers"]))
            break
        time.sleep(0.002)
    for pid in children_of(process.pid) + [process.pid]:
        send(pid, signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def killed_run(out, words, rng, seed):
    """A run that was killed: after how many rounds, and how many runs ended before their moment came."""
    last, missed = LAST_ROUND, 0
    while True:
        if kill_at(out, words, rng.randint(FIRST_ROUND, last), rng.random()):
            return len(committed_rounds(out)), missed
        rounds = len(committed_rounds(out))
        if rounds <= FIRST_ROUND:
            sys.exit(f"seed {seed}: the run ended by itself after {rounds} rounds, before it could be killed")
        shutil.rmtree(out)
        last, missed = min(last, rounds) - 1, missed + 1


def one(seed, base):
    rng = random.Random(seed)
    out, replay = base / f"run-{seed}", base / f"replay-{seed}"
    prefix = ["--launch-prefix", f"{UNLIKE_CPUS} {{index}}"] if seed % 2 else []
    seen, missed = killed_run(out, words_of(out, seed, *prefix), rng, seed)
    resumed = subprocess.run([str(LONGSTRIDE), "run", "--resume", str(out), *prefix], text=True,
                             capture_output=True, timeout=DEADLINE_SECONDS)
    if resumed.returncode != 0:
        sys.exit(f"seed {seed}: resume ended with {resumed.returncode}\n{resumed.stdout}\n{resumed.stderr}")
    rounds = committed_rounds(out)
    cursor = check_rounds(rounds)
    again = subprocess.run(words_of(replay, seed, "--replay", out, *prefix), text=True,
                           capture_output=True, timeout=DEADLINE_SECONDS)
    if again.returncode != 0:
        sys.exit(f"seed {seed}: replay ended with {again.returncode}\n{again.stdout}\n{again.stderr}")
    check_rounds(committed_rounds(replay))
    name, model = final_model(out)
    replay_name, replay_model = final_model(replay)
    equal = name == replay_name and model == replay_model
    print(f"seed {seed:2d}: killed after round {seen:3d}{f' ({missed} moments missed)' if missed else ''}, "
          f"ended at round {len(rounds)}, {cursor} samples, parameters {'equal' if equal else 'DIFFER'}", flush=True)
    return {"seed": seed, "killed": seen < len(rounds), "killed_after_round": seen, "moments_missed": missed,
            "rounds": len(rounds), "cursor": cursor, "equal": equal}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seeds", type=int, default=WANTED_RUNS)
    a = p.parse_args()
    base = ROOT / "build/bench/resume"
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True)
    runs = [one(seed, base) for seed in range(1, a.seeds + 1)]
    equal, killed = sum(r["equal"] for r in runs), sum(r["killed"] for r in runs)
    verdicts = judged([goal("runs killed on their way, and resumed", killed, ">=", WANTED_RUNS),
                       goal("runs that end unlike their undisturbed replay", len(runs) - equal, "==", 0)])
    path = ROOT / "build/bench/resume.json"
    path.write_text(json.dumps({"killed": killed, "equal": equal, "of": len(runs), **verdicts, "runs": runs},
                               indent=2) + "\n")
    print(f"\n{equal} of {len(runs)} runs equal bit for bit; written: {path.relative_to(ROOT)}")
    sys.exit(0 if equal == len(runs) else 1)


if __name__ == "__main__":
    main()
