#!/usr/bin/env python3
"""From submission to four Running pods, of one job: longstride, a plain Indexed Job, JobSet and Kubeflow Trainer.

On the running test cluster (tests/cluster/up.sh), with the same pods, one replica of each operator, all four
installed at once. Turns are interleaved, in an order drawn anew for each; time runs from the POST of the object to the
watch event of the fourth pod that is Running, and to that of the fourth pod that is there. Adds to the JSON file:
submit.{longstride,indexed_job,jobset,trainer}_seconds and _until_there_seconds (medians) and every turn's time.
"""
import argparse
import random
import statistics
import time

import cluster_api
import harness
from cluster_api import PODS, Api, PodWatch

NAMESPACE = "bench-submit"
TURN_SECONDS = 60
PAUSE_SECONDS = 3  # for what still happens after a turn
# A kubelet looks at its containers once a second: turns that begin at one moment of that second, as those do that begin
# when the pods of the one before are seen to be gone, measure who just misses the next look.
KUBELET_SECONDS = 1


def turn(api, watch, kind, name, chance):
    path = cluster_api.PATHS[kind].format(NAMESPACE)
    pods = f"api/v1/namespaces/{NAMESPACE}/pods"
    watch.forget()
    begin = time.monotonic()
    api.call("POST", path, cluster_api.job(kind, name))
    seconds = [watch.wait(what, PODS, TURN_SECONDS) - begin for what in ("running", "seen")]
    api.call("DELETE", f"{path}/{name}?propagationPolicy=Background")
    harness.wait_for("end of the pods", lambda: not api.call("GET", pods)["items"], TURN_SECONDS)
    time.sleep(PAUSE_SECONDS + chance.uniform(0, KUBELET_SECONDS))
    return seconds


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--turns", type=int, default=12)
    p.add_argument("--kinds", nargs="+", default=list(cluster_api.PATHS), choices=cluster_api.PATHS)
    p.add_argument("--out", default=cluster_api.ROOT / "build/bench/controller.json")
    a = p.parse_args()
    cluster_api.install_longstride()
    if {"jobset", "trainer"} & {*a.kinds}:
        cluster_api.install_jobset()
    if "trainer" in a.kinds:
        cluster_api.install_trainer()
    cluster_api.make_namespace(NAMESPACE)
    api, watch, kinds = Api(), PodWatch(NAMESPACE), a.kinds
    times = {kind: [] for kind in kinds}
    chance = random.Random(a.turns)
    for kind in kinds:  # images, caches and connections are warm
        turn(api, watch, kind, f"warm-{kind.replace('_', '-')}", chance)
    for i in range(a.turns):
        for kind in chance.sample(kinds, len(kinds)):
            times[kind].append(turn(api, watch, kind, f"turn-{i}-{kind.replace('_', '-')}", chance))
    figures = {"pods": PODS, "turns": a.turns, "times": times}
    print(f"{'submit to 4 Running':24} {'median':>8} {'least':>8} {'most':>8} {'all there':>10}")
    for kind, turns in times.items():
        running, there = zip(*turns)
        figures[f"{kind}_seconds"] = statistics.median(running)
        figures[f"{kind}_until_there_seconds"] = statistics.median(there)
        print(f"{kind:24} {statistics.median(running):7.3f}s {min(running):7.3f}s {max(running):7.3f}s "
              f"{statistics.median(there):9.3f}s")
    cluster_api.write_figures(a.out, submit=figures)
    harness.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


if __name__ == "__main__":
    main()
