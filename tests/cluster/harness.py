"""What scenarios stand on: a namespace of their own in the running cluster, kubectl, and waiting.

A scenario is a unittest method of a ClusterTest in a test_*.py beside this file; run.py runs them. Nothing
here or there may block without a deadline: a command has a timeout, a wait has one, and so has each scenario.
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import unittest
import uuid

CLUSTER = pathlib.Path(__file__).resolve().parent
REPOSITORY = CLUSTER.parent.parent
TOOLS_IMAGE = "longstride.test/tools:1"  # busybox; build.sh makes it
COMMAND_SECONDS = 60
NAMESPACE_LABEL = "longstride.test"  # on what this run makes, with the run as its value: run.py waits for its end
RUN = uuid.uuid4().hex


def _from_lib(*names):
    """Values of lib.sh, the one place that knows them."""
    script = f". {CLUSTER}/lib.sh; for n in {' '.join(names)}; do echo \"${{!n}}\"; done"
    return subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True).stdout.splitlines()


BIN, STATE, STORE, KUBECONFIG, PEERS, HOST_IP = _from_lib("BIN", "STATE", "STORE", "KUBECONFIG", "PEERS", "HOST_IP")
ENVIRONMENT = dict(os.environ, KUBECONFIG=KUBECONFIG, PATH=BIN + ":" + os.environ["PATH"])


class CommandFailed(AssertionError):
    """A command exited non-zero or did not end in time; `stderr` holds what it said."""

    def __init__(self, command, why, stderr):
        super().__init__(f"{' '.join(map(str, command))}: {why}\n{stderr}".strip())
        self.stderr = stderr


def run(command, timeout=COMMAND_SECONDS, stdin=None):
    """Runs a command and returns its stdout."""
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, env=ENVIRONMENT)
    except subprocess.TimeoutExpired as expired:
        raise CommandFailed(command, f"not done after {timeout} s", (expired.stderr or b"").decode()) from None
    if done.returncode != 0:
        raise CommandFailed(command, f"exit code {done.returncode}", done.stderr)
    return done.stdout


def kubectl(*arguments, timeout=COMMAND_SECONDS, stdin=None):
    """kubectl as cluster admin, outside any scenario's namespace."""
    return run(["kubectl", *arguments], timeout, stdin)


def on_node(node, *command, timeout=COMMAND_SECONDS):
    """Runs a command as root in a node's namespaces; `node` is 1 or 2."""
    return lib("on_node", str(node), *command, timeout=timeout)


def lib(function, *arguments, timeout=COMMAND_SECONDS):
    """Calls a function of lib.sh, such as kill9."""
    return run(["bash", "-c", f'. {CLUSTER}/lib.sh; "$@"', "lib", function, *arguments], timeout)


def kill(component):
    """kill -9: apiserver, etcd, scheduler, controller-manager, node1 (all of it), node1-kubelet, …"""
    lib("kill9", component)


def repair():
    """Starts whatever of the cluster is not running."""
    run([str(CLUSTER / "up.sh")], timeout=240)  # a kubelet may come back a minute late on a busy machine


def cut(node):
    """Pulls a node's network cable; heal() puts it back."""
    run(["ip", "link", "set", f"lscv{node}", "down"])


def heal(node):
    run(["ip", "link", "set", f"lscv{node}", "up"])


def wait_for(what, attempt, timeout=COMMAND_SECONDS, every=0.1):
    """Calls attempt() until it returns something true, which is returned; AssertionErrors count as not yet."""
    end = time.monotonic() + timeout
    while True:
        failure = None
        try:
            if result := attempt():
                return result
        except AssertionError as error:
            failure = error
        if time.monotonic() > end:
            raise AssertionError(f"no {what} within {timeout} s" + (f": {failure}" if failure else ""))
        time.sleep(every)


class OutOfTime(BaseException):
    """A scenario's deadline has passed: no AssertionError, which polling takes for "not yet"."""


