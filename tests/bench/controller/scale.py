#!/usr/bin/env python3
"""1,000 jobs of four pods at once on fake nodes: longstride and JobSet, until all pods exist.

On the running test cluster (started with NODE_GRACE=40s) with kwok in place of kubelets: pods are scheduled and become
Running, and nothing runs. The same pods, one replica of each operator, one after the other, then in the other order;
time runs from the first POST to the watch event of the last pod. JobSet's pods are made by the Job controller, which
may send as many requests a second as the operator (controller.sh). Adds to the JSON file:
fake_nodes.{longstride,jobset}.{submitted,all_pods_exist,all_running}_seconds (medians) and every turn's times.
"""
import argparse
import concurrent.futures
import statistics
import subprocess
import threading
import time

import cluster_api
import harness
from cluster_api import PODS, Api, PodWatch

NODES, PODS_PER_NODE = 20, 256
FAKE = {"kwok.x-k8s.io/node": "fake"}
PLACEMENT = {"nodeSelector": {"type": "kwok"}, "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}]}
STAGES = cluster_api.ROOT / "tests/bench/controller/kwok_stages.yaml"
SUBMITTERS = 4
LIMIT_SECONDS = 900
PAUSE_SECONDS = 10
WARM_UP_JOBS = 20


def fake_node(number):
    capacity = {"cpu": "64", "memory": "256Gi", "pods": str(PODS_PER_NODE)}
    return {"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": f"fake-{number}", "annotations": FAKE,
                         "labels": {"type": "kwok", "kubernetes.io/hostname": f"fake-{number}"}},
            "spec": {"taints": [{"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}]},
            "status": {"capacity": capacity, "allocatable": capacity}}


def start_kwok():
    """Ends with this process."""
    log = open(f"{harness.STATE}/log/kwok.log", "w")  # noqa: SIM115
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", f"{harness.BIN}/kwok", f"--kubeconfig={harness.KUBECONFIG}",
         f"--config={STAGES}",
         "--manage-all-nodes=false", "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
         "--node-lease-duration-seconds=40"], stdout=log, stderr=log)


def make_nodes():
    api = Api()
    for number in range(NODES):
        api.call("POST", "api/v1/nodes", fake_node(number))
    harness.kubectl("wait", "--for=condition=Ready", "node", "--selector=type=kwok", "--timeout=60s", timeout=65)


def submit(kind, namespace, jobs):
    """All, over a few connections."""
    path, own = cluster_api.PATHS[kind].format(namespace), threading.local()

    def one(number):
        if not hasattr(own, "api"):
            own.api = Api()
        own.api.call("POST", path, cluster_api.job(kind, f"load-{number}", PLACEMENT))

    with concurrent.futures.ThreadPoolExecutor(SUBMITTERS) as pool:
        list(pool.map(one, range(jobs)))


def turn(kind, name, jobs):
    namespace = f"bench-scale-{kind}-{name}".replace("_", "-")
    cluster_api.make_namespace(namespace)
    watch = PodWatch(namespace)
    begin = time.monotonic()
    submit(kind, namespace, jobs)
    submitted = time.monotonic() - begin
    exist = watch.wait("seen", jobs * PODS, LIMIT_SECONDS) - begin
    running = watch.wait("running", jobs * PODS, LIMIT_SECONDS) - begin
    harness.kubectl("delete", "namespace", namespace, f"--timeout={LIMIT_SECONDS}s", timeout=LIMIT_SECONDS + 5)
    time.sleep(PAUSE_SECONDS)
    return {"submitted_seconds": submitted, "all_pods_exist_seconds": exist, "all_running_seconds": running}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--jobs", type=int, default=1000)
    p.add_argument("--turns", type=int, default=2)
    p.add_argument("--kinds", nargs="+", default=["longstride", "jobset"], choices=cluster_api.PATHS)
    p.add_argument("--out", default=cluster_api.ROOT / "build/bench/controller.json")
    a = p.parse_args()
    cluster_api.install_longstride()
    if "jobset" in a.kinds:
        cluster_api.install_jobset()
    kwok = start_kwok()
    try:
        make_nodes()
        times = {kind: [] for kind in a.kinds}
        for kind in a.kinds:  # caches and connections are warm
            turn(kind, "warm", WARM_UP_JOBS)
        for i in range(a.turns):
            for kind in a.kinds[::-1] if i % 2 else a.kinds:
                times[kind].append(turn(kind, i, a.jobs))
    finally:
        kwok.kill()
        harness.kubectl("delete", "node", "--selector=type=kwok")
    figures = {kind: {what: statistics.median(t[what] for t in turns) for what in turns[0]}
               for kind, turns in times.items()}
    cluster_api.write_figures(a.out, fake_nodes={"jobs": a.jobs, "pods_per_job": PODS, "nodes": NODES, **figures,
                                                 "times": times})
    print(f"{a.jobs} jobs of {PODS} pods on {NODES} fake nodes")
    print(f"{'seconds until':12} {'submitted':>12} {'all exist':>12} {'all Running':>12}")
    for kind, turns in times.items():
        for t in turns:
            print(f"{kind:12} " + " ".join(f"{s:12.1f}" for s in t.values()))


if __name__ == "__main__":
    main()
