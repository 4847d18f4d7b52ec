#!/usr/bin/env python3
"""All-reduce among four members: over 100 Mbit/s links against the ring bound, and on loopback against
c10d's Gloo called bare, in turns. Prints a table and writes build/bench/allreduce.json.

Wanted: 64 MiB over the links in at most 1.1 times the ring bound 2 (M - 1) / M bytes / bandwidth; on loopback no slower
than the bare call. A ratio near 1 is to be read beside how much the bare call differs from itself (`bare_spread`: half
of the interquartile range over the median).

    tests/bench/allreduce.py build/release        (needs root for the network namespaces)
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

from goals import goal, judged

ROOT = pathlib.Path(__file__).resolve().parents[2]
NETNS = str(ROOT / "scripts" / "netns.sh")
SIZE = 4
RATE_MBIT = 100
CASES = {"64MiB": 64 << 20, "1.6MB": 1_600_000, "8KiB": 8192}


def netns(*arguments):
    done = subprocess.run([NETNS, *map(str, arguments)], check=True, capture_output=True, text=True)
    return done.stdout.split()


def run_members(program, prefix, count, repeats, bare):
    """One process a member; the parsed line of rank 0, and all members' bytes by the kernel's counters."""
    with tempfile.TemporaryDirectory() as store:
        before = [netns("bytes", prefix, r) for r in range(SIZE)] if prefix else []
        members = []
        for rank in range(SIZE):
            address = netns("address", prefix, rank)[0] if prefix else "127.0.0.1"
            command = [NETNS, "exec", prefix, str(rank), "--"] if prefix else []
            command += [program, "--rank", rank, "--size", SIZE, "--address", address, "--store", store,
                        "--bytes", count, "--repeats", repeats] + (["--bare"] if bare else [])
            members.append(subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True))
        outputs = [m.communicate(timeout=300)[0] for m in members]
        if any(m.returncode for m in members):
            sys.exit(f"allreduce: a member failed: {[m.returncode for m in members]}")
        after = [netns("bytes", prefix, r) for r in range(SIZE)] if prefix else []
    wire = [int(a[0]) - int(b[0]) for a, b in zip(after, before)]
    return json.loads(outputs[0]), wire


def limited_links(program):
    prefix = f"ar{os.getpid() % 100000}"
    netns("up", prefix, SIZE, RATE_MBIT, os.getpid())
    try:
        for name, count in CASES.items():
            repeats = 3 if count > 10_000_000 else 9
            line, wire = run_members(program, prefix, count, repeats, bare=False)
            seconds = statistics.median(line["seconds"])
            bound = 2 * (SIZE - 1) / SIZE * count * 8 / (RATE_MBIT * 1e6)
            yield name, {
                "seconds": seconds, "ring_bound_seconds": bound, "ratio": seconds / bound,
                "payload_bytes_counted": line["payload_sent"], "bytes_by_kernel": wire,
                "kernel_over_counted": statistics.mean(wire) / line["payload_sent"]}
    finally:
        netns("down", prefix)


def loopback(program):
    for name, count in CASES.items():
        repeats = 15 if count > 10_000_000 else 101
        line, _ = run_members(program, None, count, repeats, bare=True)
        ours, bare = (statistics.median(line[k]) for k in ("seconds", "bare_seconds"))
        lower, _, upper = statistics.quantiles(line["bare_seconds"], n=4)
        yield name, {"seconds": ours, "bare_c10d_seconds": bare, "ratio": ours / bare,
                     "bare_spread": (upper - lower) / 2 / bare}


def main():
    build = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "release")
    program = build / "bin" / "allreduce_bench"
    figures = {"members": SIZE, "rate_mbit": RATE_MBIT, "limited": {}, "loopback": {}}
    print(f"{'all-reduce, 4 members':24} {'seconds':>10} {'against':>24} {'ratio':>7}  kernel/counted bytes")
    for name, case in limited_links(program):
        figures["limited"][name] = case
        print(f"{name + ' at 100 Mbit/s':24} {case['seconds']:10.4f} "
              f"{'ring bound %.4f' % case['ring_bound_seconds']:>24} {case['ratio']:7.3f}  "
              f"{case['kernel_over_counted']:.3f}", flush=True)
    for name, case in loopback(program):
        figures["loopback"][name] = case
        print(f"{name + ' on loopback':24} {case['seconds']:10.4f} "
              f"{'bare c10d %.4f' % case['bare_c10d_seconds']:>24} {case['ratio']:7.3f}  "
              f"bare call +- {100 * case['bare_spread']:.1f} %", flush=True)
    figures |= judged([goal("64 MiB at 100 Mbit/s: time / ring bound", figures["limited"]["64MiB"]["ratio"], "<=", 1.1)]
                      + [goal(f"{name} on loopback: time / bare c10d's", case["ratio"], "<=", 1.0)
                         for name, case in figures["loopback"].items()])
    out = ROOT / "build" / "bench" / "allreduce.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=2) + "\n")
    print(f"-> {out}")


if __name__ == "__main__":
    main()
