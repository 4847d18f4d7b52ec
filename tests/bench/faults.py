#!/usr/bin/env python3
"""What a fault of one worker costs the others: `make bench-faults`.

Four workers in network namespaces train the CNN of manifests/fashion-mnist.yaml in a fixed batch of 4 x 64, H = 16.
Each run takes one fault, of a seeded worker at a seeded fraction of a seeded round:

- kill: kill -9
- stop: SIGSTOP; continued once the survivors have gone on
- partition: iptables DROP of all that the worker sends and gets, to its peers and to the coordinator; lifted likewise

and goes on until the worker's replacement has joined (or has not come in time, which is printed), then is interrupted.

- pause: the longest time after the fault in which a survivor took no local step, of the survivor that waited longest,
  until the first round of the re-formed generation. It begins with the fault, or with the end of the survivor's local
  steps if the fault found it stepping: a survivor that still works on its round is not held up yet.
- resumed: from the fault to the first local step of the round after the one that was hit, steps on the way included.
- detected: from the fault to the event workerLost. joined: the survivors' pause when the replacement comes in, and
  usual: their pause at the end of a round in which nobody comes, the median before the fault. What the replacement
  costs them is the difference, as that round would have ended with a synchronization anyway.
- lost or repeated samples: every position up to the cursor must be in exactly one committed or discarded range of
  rounds.jsonl, or in the holes that the last round leaves open.
- recomputed samples: positions that were computed and did not count, to be read again; wanted: at most one round's
  share of the worker that was hit.

Times are those that workers report (firstStepTime, lastStepTime of rounds.jsonl) where they do, else derived from the
times of the records and the seconds in them, so that a pause comes out too long rather than too short.

Peers take the kill -9 only, with the same net, batch and H on loopback: torchft's LocalSGD with four replica groups,
and torchrun restarting a plain local SGD with a checkpoint each round. A pause is measured likewise, step by step, and
ends when three more rounds are done; a rank that torchrun restarted counts as the survivor that it was.

Kinds take turns within a seed. Writes build/bench/faults.json: {kill,stop,partition}.{pause_median_seconds,
pause_worst_seconds, resumed_median_seconds, detected_median_seconds, ...}, replacement.{pause_median_seconds,
pause_worst_seconds, cost_median_seconds, cost_worst_seconds}, samples_lost_or_repeated (sum), recomputed_samples (of
the worst run), own_samples (what that run allows), holes_left (positions that no round has read again at the end,
worst), peers.{torchft,torchrun}.{pause_median_seconds, pause_worst_seconds, recomputed_samples, rounds_not_committed},
failed, goals, met and runs. Ends with 1 if a sample was lost or repeated or a run failed.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time

from goals import goal, judged
from runs import (PYTHON, ROOT, Run, RunFailed, check_ledger, command, committed_rounds, end, in_namespaces,
                  length, netns, number_of, send)

PEER = ROOT / "tests/bench/peer_faults.py"
BASE = ROOT / "build/bench/faults"
PREFIX = "lsf"
WORKERS, BATCH, LOCAL_STEPS = 4, 64, 16
SETTINGS = ["training.maxEpochs=1000", "training.batch.policy=fixed", "training.batch.normTest=null",
            f"training.batch.initial={WORKERS * BATCH}", f"training.localSteps.steps={LOCAL_STEPS}",
            "evaluation.everySamples=1000000000", "evaluation.target=null", "checkpoint.everyRounds=0"]
KINDS = ["kill", "stop", "partition"]
PEERS = ["torchft", "torchrun"]
FIRST_ROUND, LAST_ROUND = 3, 10  # in one of these the fault strikes
START_SECONDS, REFORM_SECONDS, REPLACE_SECONDS = 120, 30, 30
PEER_SECONDS = 120
ROUNDS_AFTER = 3
PARTITION = "*filter\n-A INPUT -i eth0 -j DROP\n-A OUTPUT -o eth0 -j DROP\nCOMMIT\n"


# longstride --------------------------------------------------------------------------------------------------------


def strike(kind, victim, pid):
    """The time just before the fault."""
    now = time.time()
    if kind == "partition":
        netns("exec", PREFIX, victim, "--", "iptables-restore", "--noflush", text=PARTITION)
    else:
        os.kill(pid, signal.SIGKILL if kind == "kill" else signal.SIGSTOP)
    return now


def relieve(kind, victim, pid):
    if kind == "partition":
        netns("exec", PREFIX, victim, "--", "iptables", "-F")
    elif kind == "stop":
        send(pid, signal.SIGCONT)


def has(member_list, index):
    return any(m["index"] == index for m in member_list)


def fault(kind, seed, a):
    """One run with one fault: its directory, worker and time of the fault."""
    rng = random.Random(f"{kind}-{seed}")
    victim, at_round, fraction = rng.randrange(WORKERS), rng.randint(FIRST_ROUND, LAST_ROUND), rng.random()
    netns("up", PREFIX, WORKERS, 0)
    out = BASE / f"{kind}-{seed}"
    run = Run(in_namespaces(PREFIX, command("fashion-mnist.yaml", out, WORKERS,
                                            [f"seed={seed}", *SETTINGS, *a.set])), out)
    pid = None
    try:
        if not run.wait_for(lambda: len(run.committed()) >= at_round, START_SECONDS):
            raise RunFailed(f"no {at_round} rounds within {START_SECONDS} s")
        pid = run.worker(victim)
        time.sleep(fraction * max(w["wallSeconds"] for w in run.committed()[-1]["workers"]))
        struck = strike(kind, victim, pid)
        if not run.wait_for(lambda: run.formed(struck)
                            and run.rounds_since(run.formed(struck)[0]["generation"]) >= ROUNDS_AFTER, REFORM_SECONDS):
            raise RunFailed(f"the survivors did not go on within {REFORM_SECONDS} s")
        relieve(kind, victim, pid)

        def replaced():
            later = [e for e in run.formed(struck)[1:] if has(e["members"], victim)]
            return later and run.rounds_since(later[0]["generation"]) >= ROUNDS_AFTER

        run.wait_for(replaced, REPLACE_SECONDS)
        code = end(run.process, signal.SIGTERM)
        if code not in (0, 7):
            raise RunFailed(f"interrupted, longstride ended with {code}\n{run.log_tail()}")
        return run, victim, at_round, struck
    finally:
        if kind == "stop" and pid:
            send(pid, signal.SIGCONT)
        end(run.process, signal.SIGKILL)
        netns("down", PREFIX)


def first_step(records, place, worker):
    """When a worker's local steps of a round began, Unix seconds."""
    return worker.get("firstStepTime") or records[place]["time"] - worker["wallSeconds"]


