"""The cluster itself keeps the promises that all other scenarios build on."""
import base64
import json

import harness
from harness import restricted_pod


class ClusterTest(harness.ClusterTest):
    def test_every_node_is_ready_and_runs_pods(self):
        nodes = self.get("nodes")
        self.assertEqual([node["metadata"]["name"] for node in nodes], ["node1", "node2"])
        for node in nodes:
            self.wait_condition(f"node/{node['metadata']['name']}", "Ready")
        for n in (1, 2):
            self.apply(restricted_pod(f"on-node{n}", ["/bin/sleep", "60"], node=n))
        for n in (1, 2):
            self.wait_condition(f"pod/on-node{n}", "Ready")

    def test_the_scheduler_places_and_names_resolve(self):
        out = self.run_script("lookup", "nslookup kubernetes.default.svc.cluster.local")
        self.assertIn("10.214.0.1", out)

    def test_restricted_pod_security_is_enforced(self):
        pod = restricted_pod("root", ["/bin/true"])
        pod["spec"]["securityContext"]["runAsNonRoot"] = False
        with self.assertRaisesRegex(harness.CommandFailed, "violates PodSecurity"):
            self.apply(pod)
        who = self.run_script("user", "id -u; touch /x 2>&1 || true")
        self.assertIn("65532", who)
        self.assertIn("Read-only file system", who)

    def test_a_claim_is_shared_by_pods_on_both_nodes(self):
        self.shared_claim("store")
        volume = {"volumes": [{"name": "store", "persistentVolumeClaim": {"claimName": "store"}}],
                  "mounts": [{"name": "store", "mountPath": "/store"}]}
        self.run_script("writer", "echo from-node1 >/store/file", node=1, **volume)
        read = self.run_script("reader", "cat /store/file && echo from-node2 >>/store/file", node=2, **volume)
        self.assertEqual(read, "from-node1\n")
        read = self.run_script("again", "cat /store/file", node=1, **volume)
        self.assertEqual(read, "from-node1\nfrom-node2\n")

    def test_a_projected_token_has_the_audience_longstride(self):
        token = self.run_script(
            "token", "cat /token/token",
            volumes=[{"name": "token", "projected": {"sources": [
                {"serviceAccountToken": {"audience": "longstride", "path": "token", "expirationSeconds": 600}}]}}],
            mounts=[{"name": "token", "mountPath": "/token"}])
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        self.assertEqual(claims["aud"], ["longstride"])
        self.assertEqual(claims["kubernetes.io"]["pod"]["name"], "token")

        review = self.review(token, "longstride")
        self.assertTrue(review["authenticated"])
        uid = self.get("pod", "token")["metadata"]["uid"]
        self.assertEqual(review["user"]["extra"]["authentication.kubernetes.io/pod-uid"], [uid])
        self.assertFalse(self.review(token, "another").get("authenticated", False))

    def review(self, token, audience):
        """What the API server's TokenReview says of a token."""
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
                   "spec": {"token": token, "audiences": [audience]}}
        answer = self.kubectl("create", "--filename", "-", "--output=json", stdin=json.dumps(request))
        return json.loads(answer)["status"]
