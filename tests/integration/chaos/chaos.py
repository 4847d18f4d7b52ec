#!/usr/bin/env python3
"""A real run under a seeded schedule of faults, one after the other, in network namespaces of its own.

- kill: kill -9 of a worker
- stop: SIGSTOP, then SIGCONT
- partition: all that a worker sends and gets is dropped
- coordinator, coordinator-out, coordinator-in: what it exchanges with, sends to or gets from the coordinator
- peer, peer-out: what it exchanges with or sends to one other worker
- link: its link goes down, and up again
- rate: its link falls to 2 Mbit/s
- disk: the checkpoints' file system, a small tmpfs, is full

A fault lasts a seeded 0.3 to 6 seconds; short ones may pass unnoticed, as they should. After each the run must come
back to all its workers and commit rounds. In the end it is stopped, and must have booked every sample exactly once.

With --accuracy the run goes to its end instead, with the faults spread over its rounds, and beside it the same job
undisturbed; wanted: final accuracies within 0.3 points. Exits with 77 where namespaces cannot be made.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
from runs import (ROOT, Run, RunFailed, check_ledger, command, committed_rounds, end, in_namespaces,  # noqa: E402
                  netns, send)

PREFIX = f"lx{os.getpid():x}"  # so that runs beside each other leave each other alone; 8 characters at most
BASE = ROOT / "build/chaos"
SHORTEST, LONGEST = 0.3, 6.0
START_SECONDS, RECOVER_SECONDS, RUN_SECONDS, STOP_SECONDS = 120, 90, 3600, 60
ROUNDS_AFTER = 2
DISK_BYTES = 64 << 20
JOBS = {
    # Takes seconds to start and has rounds of some tens of milliseconds.
    "small": ("synthetic-smoke.yaml", ["training.localSteps.steps=64", "training.maxEpochs=1000000",
                                       "training.batch.policy=fixed", "training.batch.normTest=null",
                                       "checkpoint.everyRounds=20"]),
    "cnn": ("fashion-mnist.yaml", ["training.batch.policy=fixed", "training.batch.normTest=null",
                                   "training.batch.initial=256", "training.localSteps.steps=16",
                                   "evaluation.everySamples=1000000000", "evaluation.target=null",
                                   "checkpoint.everyRounds=10"]),
}
MOST_ACCURACY_DIFFERENCE = 0.3


def drops(victim, other, inwards, outwards):
    """iptables rules of the victim's namespace."""
    rules = []
    if inwards:
        rules.append(["INPUT", *(["-s", netns("address", PREFIX, other)] if other is not None else ["-i", "eth0"])])
    if outwards:
        rules.append(["OUTPUT", *(["-d", netns("address", PREFIX, other)] if other is not None else ["-o", "eth0"])])
    return [(victim, [*rule, "-j", "DROP"]) for rule in rules]


def inside(node, *words):
    netns("exec", PREFIX, node, "--", *words)


class Fault:
    def __init__(self, kind, victim, other, seconds):
        self.kind, self.victim, self.other, self.seconds = kind, victim, other, seconds
        self.pid, self.rules, self.filler = None, [], None

    def __str__(self):
        at = "checkpoints" if self.kind == "disk" else f"worker {self.victim}"
        towards = f" and worker {self.other}" if self.kind.startswith("peer") else ""
        lasting = "" if self.kind == "kill" else f" for {self.seconds:.1f} s"
        return f"{self.kind:16s} {at}{towards}{lasting}"

    def begin(self, run, disk):
        kind, v = self.kind, self.victim
        if kind in ("kill", "stop"):
            self.pid = run.worker(v)
            send(self.pid, signal.SIGKILL if kind == "kill" else signal.SIGSTOP)
        elif kind == "link":
            inside(v, "ip", "link", "set", "eth0", "down")
        elif kind == "rate":
            inside(v, "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "2mbit", "burst", "32kb", "latency",
                   "100ms")
        elif kind == "disk":
            self.filler = disk / "filler"
            with open(self.filler, "wb", buffering=0) as f, contextlib.suppress(OSError):
                while True:
                    f.write(bytes(1 << 16))
        else:
            other = None if kind == "partition" else "gw" if kind.startswith("coordinator") else self.other
            self.rules = drops(v, other, not kind.endswith("-out"), not kind.endswith("-in"))
            for node, rule in self.rules:
                inside(node, "iptables", "-A", *rule)

    def finish(self):
        if self.kind == "stop":
            send(self.pid, signal.SIGCONT)
        elif self.kind == "link":
            inside(self.victim, "ip", "link", "set", "eth0", "up")
        elif self.kind == "rate":
            inside(self.victim, "tc", "qdisc", "del", "dev", "eth0", "root")
        elif self.kind == "disk":
            self.filler.unlink()
        for node, rule in self.rules:
            inside(node, "iptables", "-D", *rule)


