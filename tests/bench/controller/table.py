#!/usr/bin/env python3
"""table.py FILE: the figures of `make bench-controller` beside what is wanted of them."""
import json
import pathlib
import sys

PEERS = ["indexed_job", "jobset", "trainer"]


def rows(figures):
    yield "created to applied, p50", figures["queue_to_applied_p50_seconds"], "s", None
    yield "created to applied, p99", figures["queue_to_applied_p99_seconds"], "s", 0.1
    yield "memory", figures["rss_megabytes"], "MB", 150
    yield "CPU per job", figures["cpu_ms_per_job"], "ms", None
    yield "API requests per job", figures["api_requests_per_job"], "", None
    if running := figures.get("running"):
        of = f"{running['jobs']} jobs, {running['reports_per_second']:.0f} reports/s: "
        yield of + "API writes", running["api_writes_per_second"], "/s", None
        yield of + "CPU", running["cpu_cores"], "cores", None
        yield of + "memory", running["rss_megabytes"], "MB", None
        yield of + "answer, p99", running["report_p99_seconds"], "s", None
    if submit := figures.get("submit"):
        for peer in PEERS:
            yield f"submit to {submit['pods']} Running, {peer}", submit[f"{peer}_seconds"], "s", None
        yield (f"submit to {submit['pods']} Running, longstride", submit["longstride_seconds"], "s",
               min(submit[f"{peer}_seconds"] for peer in PEERS))
    if fake := figures.get("fake_nodes"):
        of, wanted = f"{fake['jobs']} jobs, until all pods exist, ", fake["jobset"]["all_pods_exist_seconds"]
        yield of + "jobset", wanted, "s", None
        yield of + "longstride", fake["longstride"]["all_pods_exist_seconds"], "s", wanted


def main():
    figures = json.loads(pathlib.Path(sys.argv[1]).read_text())
    for what, value, unit, most in rows(figures):
        verdict = "" if most is None else f"at most {most:.3g}: {'met' if value <= most else 'MISSED'}"
        print(f"{what:52} {value:10.3f} {unit:6} {verdict}".rstrip())


if __name__ == "__main__":
    main()