def last_step(records, place, worker):
    """When they ended. The wall time of a round that had to be synchronized again has a hole of unknown length, so
    without the worker's word its steps are taken to have begun when the round before was done, if that is earlier."""
    if worker.get("lastStepTime"):
        return worker["lastStepTime"]
    begin = min(first_step(records, place, worker), records[place - 1]["time"] if place > 0 else float("inf"))
    return begin + worker["seconds"]["data"] + worker["seconds"]["compute"]


def gaps(records, place, names, since=0):
    """How long each of the named workers took no step between the round at `place` and the next, after `since`."""
    def named(at, when):
        return {w["incarnation"]: when(records, at, w) for w in records[at]["workers"] if w["incarnation"] in names}

    before, after = named(place, last_step), named(place + 1, first_step)
    return [after[n] - max(since, before[n]) for n in before.keys() & after.keys() if after[n] > since]


def analyse(run, victim, struck):
    records = committed_rounds(run.out)
    all_records = [r for r in run.rounds.read() if "round" in r]
    events = run.events.read()
    formed = [e for e in events if e["event"] == "generationFormed"]
    before = [e for e in formed if e["time"] <= struck][-1]
    after = [e for e in formed if e["time"] > struck]
    survivors = {m["incarnation"] for m in before["members"] if m["index"] != victim}

    def place_of(generation):
        return next(i for i, r in enumerate(records) if number_of(r["generation"]) >= number_of(generation))

    hit = place_of(after[0]["generation"])  # the round that was hit, retried, or the first after it
    pauses = [gap for i in range(hit + 1) for gap in gaps(records, i, survivors, struck)]
    next_round = [first_step(records, hit + 1, w) - struck for w in records[hit + 1]["workers"]
                  if w["incarnation"] in survivors]
    calm = [i for i in range(1, hit) if records[i + 1]["time"] < struck]
    lost = [e["time"] - struck for e in events if e["event"] == "workerLost" and e["time"] > struck
            and e["worker"]["index"] == victim]
    result = {"pause": max(pauses), "resumed": max(next_round), "formed": after[0]["time"] - struck,
              "detected": lost[0] if lost else None,
              "usual": statistics.median(max(gaps(records, i, survivors)) for i in calm) if calm else None,
              "survivors_kept": all(survivors <= {m["incarnation"] for m in e["members"]} for e in after
                                    if e["time"] <= records[-1]["time"]),
              "joined": None, "replacement": None}
    joins = [e for e in after[1:] if has(e["members"], victim)]
    if joins:
        place = place_of(joins[0]["generation"])
        result["joined"] = max(gaps(records, place - 1, survivors))
        if result["usual"] is not None:
            result["replacement"] = result["joined"] - result["usual"]
    result["lost_or_repeated"], result["holes_left"] = check_ledger(records)
    void = sum(r["samples"] for r in all_records) - sum(r["samples"] for r in records)
    result["recomputed"] = void + sum(length(r["lost"]) for r in records)
    result["own"] = max(w["localSamples"] for r in records for w in r["workers"] if w["index"] == victim)
    done = {w["incarnation"]: w["localSamples"] for w in records[hit]["workers"]}
    if records[hit]["lost"] and survivors <= done.keys():  # the round's plan may have been a new one
        whole = records[hit]["globalBatch"] * records[hit]["localSteps"]
        result["own"] = max(result["own"], whole - sum(done[s] for s in survivors))
    return result


