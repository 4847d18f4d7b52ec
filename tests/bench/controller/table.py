#!/usr/bin/env python3
"""table.py FILE: the figures of `make bench-controller`, and what is wanted of them, which it adds to the file.

A delay under less load than was asked for meets nothing, however short: then it counts as not measured.
"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from goals import goal, judged  # noqa: E402

PEERS = ["indexed_job", "jobset", "trainer"]
JOBS, JOBS_PER_SECOND, REPORTS_A_JOB = 1000, 50, 4
NEARLY = 0.99  # of a rate: the last turn of the clock may be missing


def rows(figures):
    yield "jobs created a second", figures["jobs_per_second"], "/s"
    yield "created to applied, p50", figures["queue_to_applied_p50_seconds"], "s"
    yield "created to applied, p99", figures["queue_to_applied_p99_seconds"], "s"
    yield "memory at most", figures["rss_megabytes"], "MB"
    yield "memory afterwards", figures["settled_rss_megabytes"], "MB"
    yield "CPU per job", figures["cpu_ms_per_job"], "ms"
    yield "API requests per job", figures["api_requests_per_job"], ""
    if running := figures.get("running"):
        of = f"{running['jobs']} of {running['asked_jobs']} jobs, {running['reports_per_second']:.0f} reports/s: "
        yield of + "API writes", running["api_writes_per_second"], "/s"
        yield of + "CPU", running["cpu_cores"], "cores"
        yield of + "memory", running["rss_megabytes"], "MB"
        yield of + "answer, p99", running["report_p99_seconds"], "s"
    if submit := figures.get("submit"):
        for kind in [*PEERS, "longstride"]:
            yield f"submit to {submit['pods']} Running, {kind}", submit[f"{kind}_seconds"], "s"
    if fake := figures.get("fake_nodes"):
        for kind in ("jobset", "longstride"):
            yield f"{fake['jobs']} jobs, until all pods exist, {kind}", fake[kind]["all_pods_exist_seconds"], "s"


def ratio(ours, others):
    return ours / min(others) if ours and others and all(others) else None


def goals_of(figures):
    loaded = figures["jobs"] >= JOBS and figures["jobs_per_second"] >= NEARLY * JOBS_PER_SECOND
    running, submit, fake = (figures.get(part, {}) for part in ("running", "submit", "fake_nodes"))
    exist = {kind: fake.get(kind, {}).get("all_pods_exist_seconds") for kind in ("longstride", "jobset")}
    return [
        goal("jobs created", figures["jobs"], ">=", JOBS),
        goal("jobs created a second", figures["jobs_per_second"], ">=", NEARLY * JOBS_PER_SECOND),
        goal("created to applied under that load, p99, s",
             figures["queue_to_applied_p99_seconds"] if loaded else None, "<", 0.1),
        goal("memory at most under that load, MB", figures["rss_megabytes"] if loaded else None, "<", 150),
        goal("jobs that train", running.get("jobs"), ">=", JOBS),
        goal("their reports a second", running.get("reports_per_second"), ">=", NEARLY * JOBS * REPORTS_A_JOB),
        goal("their reports that were refused", running.get("refused"), "==", 0),
        goal("submit to all Running / quickest peer's", ratio(submit.get("longstride_seconds"),
             [submit.get(f"{peer}_seconds") for peer in PEERS]), "<=", 1),
        goal("jobs on fake nodes", fake.get("jobs"), ">=", JOBS),
        goal("until all their pods exist / JobSet's", ratio(exist["longstride"], [exist["jobset"]]), "<=", 1)]


def main():
    path = pathlib.Path(sys.argv[1])
    figures = json.loads(path.read_text())
    for what, value, unit in rows(figures):
        print(f"{what:58} {value:10.3f} {unit}".rstrip())
    path.write_text(json.dumps({**figures, **judged(goals_of(figures))}, indent=2) + "\n")


if __name__ == "__main__":
    main()