class ClusterTest(unittest.TestCase):
    """One namespace per scenario, with restricted Pod Security enforced; gone afterwards."""

    deadline_seconds = 180
    pod_security = "restricted"

    def setUp(self):
        signal.signal(signal.SIGALRM, self._out_of_time)
        signal.alarm(self.deadline_seconds)
        self.addCleanup(signal.alarm, 0)
        name = re.sub("[^a-z0-9]+", "-", self._testMethodName.lower()).removeprefix("test-")
        self.namespace = f"{name[:50].strip('-')}-{uuid.uuid4().hex[:6]}"
        self.apply({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": self.namespace, "labels": {
                NAMESPACE_LABEL: RUN, "pod-security.kubernetes.io/enforce": self.pod_security}}})
        self.addCleanup(kubectl, "delete", "namespace", self.namespace, "--wait=false")
        wait_for("default service account", lambda: self.get("serviceaccount", "default"))

    def _out_of_time(self, *_):
        signal.alarm(COMMAND_SECONDS)  # for the subtests and cleanups that are still to come
        raise OutOfTime(f"scenario not done after {self.deadline_seconds} s")

    def kubectl(self, *arguments, timeout=COMMAND_SECONDS, stdin=None):
        return kubectl("--namespace", self.namespace, *arguments, timeout=timeout, stdin=stdin)

    def apply(self, manifest):
        """Applies an object, a list of objects, or a file's path."""
        if isinstance(manifest, pathlib.Path):
            return self.kubectl("apply", "--filename", str(manifest))
        if isinstance(manifest, list):
            manifest = {"apiVersion": "v1", "kind": "List", "items": manifest}
        return self.kubectl("apply", "--filename", "-", stdin=json.dumps(manifest))

    def get(self, kind, name=None, **options):
        """An object as a dict, or without a name all of the kind as a list."""
        flags = [f"--{key}={value}" for key, value in options.items()]
        found = json.loads(self.kubectl("get", kind, *([name] if name else []), "--output=json", *flags))
        return found if name else found["items"]

    def wait_condition(self, resource, condition, timeout=COMMAND_SECONDS):
        """wait_condition("pod/x", "Ready"), wait_condition("tj/x", "Complete", 300); also "Ready=false"."""
        self.kubectl("wait", f"--for=condition={condition}", resource, f"--timeout={timeout}s", timeout=timeout + 5)

    def wait_ended(self, pod, timeout=COMMAND_SECONDS):
        """Returns the phase that a pod ended in, Succeeded or Failed."""
        def ended():
            phase = self.get("pod", pod)["status"]["phase"]
            return phase if phase in ("Succeeded", "Failed") else None
        return wait_for(f"end of pod {pod}", ended, timeout)

    def wait_gone(self, resource, timeout=COMMAND_SECONDS):
        self.kubectl("wait", "--for=delete", resource, f"--timeout={timeout}s", timeout=timeout + 5)

    def logs(self, pod, container=None):
        return self.kubectl("logs", pod, *(["--container", container] if container else []))

    def run_to_end(self, pod):
        """Runs a pod (see restricted_pod) to success and returns what it printed."""
        self.apply(pod)
        name = pod["metadata"]["name"]
        phase, printed = self.wait_ended(name), self.logs(name)
        self.assertEqual(phase, "Succeeded", f"pod {name} printed: {printed}")
        return printed

    def run_script(self, name, script, **options):
        """Runs a shell script in a restricted pod of the tools image and returns what it printed."""
        return self.run_to_end(restricted_pod(name, ["/bin/sh", "-c", script], **options))

    def shared_claim(self, name="store", owner=65532):
        """Binds a ReadWriteMany claim to a directory that every node sees, and returns the directory.

        hostPath volumes ignore fsGroup: the directory is made here, owned by whom the pods run as. One that the
        kubelet made (type DirectoryOrCreate) would be root's, and no other user could write to it.
        """
        directory = pathlib.Path(STORE, self.namespace, name)
        directory.mkdir(parents=True)
        os.chown(directory, owner, owner)
        volume = f"{self.namespace}-{name}"
        size = {"storage": "1Gi"}
        self.addCleanup(kubectl, "delete", "persistentvolume", volume, "--wait=false")
        self.apply([
            {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume},
             "spec": {"capacity": size, "accessModes": ["ReadWriteMany"], "storageClassName": "",
                      "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": str(directory),
                                                                              "type": "Directory"},
                      "claimRef": {"namespace": self.namespace, "name": name}}},
            {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
             "spec": {"accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeName": volume,
                      "resources": {"requests": size}}}])
        return directory


def restricted_pod(name, command=None, image=TOOLS_IMAGE, node=None, volumes=(), mounts=(), **spec):
    """A pod that the restricted Pod Security level admits: non-root, no privileges, read-only root."""
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 1,
            **({"nodeName": f"node{node}"} if node else {}),
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532,
                                "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "main", "image": image, "imagePullPolicy": "Never",
                **({"command": command} if command else {}),
                "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                    "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": list(mounts)}],
            "volumes": list(volumes), **spec}}


def project_version():
    return re.search(r"project\(longstride VERSION ([\d.]+)", (REPOSITORY / "CMakeLists.txt").read_text())[1]


def describe(test):
    """What a person would ask of a failed scenario's namespace first."""
    if not getattr(test, "namespace", None):
        return ""
    parts = []
    for arguments in (["get", "pods,persistentvolumeclaims", "--output=wide"],
                      ["get", "events", "--sort-by=.lastTimestamp"]):
        try:
            parts.append(test.kubectl(*arguments))
        except CommandFailed as failure:
            parts.append(str(failure))
    return "\n".join([*parts, *getattr(test, "describe", tuple)()])
