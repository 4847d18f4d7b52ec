"""What scenarios of the installed operator share: the chart, its controllers, jobs and their workers."""
import copy
import datetime
import json
import time
import urllib.request

import harness
from harness import wait_for

SYSTEM = "longstride-system"
CHART = harness.REPOSITORY / "charts/longstride"
FASHION = harness.REPOSITORY / "manifests/fashion-mnist.yaml"
SMOKE = harness.REPOSITORY / "manifests/synthetic-smoke.yaml"
METRICS_PORT = 9464  # of workers
CONTROLLER_METRICS_PORT = 8080
STANDBY_SECONDS = 20  # until a standby leads
# A pause as long as this would be one that waits for a leader: a lease lasts 15 s.
LONGEST_PAUSE = STANDBY_SECONDS / 2
GONE_SECONDS = 90  # until nothing is left of what was deleted
ENDLESS = 10**9  # samples
BATCH, LOCAL_STEPS = 128, 16  # of the demo that scenarios submit
ROUND_SAMPLES = BATCH * LOCAL_STEPS


def helm(*arguments, timeout=180):
    return harness.run(["helm", "--namespace", SYSTEM, *arguments], timeout=timeout)


def install(*arguments):
    """With what is passed on to helm, and the chart's defaults for the rest."""
    harness.kubectl("apply", "--filename", "-", stdin=json.dumps({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": SYSTEM, "labels": {harness.NAMESPACE_LABEL: harness.RUN,
                                                "pod-security.kubernetes.io/enforce": "restricted"}}}))
    # Where no values are given, helm takes those of the release before, but for this flag.
    helm("upgrade", "--install", "longstride", str(CHART), "--reset-values", "--wait", "--timeout=120s", *arguments)


def uninstall():
    helm("uninstall", "longstride", "--ignore-not-found")
    harness.kubectl("delete", "crd", "trainingjobs.longstride.dev", "--ignore-not-found")
    # To its end: in one that is on its way out nothing can be installed.
    harness.kubectl("delete", "namespace", SYSTEM, "--ignore-not-found", "--timeout=90s", timeout=95)


def controllers():
    """The controller's pods that are not on their way out, by name."""
    found = json.loads(harness.kubectl("--namespace", SYSTEM, "get", "pods", "--output=json",
                                       "--selector=app.kubernetes.io/component=controller"))["items"]
    return {pod["metadata"]["name"]: pod for pod in found if "deletionTimestamp" not in pod["metadata"]}


def leader():
    """The name of the pod that leads; empty if none does."""
    return holder().rsplit("_", 1)[0]


def lease():
    return json.loads(harness.kubectl("--namespace", SYSTEM, "get", "lease", "longstride", "--output=json"))["spec"]


def holder():
    """Who leads: the pod's name and what its process drew by lot; empty if none does."""
    return lease().get("holderIdentity", "")


def moment(time):
    """A time of an object, in seconds of the Unix epoch."""
    return datetime.datetime.fromisoformat(time).timestamp()


def restarts_of_controllers():
    """How often the container of each controller was started anew, by pod."""
    return {name: sum(c["restartCount"] for c in pod["status"].get("containerStatuses", []))
            for name, pod in controllers().items()}


def node_of(pod):
    """The number of a pod's node."""
    return pod["spec"]["nodeName"].removeprefix("node")


def other(node):
    return {"1": "2", "2": "1"}[str(node)]


def is_ready(pod):
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def wait_controllers(timeout=120):
    wait_for("two controllers", lambda: sum(map(is_ready, controllers().values())) == 2, timeout, every=1)


def spread_controllers():
    """Waits for one controller on each node: after a node was away, both are on the other."""
    wait_controllers()
    pods = controllers()
    if len(set(map(node_of, pods.values()))) == 1:
        standby = next(name for name in pods if name != leader())
        harness.kubectl("--namespace", SYSTEM, "delete", "pod", standby, "--wait=false")
    wait_for("controllers on two nodes", lambda: len({node_of(p) for p in controllers().values() if is_ready(p)}) == 2,
             60, every=1)


def is_running(pod):
    containers = pod["status"].get("containerStatuses", [])
    return bool(containers) and all("running" in c["state"] for c in containers)


def uids(pods):
    return {index: pod["metadata"]["uid"] for index, pod in pods.items()}


def container_of(pod):
    """The ID of the only container of a pod."""
    return pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")


def kill_container(pod):
    """kill -9 of the only container of a pod."""
    harness.on_node(node_of(pod), "ctr", "--namespace", "k8s.io", "tasks", "kill", "--signal", "SIGKILL",
                    container_of(pod))


def parse_series(text):
    """Values by name and labels, of metrics in Prometheus' text format."""
    return {name: float(value) for name, value in
            (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))}


