"""The images of images/ run under the restricted Pod Security level with a read-only root."""
import harness
from harness import restricted_pod


class ImagesTest(harness.ClusterTest):
    def test_the_controller_starts(self):
        self.assert_helps("longstride/controller", "longstride-controller")

    def test_the_worker_starts(self):
        self.assert_helps("longstride/worker", "longstride-worker")

    def test_the_worker_with_data_starts(self):
        self.assert_helps("longstride/worker-fashion-mnist", "longstride-worker")

    def assert_helps(self, image, program):
        pod = restricted_pod("help", image=f"{image}:{harness.project_version()}")
        pod["spec"]["containers"][0]["args"] = ["--help"]
        self.assertIn(program, self.run_to_end(pod))