KINDS = ["kill", "stop", "partition", "coordinator", "coordinator-out", "coordinator-in", "peer", "peer-out", "link",
         "rate", "disk"]


def schedule(seed, count, workers, kinds):
    """`count` faults, every kind as often as any other but for one, in seeded order."""
    rng = random.Random(seed)
    chosen = []
    while len(chosen) < count:
        chosen += rng.sample(kinds, len(kinds))
    faults = []
    for kind in chosen[:count]:
        victim, other = rng.sample(range(workers), 2)
        faults.append(Fault(kind, victim, other, rng.uniform(SHORTEST, LONGEST)))
    return faults


def whole(run, workers):
    """Rounds of the newest generation, if all workers are in it."""
    formed = run.formed(0)
    if not formed or len(formed[-1]["members"]) < workers:
        return 0
    return run.rounds_since(formed[-1]["generation"])


def disturb(run, disk, fault, workers):
    began = time.monotonic()
    formed = len(run.formed(0))
    fault.begin(run, disk)
    try:
        if fault.kind != "kill":
            run.wait_for(lambda: False, fault.seconds)
    finally:
        fault.finish()
    # A worker that is lost may still be taken for present: only what comes from now on counts, and after a kill only
    # another generation.
    rounds = len(run.committed())

    def recovered():
        return (whole(run, workers) >= ROUNDS_AFTER and len(run.committed()) >= rounds + ROUNDS_AFTER
                and (fault.kind != "kill" or len(run.formed(0)) >= formed + 1))

    if not run.wait_for(recovered, RECOVER_SECONDS):
        raise RunFailed(f"after {fault} the run did not come back within {RECOVER_SECONDS} s\n{run.log_tail()}")
    print(f"  {fault}: whole again after {time.monotonic() - began:.1f} s", flush=True)


def start(name, a, settings):
    out = BASE / name
    manifest, of_job = JOBS[a.job]
    # The run directory is made by longstride, but finds the checkpoints' file system there.
    disk = out / "checkpoints"
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)], check=True)
    words = command(manifest, out, a.workers, [f"seed={a.seed}", *of_job, "runPolicy.backoffLimit=1000", *settings,
                                               *a.set])
    return Run(in_namespaces(PREFIX, words), out), disk


def check(run):
    records = committed_rounds(run.out)
    wrong, holes = check_ledger(records)
    lost = [e for e in run.events.read() if e["event"] == "workerLost"]
    print(f"  {len(records)} rounds, {sum(r['samples'] for r in records)} samples, {len(lost)} workers lost, samples "
          f"lost or repeated: {wrong}, still to be read again: {holes}", flush=True)
    if wrong:
        raise RunFailed(f"{run.out}: {wrong} samples were lost or repeated")
    return records


def with_cluster(name, a, settings, body):
    netns("up", PREFIX, a.workers, 0, os.getpid())
    run, disk = None, BASE / name / "checkpoints"
    try:
        run, disk = start(name, a, settings)
        return body(run, disk)
    finally:
        if run:
            end(run.process, signal.SIGKILL)
        netns("down", PREFIX)
        subprocess.run(["umount", "-l", str(disk)], check=False, capture_output=True)


