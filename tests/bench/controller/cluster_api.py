"""The running test cluster for benchmarks: a client without kubectl's start-up time, the jobs of four that are compared,
and who looks after them.

Every kind of job gets the same pod template: one container of the tools image that sleeps, restricted. What is left
out is each one's default: a service account token is mounted by Kubernetes into the others' pods, and by the operator
(with what else a worker needs: its CA bundle, shared memory, probes) into longstride's.
"""
import http.client
import json
import pathlib
import ssl
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/cluster"))
import harness  # noqa: E402
import operator_test  # noqa: E402

PODS = 4
WATCH_SECONDS = 3600
_PKI = pathlib.Path(harness.KUBECONFIG).parent
PATHS = {"longstride": "apis/longstride.dev/v1alpha1/namespaces/{}/trainingjobs",
         "indexed_job": "apis/batch/v1/namespaces/{}/jobs",
         "jobset": "apis/jobset.x-k8s.io/v1alpha2/namespaces/{}/jobsets",
         "trainer": "apis/trainer.kubeflow.org/v1alpha1/namespaces/{}/trainjobs"}


class Api:
    """One connection to the API server as cluster admin, kept open. Not for several threads."""

    def __init__(self, idle_seconds=120):
        context = ssl.create_default_context(cafile=str(_PKI / "ca.crt"))
        context.load_cert_chain(_PKI / "admin.crt", _PKI / "admin.key")
        self._connection = http.client.HTTPSConnection(harness.HOST_IP, 6443, context=context, timeout=idle_seconds)

    def call(self, method, path, body=None):
        self._connection.request(method, "/" + path, json.dumps(body) if body else None,
                                 {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300 and not (method == "DELETE" and answer.status == 404):
            raise harness.CommandFailed([method, path], f"HTTP {answer.status}", text.decode())
        return json.loads(text)

    def stream(self, path):
        """The events of a watch, until the connection is closed."""
        self._connection.request("GET", "/" + path)
        answer = self._connection.getresponse()
        while line := answer.readline():
            yield json.loads(line)


class PodWatch:
    """When each pod of a namespace was first seen, and first seen Running, in seconds of time.monotonic()."""

    def __init__(self, namespace):
        self.seen, self.running = {}, {}
        self._path = f"api/v1/namespaces/{namespace}/pods"
        version = Api().call("GET", self._path + "?limit=1")["metadata"]["resourceVersion"]
        self._api = Api(idle_seconds=WATCH_SECONDS + 60)
        self._version = version
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for event in self._api.stream(f"{self._path}?watch=true&timeoutSeconds={WATCH_SECONDS}"
                                      f"&resourceVersion={self._version}"):
            now, pod = time.monotonic(), event["object"]
            with self._changed:
                if event["type"] == "DELETED":
                    continue
                name = pod["metadata"]["name"]
                self.seen.setdefault(name, now)
                if pod["status"].get("phase") == "Running":
                    self.running.setdefault(name, now)
                self._changed.notify_all()

    def forget(self):
        """Begins anew, once what was watched is gone."""
        with self._changed:
            self.seen, self.running = {}, {}

    def wait(self, what, count, timeout):
        """When so many pods were `what`, "seen" or "running"."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(getattr(self, what)) >= count, timeout):
                raise AssertionError(f"{len(getattr(self, what))} of {count} pods {what} after {timeout} s")
            return sorted(getattr(self, what).values())[count - 1]


def pod_spec(container, placement=None):
    """`placement`: what else the spec says, such as a nodeSelector."""
    return {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1,  # with 0 a pod goes before its container
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": container, "image": harness.TOOLS_IMAGE, "imagePullPolicy": "Never",
                            "command": ["sleep", "86400"],
                            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
                            "securityContext": {"allowPrivilegeEscalation": False,
                                                "capabilities": {"drop": ["ALL"]}}}],
            **(placement or {})}


def job(kind, name, placement=None):
    """An object of the kind (a key of PATHS) whose pods are PODS such pods."""
    metadata = {"name": name}
    indexed = {"parallelism": PODS, "completions": PODS, "completionMode": "Indexed", "backoffLimit": 0,
               "template": {"spec": pod_spec("node", placement)}}
    if kind == "longstride":
        return {"apiVersion": "longstride.dev/v1alpha1", "kind": "TrainingJob", "metadata": metadata,
                "spec": {"replicas": PODS, "model": {"name": "mlp"}, "data": {"format": "synthetic"},
                         "training": {"maxEpochs": 1, "batch": {"initial": 32}},
                         "workers": [{"name": "worker", "template": {"spec": pod_spec("worker", placement)}}]}}
    if kind == "indexed_job":
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": indexed}
    if kind == "jobset":
        return {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": metadata,
                "spec": {"replicatedJobs": [{"name": "node", "replicas": 1, "template": {"spec": indexed}}]}}
    return {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": metadata,
            "spec": {"runtimeRef": {"name": "sleep"}, "trainer": {"numNodes": PODS}}}


def trainer_runtime():
    """What TrainJobs of job() refer to."""
    node = {"name": "node", "template": {
        "metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}},
        "spec": {"backoffLimit": 0, "template": {"spec": pod_spec("node")}}}}
    return {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "ClusterTrainingRuntime",
            "metadata": {"name": "sleep"},
            "spec": {"mlPolicy": {"numNodes": PODS}, "template": {"spec": {"replicatedJobs": [node]}}}}


def install_longstride():
    """One replica, as the others have."""
    operator_test.install("--set=replicas=1")


def install_peer(name, namespace, deployment):
    """JobSet or Kubeflow Trainer, as its own manifests have it; server-side, as they are long."""
    harness.run([str(harness.CLUSTER / "load.sh"), f"{harness.PEERS}/images/{name}.tar"], timeout=180)
    harness.kubectl("apply", "--server-side", "--force-conflicts", "--filename", f"{harness.PEERS}/{name}.yaml")
    harness.kubectl("--namespace", namespace, "rollout", "status", f"deployment/{deployment}", "--timeout=150s",
                    timeout=155)


def install_jobset():
    install_peer("jobset", "jobset-system", "jobset-controller-manager")


def install_trainer():
    install_peer("trainer", "kubeflow-system", "kubeflow-trainer-controller-manager")
    # Its webhook answers a moment after the Deployment is available.
    runtime = json.dumps(trainer_runtime())
    harness.wait_for("Trainer's webhook", lambda: harness.kubectl("apply", "--filename", "-", stdin=runtime), 60, 1)


def make_namespace(name):
    harness.kubectl("apply", "--filename", "-", stdin=json.dumps({
        "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
    harness.wait_for("default service account",
                     lambda: harness.kubectl("--namespace", name, "get", "serviceaccount", "default"))


def write_figures(path, **figures):
    """Adds to the figures in a JSON file."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**known, **figures}, indent=2) + "\n")
