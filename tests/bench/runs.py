"""Starts `longstride run` and reads the directory that it leaves: shared by benchmarks and chaos tests."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LONGSTRIDE = Path(os.environ.get("LONGSTRIDE_PROGRAM", ROOT / "build/release/bin/longstride"))
MANIFESTS = ROOT / "manifests"
NETNS = ROOT / "scripts/netns.sh"
# Of scripts/install-deps.sh peers.
PYTHON = (Path(os.environ.get("LONGSTRIDE_CACHE", Path.home() / ".cache/longstride"))
          / "peers-torch-2.15.0/bin/python")
STOP_SECONDS = 60


class RunFailed(Exception):
    pass


# Commands -----------------------------------------------------------------------------------------------------------


def command(manifest, out, workers, settings, *more):
    """`longstride run` of a manifest of manifests/ with one thread a worker, and settings PATH=VALUE."""
    words = [LONGSTRIDE, "run", MANIFESTS / manifest, "--workers", workers, "--threads", 1, "--out", out, *more]
    for s in settings:
        words += ["--set", s]
    return [str(w) for w in words]


def netns(*words, text=None):
    done = subprocess.run([str(NETNS), *map(str, words)], text=True, capture_output=True, input=text, timeout=60)
    if done.returncode != 0:
        raise RunFailed(f"netns.sh {' '.join(map(str, words))} failed: {done.stderr.strip()}")
    return done.stdout.strip()


def in_namespaces(prefix, words):
    """`longstride run` with itself in the bridge's namespace and each worker in that of its index."""
    return ([str(NETNS), "exec", prefix, "gw", "--", *words, "--listen", netns("address", prefix, "gw"),
             "--launch-prefix", f"{NETNS} exec {prefix} {{index}} --"])


def run_to_end(words, seconds=7200):
    """Runs a command that must succeed; what it wrote."""
    done = subprocess.run([str(w) for w in words], text=True, capture_output=True, timeout=seconds)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}\nfailed with {done.returncode}:\n{done.stdout[-4000:]}\n"
                 f"{done.stderr[-4000:]}")
    return done.stdout


# Processes ----------------------------------------------------------------------------------------------------------


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


def family_of(pid):
    family = children_of(pid)
    return family + [grandchild for child in family for grandchild in family_of(child)]


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def end(process, first_signal):
    """Ends a process of ours and what it started; its exit code."""
    family = family_of(process.pid)
    if process.poll() is None:
        process.send_signal(first_signal)
        try:
            return process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for pid in family + family_of(process.pid) + [process.pid]:
                send(pid, signal.SIGKILL)
    return process.wait()


# Run directories ----------------------------------------------------------------------------------------------------


class Lines:
    """The JSON lines of a file that others append to, each once it is whole."""

    def __init__(self, path):
        self.path, self.offset, self.seen = path, 0, []

    def read(self):
        if self.path.exists():
            with open(self.path, "rb") as f:
                f.seek(self.offset)
                new = f.read()
            whole = new[:new.rfind(b"\n") + 1]
            self.offset += len(whole)
            self.seen += [json.loads(line) for line in whole.splitlines()]
        return self.seen


def number_of(generation):
    return generation["term"], generation["counter"]


def committed_rounds(out):
    """The records of a run directory that hold: those that a later void line does not take back."""
    rounds, path = [], out / "rounds.jsonl"
    if not path.exists():
        return rounds
    for line in path.read_text().splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue  # torn by a kill
        if "voidAfterRound" in record:
            rounds = [r for r in rounds if r["round"] <= record["voidAfterRound"]]
        elif "round" in record:
            rounds.append(record)
    return rounds


def seconds_of(records, without=()):
    """The sum over rounds of the slowest worker's time, less these activities."""
    return sum(max(w["wallSeconds"] - sum(w["seconds"][a] for a in without) for w in r["workers"]) for r in records)


def length(ranges):
    return sum(end - begin for begin, end in ranges)


def check_ledger(records):
    """Sample by sample: positions that are missing or counted twice, and those left for later."""
    if not records:
        return 0, 0
    cursor = records[-1]["cursorEnd"]
    times, wrong = bytearray(cursor), 0
    for record in records:
        if record["samples"] != length(record["committed"]):
            raise RunFailed(f"round {record['round']} says {record['samples']} samples, its committed ranges hold "
                            f"{length(record['committed'])}")
        for begin, end_ in record["committed"] + record["discarded"]:
            for position in range(begin, end_):
                if position >= cursor or times[position]:
                    wrong += 1
                else:
                    times[position] = 1
    for begin, end_ in records[-1]["holes"]:
        for position in range(begin, end_):
            wrong += times[position]
            times[position] = 1
    return wrong + times.count(0), length(records[-1]["holes"])


class Run:
    """A `longstride run` that goes on meanwhile."""

    def __init__(self, words, out):
        self.out, self.log = out, out.with_suffix(".log")
        self.rounds, self.events = Lines(out / "rounds.jsonl"), Lines(out / "events.jsonl")
        with open(self.log, "w") as f:
            self.process = subprocess.Popen([str(w) for w in words], stdout=f, stderr=subprocess.STDOUT)

    def log_tail(self):
        return self.log.read_text()[-3000:]

    def wait_for(self, condition, seconds):
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None:
                raise RunFailed(f"longstride ended with {self.process.returncode}\n{self.log_tail()}")
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def committed(self):
        return [r for r in self.rounds.read() if "round" in r]

    def formed(self, after):
        return [e for e in self.events.read() if e["event"] == "generationFormed" and e["time"] > after]

    def rounds_since(self, generation):
        return sum(number_of(r["generation"]) >= number_of(generation) for r in self.committed())

    def worker(self, index):
        for pid in children_of(self.process.pid):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            except OSError:
                continue
            if "--index" in words and words[words.index("--index") + 1] == str(index):
                return pid
        raise RunFailed(f"there is no worker {index}")