def chaos(a):
    faults = schedule(a.seed, a.faults, a.workers, a.kinds)

    def body(run, disk):
        if not run.wait_for(lambda: whole(run, a.workers) >= ROUNDS_AFTER, START_SECONDS):
            raise RunFailed(f"no rounds within {START_SECONDS} s")
        for fault in faults:
            disturb(run, disk, fault, a.workers)
        code = end(run.process, signal.SIGTERM)
        if code not in (0, 7):
            raise RunFailed(f"stopped, longstride ended with {code}\n{run.log_tail()}")
        check(run)

    with_cluster(f"seed-{a.seed}", a, [], body)


def accuracy(a):
    rng = random.Random(a.seed)
    rounds = a.samples // (256 * 16)
    # The last third is for the last ones' recovery, which may take as long as many rounds.
    moments = sorted(rng.sample(range(2, max(a.faults + 3, rounds * 2 // 3)), a.faults))
    faults = schedule(a.seed, a.faults, a.workers, a.kinds)

    def body(disturbed):
        def run_it(run, disk):
            for at, fault in zip(moments, faults) if disturbed else []:
                if not run.wait_for(lambda at=at: len(run.committed()) >= at, START_SECONDS):
                    raise RunFailed(f"round {at} was not reached\n{run.log_tail()}")
                disturb(run, disk, fault, a.workers)
            if run.process.wait(timeout=RUN_SECONDS) != 0:
                raise RunFailed(f"longstride ended with {run.process.returncode}\n{run.log_tail()}")
            return 100 * check(run)[-1]["evaluationAccuracy"]
        return run_it

    # With a rate that falls to nothing the final accuracy does not depend on which steps were the last.
    settings = [f"training.maxSamples={a.samples}", "training.maxEpochs=null",
                "training.learningRate.schedule=cosine"]
    results = {}
    for name in ("undisturbed", "disturbed"):
        results[name] = with_cluster(f"{name}-{a.seed}", a, settings, body(name == "disturbed"))
    difference = results["disturbed"] - results["undisturbed"]
    print(f"seed {a.seed}: {results['disturbed']:.2f} % after {a.faults} faults, {results['undisturbed']:.2f} % "
          f"undisturbed, difference {difference:+.2f} points, wanted: within {MOST_ACCURACY_DIFFERENCE}: "
          f"{'met' if abs(difference) <= MOST_ACCURACY_DIFFERENCE else 'NOT met'}", flush=True)
    (BASE / f"accuracy-{a.seed}.json").write_text(json.dumps({**results, "faults": a.faults}, indent=2) + "\n")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--seeds", type=int, default=1, help="this many, from --seed on")
    p.add_argument("--faults", type=int, default=11)
    p.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS)
    p.add_argument("--workers", type=int, default=4)
    p.add_argument("--job", choices=list(JOBS), default="small")
    p.add_argument("--accuracy", action="store_true", help="the CNN to its end, and beside it undisturbed")
    p.add_argument("--samples", type=int, default=600000, help="of --accuracy")
    p.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="more settings of the job")
    a = p.parse_args()
    if os.geteuid() != 0 or not shutil.which("iptables") or not shutil.which("ip"):
        print("needs root, iproute2 and iptables")
        sys.exit(77)
    if a.accuracy:
        a.job = "cnn"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that what we started ends with us
    failed = []
    for a.seed in range(a.seed, a.seed + a.seeds):
        for old in BASE.glob(f"*-{a.seed}*"):
            shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink()
        print(f"seed {a.seed}: {a.faults} faults, {a.workers} workers, {a.job}", flush=True)
        try:
            (accuracy if a.accuracy else chaos)(a)
        except RunFailed as why:
            failed.append(a.seed)
            print(f"seed {a.seed} FAILED: {why}", flush=True)
    print(f"{len(failed)} of {a.seeds} failed{f': {failed}' if failed else ''}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