def one(kind, seed, a):
    run, victim, at_round, struck = fault(kind, seed, a)
    try:
        result = {"victim": victim, "round": at_round, **analyse(run, victim, struck)}
    except (KeyError, IndexError, StopIteration, ValueError) as error:
        raise RunFailed(f"{run.out} cannot be analysed: {error!r}") from error
    seconds = {k: "never" if result[k] is None else f"{result[k]:.3f} s"
               for k in ("pause", "resumed", "detected", "joined", "usual", "replacement")}
    print(f"seed {seed:2d} {kind:9s} of worker {victim} after round {at_round:2d}: pause {seconds['pause']}, resumed "
          f"{seconds['resumed']}, detected {seconds['detected']}, joined {seconds['joined']} (usual "
          f"{seconds['usual']}, so the replacement cost {seconds['replacement']}), recomputed {result['recomputed']} "
          f"of {result['own']}, lost or repeated {result['lost_or_repeated']}"
          f"{'' if result['survivors_kept'] else ', a SURVIVOR was lost'}", flush=True)
    return result


# Peers -------------------------------------------------------------------------------------------------------------


def read_steps(directory, rank):
    """Rows (begin, end, step, round) of a rank's local steps."""
    path = directory / f"steps-{rank}"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    rows = [line.split() for line in lines if line.endswith("\n")]
    return [(float(r[0]), float(r[1]), int(r[2]), int(r[3])) for r in rows]


def start_peer(name, directory, seed, a):
    env = dict(os.environ, OMP_NUM_THREADS="1", GLOO_SOCKET_IFNAME="lo", TORCH_CPP_LOG_LEVEL="ERROR", RUST_LOG="error")
    options = ["--seed", seed, "--batch", BATCH, "--local-steps", LOCAL_STEPS, "--timeout", a.peer_timeout]
    if name == "torchft":
        commands = [[PYTHON, PEER, "lighthouse", directory, *options]]
        commands += [[PYTHON, PEER, "torchft", directory, rank, *options] for rank in range(WORKERS)]
    else:
        # Connecting all to all at once fails for good where a rank is late, as restarted ones are.
        env["TORCH_GLOO_LAZY_INIT"] = "1"
        commands = [[PYTHON, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1",
                     "--nproc-per-node", WORKERS, "--max-restarts", 3, PEER, "torchrun", directory, *options]]
    with open(directory / "log", "w") as log:
        return [subprocess.Popen([str(w) for w in words], env=env, stdout=log, stderr=subprocess.STDOUT)
                for words in commands]