def series_of(pod, port=METRICS_PORT):
    """What a pod's /metrics says."""
    try:
        with urllib.request.urlopen(f"http://{pod['status']['podIP']}:{port}/metrics", timeout=5) as answer:
            return parse_series(answer.read().decode())
    except OSError as error:
        raise AssertionError(f"{pod['metadata']['name']}: {error}") from error


def total(series, name):
    """A metric's value, or the sum of its values where labels tell several apart; 0 if there is none yet."""
    return sum(value for key, value in series.items() if key.split("{")[0] == name)


def round_of(pod):
    """The last round that a worker has committed, by its own metrics: the job's status is up to 10 s old."""
    return int(total(series_of(pod), "longstride_worker_round"))


def longest_pause(pod, until):
    """The longest time between two rounds of a worker from now until until() is true, asked every two seconds."""
    def attempt(ask, otherwise):
        try:
            return ask()
        except AssertionError:  # an answer that failed or came too late: the pause goes on
            return otherwise

    last = asked = time.monotonic()
    known, longest = round_of(pod), 0.0
    while True:
        now, current = time.monotonic(), attempt(lambda: round_of(pod), known)
        if current != known:
            longest, last, known = max(longest, now - last), now, current
        if now - asked > 2:
            asked = now
            if attempt(until, False):
                return max(longest, now - last)
        time.sleep(0.05)


