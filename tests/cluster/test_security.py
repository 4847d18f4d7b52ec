"""Who may do what: the controller's rights, the workers' pods, and who may speak to the coordinator."""
import base64
import json
import pathlib
import subprocess
import tempfile
import time

import harness
from harness import restricted_pod, wait_for
from operator_test import ENDLESS, SYSTEM, WithOperator, controllers, leader

RIGHTS = harness.REPOSITORY / "tests/chart/rights.txt"
ACCOUNT = f"system:serviceaccount:{SYSTEM}:longstride"
AUDIENCE = "longstride"


def part(data):
    """A part of a JSON Web Token."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims_of(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def signed_anew(token, **claims):
    """The token with other claims, signed by the cluster's key."""
    text = token.split(".")[0] + "." + part(json.dumps({**claims_of(token), **claims}).encode())
    key = pathlib.Path(harness.STATE, "pki/service-accounts.key")
    signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(key)], input=text.encode(), check=True,
                               capture_output=True, timeout=10).stdout
    return text + "." + part(signature)


class SecurityTest(WithOperator):
    def test_rights_are_those_that_were_agreed_on(self):
        roles = json.loads(harness.kubectl("get", "clusterroles,roles", "--all-namespaces", "--output=json",
                                           "--selector=app.kubernetes.io/instance=longstride"))["items"]
        lines = []
        for role in roles:
            for rule in role["rules"]:
                self.assertNotIn("nonResourceURLs", rule)
                names = rule.get("resourceNames")
                for group in rule["apiGroups"]:
                    for resource in rule["resources"]:
                        lines.append(f"{role['kind']} {role['metadata']['name']}: {','.join(rule['verbs'])} {resource}"
                                     f"{'.' + group if group else ''}{' [' + ','.join(names) + ']' if names else ''}")
        self.assertEqual(sorted(lines), RIGHTS.read_text(encoding="utf-8").splitlines())

    def test_the_controller_may_not_do_more(self):
        def may(verb, resource, *flags):
            try:
                return harness.kubectl("auth", "can-i", verb, resource, f"--as={ACCOUNT}", *flags).strip() == "yes"
            except harness.CommandFailed:
                return False
        here, system = f"--namespace={self.namespace}", f"--namespace={SYSTEM}"
        self.assertTrue(may("create", "pods", here))
        self.assertTrue(may("get", "secrets/longstride-ca", system))
        for verb, resource, *flags in (
                ("get", "secrets", here), ("list", "secrets", system), ("get", "secrets/other", system),
                ("create", "secrets", system), ("update", "pods", here), ("create", "pods", "--subresource=exec", here),
                ("patch", "pods", "--subresource=ephemeralcontainers", here), ("patch", "pods", "--subresource=status", here),
                ("get", "pods", "--subresource=log", here), ("get", "nodes"), ("get", "configmaps", here),
                ("create", "configmaps", here), ("patch", "configmaps", here), ("delete", "configmaps", here),
                ("create", "clusterrolebindings"), ("impersonate", "users"),
                ("update", "trainingjobs", here), ("create", "trainingjobs", here),
                ("create", "serviceaccounts", "--subresource=token", here), ("*", "*", here)):
            with self.subTest(f"{verb} {resource} {flags}"):
                self.assertFalse(may(verb, resource, *flags))

    def test_users_rights_are_aggregated(self):
        def may(verb, role):
            rules = json.loads(harness.kubectl("get", "clusterrole", role, "--output=json"))["rules"]
            return any("trainingjobs" in rule.get("resources", []) and verb in rule["verbs"] for rule in rules)
        wait_for("aggregation", lambda: may("get", "view"), 30)
        self.assertEqual([may("create", role) for role in ("view", "edit", "admin")], [False, True, True])
        self.assertEqual([may("watch", role) for role in ("view", "edit", "admin")], [True, True, True])

    def test_workers_pods_are_restricted_and_have_no_api_token(self):
        # The namespace enforces the restricted level, so the pods are admitted by it.
        namespace = json.loads(harness.kubectl("get", "namespace", self.namespace, "--output=json"))
        self.assertEqual(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted")
        job = self.submit_script("workers", "ls /var/run/secrets/kubernetes.io 2>&1; id; exec sleep 3600", replicas=2)
        pods = wait_for("workers", lambda: self.all_running(job, 2), 60)
        for pod in pods.values():
            spec = pod["spec"]
            self.assertFalse(spec["automountServiceAccountToken"])
            self.assertFalse(spec["enableServiceLinks"])
            self.assertTrue(spec["securityContext"]["runAsNonRoot"])
            self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            own = spec["containers"][0]["securityContext"]
            self.assertFalse(own["allowPrivilegeEscalation"])
            self.assertEqual(own["capabilities"], {"drop": ["ALL"]})
            tokens = [source["serviceAccountToken"] for volume in spec["volumes"]
                      for source in volume.get("projected", {}).get("sources", []) if "serviceAccountToken" in source]
            self.assertEqual([token["audience"] for token in tokens], [AUDIENCE])
            printed = wait_for("log", lambda p=pod: self.logs(p["metadata"]["name"]), 30)
            self.assertIn("No such file or directory", printed)
            self.assertNotIn("uid=0", printed)

    # The coordinator's port.

    def ask(self, job, token, verb="job", body=None, namespace=None):
        """(HTTP status, text) of a request to the coordinator."""
        authority = json.loads(harness.kubectl("--namespace", SYSTEM, "get", "secret", "longstride-ca", "--output=json"))
        bundle = base64.b64decode(authority["data"]["ca.crt"]).decode()
        service = json.loads(harness.kubectl("--namespace", SYSTEM, "get", "service", "longstride-coordinator",
                                             "--output=json"))
        name, port = f"longstride-coordinator.{SYSTEM}.svc", service["spec"]["ports"][0]["port"]
        with tempfile.NamedTemporaryFile("w", suffix=".crt") as ca:
            ca.write(bundle)
            ca.flush()
            command = ["curl", "--silent", "--show-error", "--max-time", "20", "--cacert", ca.name, "--resolve",
                       f"{name}:{port}:{service['spec']['clusterIP']}", "--write-out", "\n%{http_code}"]
            if token is not None:
                command += ["--header", f"Authorization: Bearer {token}"]
            if body is not None:
                command += ["--header", "Content-Type: application/json", "--data", json.dumps(body)]
            printed = harness.run([*command, f"https://{name}:{port}/v1/jobs/{namespace or self.namespace}/{job}/{verb}"])
        text, _, code = printed.rpartition("\n")
        return int(code), text

    def token(self, pod=None, audience=AUDIENCE, namespace=None):
        flags = [f"--audience={audience}"] if audience else []
        if pod:
            flags += ["--bound-object-kind=Pod", f"--bound-object-name={pod['metadata']['name']}",
                      f"--bound-object-uid={pod['metadata']['uid']}"]
        return harness.kubectl("--namespace", namespace or self.namespace, "create", "token", "default",
                               *flags).strip()

    def assert_refused(self, why, answer, status, words=""):
        with self.subTest(why):
            print(f"{why}: {answer[0]} {answer[1][:160]}")
            self.assertEqual(answer[0], status, answer[1])
            self.assertIn(words, answer[1])

    def test_the_coordinator_hears_only_the_jobs_own_pods(self):
        job = self.submit_demo(replicas=2, samples=ENDLESS)
        pods = self.wait_training(job, 2)
        script = self.submit_script("another", "exec sleep 3600")
        foreign = wait_for("worker of another job", lambda: self.all_running(script, 1), 60)[0]
        self.apply(restricted_pod("stranger", ["/bin/sleep", "3600"]))
        self.wait_condition("pod/stranger", "Ready")
        stranger = self.get("pod", "stranger")
        good = self.token(pods[0])
        self.assertEqual(self.ask(job, good)[0], 200)

        self.assert_refused("no token", self.ask(job, None), 401)
        self.assert_refused("an empty token", self.ask(job, ""), 401)
        self.assert_refused("rubbish", self.ask(job, "a.b.c"), 401)
        self.assert_refused("a token without its signature", self.ask(job, good.rsplit(".", 1)[0] + "."), 401)
        self.assert_refused("another audience", self.ask(job, self.token(pods[0], "https://elsewhere")), 401)
        self.assert_refused("the API server's audience", self.ask(job, self.token(pods[0], None)), 401)
        now = int(time.time())
        self.assert_refused("expired", self.ask(job, signed_anew(good, iat=now - 900, nbf=now - 900, exp=now - 300)),
                            401)
        self.assertEqual(self.ask(job, signed_anew(good, exp=claims_of(good)["exp"] - 1))[0], 200)  # the key is right
        self.assert_refused("not yet valid", self.ask(job, signed_anew(good, iat=now + 600, nbf=now + 600,
                                                                       exp=now + 1200)), 401)
        self.assert_refused("bound to no pod", self.ask(job, self.token()), 403, "not bound to a pod")
        self.assert_refused("a pod of another job", self.ask(job, self.token(foreign)), 403, "belongs to job")
        # For the controller one that it has not heard of: it watches jobs' pods alone.
        self.assert_refused("a pod of no job", self.ask(job, self.token(stranger)), 503, "not known here")
        self.assert_refused("another job's pod for its own job's name elsewhere",
                            self.ask(script, good), 403, "belongs to job")

        # A worker may only speak for itself.
        other = {"group": "worker", "index": 1, "incarnation": pods[1]["metadata"]["uid"]}
        leave = {"worker": other, "generation": {"term": 1, "counter": 1}, "round": 1, "exitCode": 0, "reason": ""}
        self.assert_refused("in the name of another worker", self.ask(job, good, "leave", leave), 403)
        self.assert_refused("a job that is not there", self.ask_elsewhere(job, good), 404)

        # All the while nobody was disturbed.
        status = self.status(job)
        self.assertEqual(status["restarts"], 0)

    def ask_elsewhere(self, job, token):
        return self.ask(job, token, namespace="nowhere")

    def test_tokens_of_another_namespace_and_of_deleted_pods_are_refused(self):
        job = self.submit_demo(replicas=2, samples=ENDLESS)
        pods = self.wait_training(job, 2)
        elsewhere = self.namespace + "-2"
        harness.kubectl("create", "namespace", elsewhere)
        self.addCleanup(harness.kubectl, "delete", "namespace", elsewhere, "--wait=false")
        harness.kubectl("label", "namespace", elsewhere, f"{harness.NAMESPACE_LABEL}={harness.RUN}")
        wait_for("account", lambda: harness.kubectl("--namespace", elsewhere, "get", "serviceaccount", "default"))
        labels = pods[0]["metadata"]["labels"]
        copy = restricted_pod("copy", ["/bin/sleep", "3600"])
        copy["metadata"]["labels"] = labels
        harness.kubectl("--namespace", elsewhere, "apply", "--filename", "-", stdin=json.dumps(copy))
        copied = json.loads(harness.kubectl("--namespace", elsewhere, "get", "pod", "copy", "--output=json"))
        self.assert_refused("a pod of another namespace", self.ask(job, self.token(copied, namespace=elsewhere)), 403,
                            "is not of namespace")
        # With all labels of a worker, and no owner.
        copy["metadata"]["name"] = "imposter"
        self.apply(copy)
        token = self.token(self.get("pod", "imposter"))
        answer = wait_for("word of the pod", lambda: (a := self.ask(job, token))[0] != 503 and a, 20)
        self.assert_refused("a pod that only looks like a worker's", answer, 403)
        self.kubectl("delete", "pod", "imposter", "--now", "--wait=false")

        kept = self.token(pods[1])
        self.assertEqual(self.ask(job, kept)[0], 200)
        self.kubectl("delete", "pod", pods[1]["metadata"]["name"], "--wait=true", timeout=120)
        answer = wait_for("refusal", lambda: (a := self.ask(job, kept))[0] != 200 and a, 20)
        self.assert_refused("a deleted pod, known", answer, 403, "does not exist")
        self.assert_refused("a deleted pod, unknown", self.ask(job, signed_anew(kept, exp=claims_of(kept)["exp"] - 1)),
                            401)

    def test_a_standby_refers_to_the_leader(self):
        wait_for("leader", lambda: leader() in controllers(), 30)
        standby = next(pod for name, pod in controllers().items() if name != leader())
        code = harness.run(["curl", "--silent", "--insecure", "--max-time", "10", "--output", "/dev/null",
                            "--write-out", "%{http_code}",
                            f"https://{standby['status']['podIP']}:8443/v1/jobs/a/b/job"])
        self.assertEqual(code, "421")