def wait_for_rounds(directory, ranks, rounds, processes, seconds, since=0.0):
    """Waits until each rank has taken a step after `since` with so many rounds done."""
    deadline = time.monotonic() + seconds
    while not all(any(r[0] > since and r[3] >= rounds for r in read_steps(directory, rank)[-1:]) for rank in ranks):
        if time.monotonic() > deadline or processes[0].poll() is not None:
            log = (directory / "log").read_text()[-3000:]
            raise RunFailed(f"round {rounds} was not done within {seconds} s\n{log}")
        time.sleep(0.2)


def peer(name, seed, a):
    rng = random.Random(f"{name}-{seed}")
    victim, at_round, fraction = rng.randrange(WORKERS), rng.randint(FIRST_ROUND, LAST_ROUND), rng.random()
    directory = BASE / f"{name}-{seed}"
    directory.mkdir()
    survivors = [rank for rank in range(WORKERS) if rank != victim]
    processes = start_peer(name, directory, seed, a)
    try:
        wait_for_rounds(directory, range(WORKERS), at_round, processes, PEER_SECONDS)
        rows = read_steps(directory, victim)
        time.sleep(fraction * LOCAL_STEPS * statistics.median(r[1] - r[0] for r in rows))
        pid, struck = int((directory / f"pid-{victim}").read_text()), time.time()
        os.kill(pid, signal.SIGKILL)
        done = max(r[3] for rank in range(WORKERS) for r in read_steps(directory, rank))
        wait_for_rounds(directory, survivors, done + ROUNDS_AFTER, processes, PEER_SECONDS, struck)
    finally:
        for process in processes:
            end(process, signal.SIGTERM if name == "torchrun" else signal.SIGKILL)
    pause, recomputed, not_committed = 0.0, 0, 0
    for rank in range(WORKERS):
        rows = read_steps(directory, rank)
        if rank != victim:
            pause = max([pause] + [y[0] - max(struck, x[1]) for x, y in zip(rows, rows[1:]) if y[0] > struck])
            if name == "torchft":
                not_committed = max(not_committed, rows[-1][2] // LOCAL_STEPS - rows[-1][3])
        recomputed += sum(BATCH * (x[2] - y[2] + 1) for x, y in zip(rows, rows[1:]) if y[2] <= x[2])
    result = {"victim": victim, "round": at_round, "pause": pause, "recomputed": recomputed,
              "not_committed": not_committed}
    print(f"seed {seed:2d} {name:9s} of rank   {victim} after round {at_round:2d}: pause {pause:.3f} s, recomputed "
          f"{recomputed}, rounds not committed {not_committed}", flush=True)
    return result


# Figures -----------------------------------------------------------------------------------------------------------


def median(values):
    known = [v for v in values if v is not None]
    return statistics.median(known) if known else None


def worst(values):
    return max((v for v in values if v is not None), default=None)


def figures_of(runs):
    figures = {}
    for kind in KINDS:
        if runs[kind]:
            of = {k: [r[k] for r in runs[kind]] for k in runs[kind][0]}
            figures[kind] = {"pause_median_seconds": median(of["pause"]), "pause_worst_seconds": worst(of["pause"]),
                             "resumed_median_seconds": median(of["resumed"]),
                             "resumed_worst_seconds": worst(of["resumed"]),
                             "detected_median_seconds": median(of["detected"]),
                             "usual_pause_median_seconds": median(of["usual"]),
                             "replaced": sum(j is not None for j in of["joined"]), "runs": len(of["pause"])}
    ours = [r for kind in KINDS for r in runs[kind]]
    if ours:
        most = max(ours, key=lambda r: r["recomputed"] - r["own"])
        figures["replacement"] = {"pause_median_seconds": median(r["joined"] for r in ours),
                                  "pause_worst_seconds": worst(r["joined"] for r in ours),
                                  "cost_median_seconds": median(r["replacement"] for r in ours),
                                  "cost_worst_seconds": worst(r["replacement"] for r in ours)}
        figures["samples_lost_or_repeated"] = sum(r["lost_or_repeated"] for r in ours)
        figures["recomputed_samples"], figures["own_samples"] = most["recomputed"], most["own"]
        figures["holes_left"] = worst(r["holes_left"] for r in ours)
        figures["survivors_lost"] = sum(not r["survivors_kept"] for r in ours)
    figures["peers"] = {name: {"pause_median_seconds": median(r["pause"] for r in runs[name]),
                               "pause_worst_seconds": worst(r["pause"] for r in runs[name]),
                               "recomputed_samples": worst(r["recomputed"] for r in runs[name]),
                               "rounds_not_committed": worst(r["not_committed"] for r in runs[name]),
                               "runs": len(runs[name])} for name in PEERS if runs[name]}
    return figures


def goals_of(figures, failed, a):
    limit = a.detection_limit + 1
    goals = []
    for kind in KINDS:
        of, (most_median, most_worst) = figures.get(kind, {}), (1.0, 3.0) if kind == "kill" else (limit, limit)
        goals += [goal(f"{kind}: median pause, s", of.get("pause_median_seconds"), "<=", most_median),
                  goal(f"{kind}: worst pause, s", of.get("pause_worst_seconds"), "<=", most_worst),
                  goal(f"{kind}: runs whose worker was replaced", of.get("replaced"), "==", of.get("runs", a.seeds))]
    return goals + [
        goal("replacement: worst cost, s", figures.get("replacement", {}).get("cost_worst_seconds"), "<=", 0.5),
        goal("samples lost or repeated", figures.get("samples_lost_or_repeated"), "==", 0),
        goal("recomputed samples, against the worker's own", figures.get("recomputed_samples"), "<=",
             figures.get("own_samples", 0)),
        goal("survivors lost", figures.get("survivors_lost"), "==", 0),
        goal("runs that failed", len(failed), "==", 0)]


def show(figures):
    print(f"\n{'fault':12s}{'runs':>6s}{'median pause':>15s}{'worst pause':>14s}{'resumed':>10s}{'detected':>10s}")
    rows = {k: figures[k] for k in KINDS if k in figures} | {f"{n} kill": f for n, f in figures["peers"].items()}
    for name, f in rows.items():
        more = "".join("" if f.get(k) is None else f"{f[k]:9.3f}s"
                       for k in ("resumed_median_seconds", "detected_median_seconds"))
        print(f"{name:14s}{f['runs']:4d}{f['pause_median_seconds']:14.3f}s{f['pause_worst_seconds']:13.3f}s{more}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seeds", type=int, default=20, help="faults of each kind")
    p.add_argument("--peer-seeds", type=int, default=3, help="faults of each peer")
    p.add_argument("--only", nargs="*", choices=KINDS + PEERS,
                   help="kinds and peers, default all; the file keeps the others' figures")
    p.add_argument("--detection-limit", type=float, default=2.5, help="seconds until silence means death")
    p.add_argument("--peer-timeout", type=float, default=10, help="of the peers' collectives, seconds")
    p.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="more settings of the job")
    a = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that what we started ends with us
    shutil.rmtree(BASE, ignore_errors=True)
    BASE.mkdir(parents=True)
    path = ROOT / "build/bench/faults.json"
    runs, failed = {name: [] for name in KINDS + PEERS}, []
    if a.only and path.exists():
        known = json.loads(path.read_text())
        runs |= {name: known["runs"][name] for name in runs if name not in a.only}
        failed = [f for f in known["failed"] if f["name"] not in a.only]
    print(f"{WORKERS} workers, batch {WORKERS} x {BATCH}, H {LOCAL_STEPS}, seeds 1 to {a.seeds}, peers 1 to "
          f"{a.peer_seeds}", flush=True)
    for seed in range(1, a.seeds + 1):
        turn = KINDS[seed % 3:] + KINDS[:seed % 3]
        if seed <= a.peer_seeds:
            turn = turn + PEERS if seed % 2 else PEERS[::-1] + turn
        for name in turn:
            if a.only and name not in a.only:
                continue
            try:
                runs[name].append((one if name in KINDS else peer)(name, seed, a))
            except RunFailed as why:
                failed.append({"name": name, "seed": seed, "why": str(why)})
                print(f"seed {seed:2d} {name:9s} FAILED: {why}", flush=True)

    figures = figures_of(runs)
    show(figures)
    verdicts = judged(goals_of(figures, failed, a))
    path.write_text(json.dumps({**figures, **verdicts, "detection_limit_seconds": a.detection_limit, "seeds": a.seeds,
                                "peer_seeds": a.peer_seeds, "settings": a.set, "failed": failed, "runs": runs},
                               indent=2) + "\n")
    print(f"{len(failed)} runs failed; written: {path.relative_to(ROOT)}")
    sys.exit(1 if failed or figures.get("samples_lost_or_repeated") else 0)


if __name__ == "__main__":
    main()
