#!/usr/bin/env python3
"""kill -9 of a whole run at seeded moments, `--resume`, and a replay to compare with: `make bench-resume`.

Each seed: start a run with checkpoints every few rounds; at a seeded round and fraction of a round end the
command line and all workers with SIGKILL; resume to the end; then run the same plan history undisturbed
(`--replay`). Demanded: final parameters equal bit for bit, committed rounds cover every position up to the cursor
once. The workers of every second seed run under unlike ATEN_CPU_CAPABILITY, whose digests must agree too.

Writes build/bench/resume.json.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LONGSTRIDE = ROOT / "build/release/bin/longstride"
MANIFEST = ROOT / "manifests/synthetic-smoke.yaml"
UNLIKE_CPUS = ROOT / "tests/bench/unlike_cpus.sh"
SETTINGS = ["checkpoint.everyRounds=4", "training.localSteps.steps=4", "training.maxSamples=60000"]
DEADLINE_SECONDS = 120


def children_of(pid):
    out = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
            if int(fields[1]) == pid:
                out.append(int(stat.parent.name))
        except (OSError, IndexError):
            pass
    return out


def command(out, *more, settings=SETTINGS, workers=3):
    words = [LONGSTRIDE, "run", MANIFEST, "--workers", workers, "--threads", 1, "--out", out, *more]
    for s in settings:
        words += ["--set", s]
    return [str(w) for w in words]


def committed_rounds(path):
    """The records that hold: those that a later void line does not take back."""
    rounds = []
    if not path.exists():
        return rounds
    for line in path.read_text().splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue  # torn by the kill
        if "voidAfterRound" in record:
            rounds = [r for r in rounds if r["round"] <= record["voidAfterRound"]]
        elif "round" in record:
            rounds.append(record)
    return rounds


def check_ledger(rounds):
    cursor = 0
    for number, record in enumerate(rounds, 1):
        assert record["round"] == number, f"round {record['round']} stands at place {number}"
        assert record["cursorBegin"] == cursor, f"round {number} begins at {record['cursorBegin']}, not at {cursor}"
        assert record["samples"] == record["cursorEnd"] - cursor, f"round {number} lost samples"
        cursor = record["cursorEnd"]
    return cursor


def final_model(directory):
    checkpoints = sorted((directory / "checkpoints").glob("round-*[0-9]"))
    return checkpoints[-1].name, (checkpoints[-1] / "model.safetensors").read_bytes()


def one(seed, base):
    rng = random.Random(seed)
    out, replay = base / f"run-{seed}", base / f"replay-{seed}"
    prefix = ["--launch-prefix", f"{UNLIKE_CPUS} {{index}}"] if seed % 2 else []
    at_round, fraction = rng.randint(1, 40), rng.random()
    process = subprocess.Popen(command(out, *prefix, settings=SETTINGS + [f"seed={seed}"]),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begin = time.monotonic()
    while process.poll() is None and time.monotonic() - begin < DEADLINE_SECONDS:
        rounds = committed_rounds(out / "rounds.jsonl")
        if len(rounds) >= at_round:
            time.sleep(fraction * max(w["wallSeconds"] for w in rounds[-1]["workers"]))
            break
        time.sleep(0.002)
    finished = process.poll() is not None
    for pid in children_of(process.pid) + [process.pid]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait()
    seen = len(committed_rounds(out / "rounds.jsonl"))
    resumed = subprocess.run([str(LONGSTRIDE), "run", "--resume", str(out), *prefix], text=True,
                             capture_output=True, timeout=DEADLINE_SECONDS)
    if resumed.returncode != 0:
        sys.exit(f"seed {seed}: resume ended with {resumed.returncode}\n{resumed.stdout}\n{resumed.stderr}")
    rounds = committed_rounds(out / "rounds.jsonl")
    cursor = check_ledger(rounds)
    again = subprocess.run(command(replay, "--replay", out, *prefix, settings=SETTINGS + [f"seed={seed}"]), text=True,
                           capture_output=True, timeout=DEADLINE_SECONDS)
    if again.returncode != 0:
        sys.exit(f"seed {seed}: replay ended with {again.returncode}\n{again.stdout}\n{again.stderr}")
    check_ledger(committed_rounds(replay / "rounds.jsonl"))
    name, model = final_model(out)
    replay_name, replay_model = final_model(replay)
    equal = name == replay_name and model == replay_model
    print(f"seed {seed:2d}: killed after round {seen:3d}{' (had finished)' if finished else ''}, ended at round "
          f"{len(rounds)}, {cursor} samples, parameters {'equal' if equal else 'DIFFER'}", flush=True)
    return {"seed": seed, "killed_after_round": seen, "rounds": len(rounds), "cursor": cursor, "equal": equal}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seeds", type=int, default=20)
    a = p.parse_args()
    base = ROOT / "build/bench/resume"
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True)
    runs = [one(seed, base) for seed in range(1, a.seeds + 1)]
    equal = sum(r["equal"] for r in runs)
    path = ROOT / "build/bench/resume.json"
    path.write_text(json.dumps({"equal": equal, "of": len(runs), "runs": runs}, indent=2) + "\n")
    print(f"{equal} of {len(runs)} equal bit for bit; written: {path.relative_to(ROOT)}")
    sys.exit(0 if equal == len(runs) else 1)


if __name__ == "__main__":
    main()