class WithOperator(harness.ClusterTest):
    """The chart is installed with its defaults, whatever scenarios before have made of it; run.py uninstalls it."""

    deadline_seconds = 600

    @classmethod
    def setUpClass(cls):
        install()

    def describe(self):
        """For a scenario that failed: the jobs, and what controllers and workers said last."""
        commands = [["--namespace", self.namespace, "get", "trainingjobs", "--output=yaml"],
                    ["--namespace", self.namespace, "logs", "--prefix", "--tail=30",
                     "--selector=app.kubernetes.io/component=worker"],
                    ["--namespace", SYSTEM, "get", "pods", "--output=wide"],
                    ["--namespace", SYSTEM, "logs", "--prefix", "--tail=60",
                     "--selector=app.kubernetes.io/component=controller"]]
        for command in commands:
            try:
                yield harness.kubectl(*command)
            except harness.CommandFailed as failure:
                yield str(failure)

    def load(self, manifest):
        """A manifest as a dict."""
        return json.loads(self.kubectl("create", "--dry-run=client", "--output=json", "--filename", str(manifest)))

    def demo(self, replicas, samples, node=None, name=None, bounds=None, **spec):
        """The demo in rounds of about a second that end after so many samples, as a dict.

        `bounds` are those of a worker's batch, by default none. Each round takes ROUND_SAMPLES.
        """
        job = copy.deepcopy(self.load(FASHION))
        job["metadata"]["name"] = name or job["metadata"]["name"]
        job["spec"].update(replicas=replicas, **spec)
        job["spec"]["workers"][0]["batch"] = bounds or {}
        if node:
            job["spec"]["workers"][0]["template"]["spec"]["nodeSelector"] = {"kubernetes.io/hostname": f"node{node}"}
        else:  # as many on each node as can be, so that a scenario knows whom it hits
            job["spec"]["workers"][0]["template"]["spec"]["topologySpreadConstraints"] = [{
                "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"longstride.dev/job-name": job["metadata"]["name"]}}}]
        training = job["spec"]["training"]
        del training["maxEpochs"]
        training.update(maxSamples=samples, batch={"policy": "fixed", "initial": BATCH},
                        localSteps={"policy": "constant", "steps": LOCAL_STEPS})
        del job["spec"]["evaluation"]["target"]
        return job

    def submit_demo(self, *arguments, **options):
        """Submits what demo() makes of its arguments; returns the job's name."""
        job = self.demo(*arguments, **options)
        self.apply(job)
        return job["metadata"]["name"]

    def script_container(self, name, script):
        return {"name": name, "image": harness.TOOLS_IMAGE, "imagePullPolicy": "Never",
                "command": ["/bin/sh", "-c", script],
                "securityContext": {"runAsUser": 65532, "runAsNonRoot": True, "allowPrivilegeEscalation": False,
                                    "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}}}

    def submit_script(self, name, script, replicas=1, container=None, sidecars=(), pod=None, **run_policy):
        """A job whose workers are a shell script in place of longstride-worker; returns its name."""
        # The rest of its security context is the operator's to fill in.
        worker = {**self.script_container("worker", script), "securityContext": {"runAsUser": 65532},
                  **(container or {})}
        job = copy.deepcopy(self.load(SMOKE))
        job["metadata"]["name"] = name
        job["spec"].update(replicas=replicas, runPolicy=run_policy, workers=[{"name": "worker", "template": {
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [worker, *sidecars], **(pod or {})}}}])
        self.apply(job)
        return name

    def status(self, job):
        return self.get("tj", job).get("status", {})

    def condition(self, job, kind):
        """A condition of the job, or None."""
        return next((c for c in self.status(job).get("conditions", []) if c["type"] == kind), None)

    def wait_reason(self, job, kind, reason, holds, timeout=120):
        """Returns the condition once it has this reason; `holds` is its status, True or False."""
        def as_wanted():
            found = self.condition(job, kind)
            assert found and (found["reason"], found["status"]) == (reason, str(holds)), found
            return found
        return wait_for(f"{kind}={holds} of {job} with reason {reason}", as_wanted, timeout, every=0.5)

    def events_of(self, job):
        """Messages of the job's events by reason."""
        found = {}
        for event in self.get("events"):
            if event["involvedObject"]["kind"] == "TrainingJob" and event["involvedObject"]["name"] == job:
                found.setdefault(event["reason"], []).append(event["message"])
        return found

    def incarnations(self, job):
        """How many pods each worker of the first group has had: no name comes twice."""
        return self.status(job)["groups"][0].get("incarnations", [])

    def workers(self, job):
        """The pods at work, or about to be, by the index of their worker."""
        return {int(pod["metadata"]["labels"]["longstride.dev/index"]): pod
                for pod in self.get("pods", selector=f"longstride.dev/job-name={job}")
                if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] in ("Pending", "Running")}

    def all_running(self, job, count):
        pods = self.workers(job)
        return pods if len(pods) == count and all(map(is_running, pods.values())) else None

    def all_ready(self, job, count):
        pods = self.workers(job)
        return pods if sorted(pods) == list(range(count)) and all(map(is_ready, pods.values())) else None

    def wait_training(self, job, count, rounds=2):
        """Returns the pods, once all train and have committed so many more rounds."""
        pods = wait_for(f"{count} ready workers", lambda: self.all_ready(job, count), 120, every=1)
        begun = wait_for("answer", lambda: round_of(pods[0]) + 1, 30) - 1

        def training():
            now = self.all_ready(job, count)  # one of them may have been replaced meanwhile
            return now if now and all(round_of(pod) >= begun + rounds for pod in now.values()) else None
        return wait_for(f"{rounds} rounds", training, 120, every=0.5)

    def wait_complete(self, job, timeout):
        """Returns the status of the job when it is complete; fails at once if it fails."""
        def ended():
            return next((c for c in self.status(job).get("conditions", [])
                         if c["type"] in ("Complete", "Failed") and c["status"] == "True"), None)
        end = wait_for(f"end of {job}", ended, timeout, every=2)
        self.assertEqual(end["type"], "Complete", end)
        self.wait_condition(f"tj/{job}", "Complete", timeout=5)
        return self.status(job)

    def wait_status_as_new_as(self, job, reached, timeout=60):
        """Returns how long it took until the job's status had that round."""
        began = time.monotonic()
        wait_for(f"status of round {reached}", lambda: self.status(job).get("round", 0) >= reached, timeout, every=0.5)
        return time.monotonic() - began

    def assert_nothing_is_lost(self, job, survivor, round_samples=ROUND_SAMPLES):
        """At most one round of a demo was lost, by its status and by a worker that was there from its beginning."""
        def whole():
            # A new leader knows the round before the samples.
            status = self.status(job)
            lost = status.get("round", 0) * round_samples - status.get("samples", 0)
            assert 0 <= lost <= round_samples, status
            return True
        wait_for("samples of every round but one", whole, 30, every=1)
        self.assertEqual(self.status(job).get("discardedSamples", 0), 0)
        series = series_of(survivor)
        reached, committed = (total(series, f"longstride_worker_{name}") for name in ("round", "rounds_total"))
        self.assertLessEqual(abs(reached - committed), 1)  # the numbers have no hole, and none comes twice

    def owned(self, job):
        """Names of all that is left of a job."""
        return self.kubectl("get", "pods,networkpolicies", "--output=name",
                            f"--selector=longstride.dev/job-name={job}").split()

    def delete(self, job, cascade="background", timeout=GONE_SECONDS):
        """Deletes a job and waits until nothing is left of it."""
        self.kubectl("delete", f"tj/{job}", f"--cascade={cascade}", f"--timeout={timeout}s", timeout=timeout + 5)
        wait_for("end of all that it owned", lambda: self.owned(job) == [], timeout, every=0.5)

    def suspend(self, job, suspended):
        patch = json.dumps({"spec": {"runPolicy": {"suspend": suspended}}})
        self.kubectl("patch", f"tj/{job}", "--type=merge", "--patch", patch)
