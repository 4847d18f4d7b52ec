"""Every panel of the dashboards shows data while a job trains, scraped as docs/operations.md says."""
import json
import math
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import urllib.request

import harness
from harness import wait_for
from operator_test import FASHION, WithOperator, kill_container, uids

OPERATIONS = harness.REPOSITORY / "docs/operations.md"
DASHBOARDS = sorted((harness.REPOSITORY / "dashboards").glob("*.json"))
RATE_INTERVAL = "30s"


def documented_scrapes(targets):
    """The scrape_configs of the documentation, with a file in place of the discovery, which Debian's build lacks."""
    text = re.search(r"^    scrape_configs:\n(?:    .*\n)+", OPERATIONS.read_text(encoding="utf-8"), re.M)[0]
    text = "".join(line[4:] + "\n" for line in text.splitlines())
    return re.sub(r"kubernetes_sd_configs: .*", f"file_sd_configs: [{{files: [{targets}], refresh_interval: 1s}}]", text)


def discovered():
    """Every port of every pod, with the labels that discovery gives it."""
    targets = []
    for pod in json.loads(harness.kubectl("get", "pods", "--all-namespaces", "--output=json"))["items"]:
        if "podIP" not in pod["status"] or pod["spec"].get("hostNetwork"):
            continue
        labels = {"namespace": pod["metadata"]["namespace"], "pod_name": pod["metadata"]["name"],
                  "pod_phase": pod["status"]["phase"]}
        for name, value in pod["metadata"].get("labels", {}).items():
            name = re.sub(r"\W", "_", name)
            labels |= {f"pod_label_{name}": value, f"pod_labelpresent_{name}": "true"}
        for container in pod["spec"]["containers"]:
            for port in container.get("ports", []):
                ours = labels | {"pod_container_name": container["name"], "pod_container_port_name": port.get("name", "")}
                targets.append({"targets": [f"{pod['status']['podIP']}:{port['containerPort']}"],
                                "labels": {f"__meta_kubernetes_{name}": value for name, value in ours.items()}})
    return targets


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def queries(dashboard):
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


@unittest.skipUnless(shutil.which("prometheus"), "there is no prometheus (Debian: apt install prometheus)")
class DashboardsTest(WithOperator):
    def prometheus(self):
        """Scrapes every two seconds until the scenario's end; returns its address."""
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        config, self.targets = f"{directory.name}/prometheus.yml", pathlib.Path(directory.name, "targets.json")
        self.discover()
        with open(config, "w", encoding="utf-8") as file:
            file.write("global: {scrape_interval: 2s, scrape_timeout: 2s}\n" + documented_scrapes(self.targets))
        address = f"127.0.0.1:{free_port()}"
        with open(f"{directory.name}/log", "w", encoding="utf-8") as log:
            server = subprocess.Popen(["prometheus", f"--config.file={config}", f"--web.listen-address={address}",
                                       f"--storage.tsdb.path={directory.name}/data", "--log.level=warn"], stderr=log,
                                      stdout=log)
        self.addCleanup(server.wait, 30)
        self.addCleanup(server.terminate)
        wait_for("prometheus", lambda: self.query(address, "vector(1)"), 30)
        return address

    def discover(self):
        self.targets.with_suffix(".new").write_text(json.dumps(discovered()), encoding="utf-8")
        self.targets.with_suffix(".new").rename(self.targets)

    def query(self, address, expression):
        """The values of an instant query."""
        url = f"http://{address}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                result = json.load(answer)["data"]["result"]
        except OSError as error:
            raise AssertionError(f"{expression}: {error}") from error
        return [float(series["value"][1]) for series in result]

    def test_every_panel_shows_data(self):
        address = self.prometheus()
        job = self.load(FASHION)
        job["spec"].update(replicas=2, evaluation={"everySamples": 8192}, checkpoint={"everyRounds": 5})
        job["spec"]["training"].update(maxEpochs=100, localSteps={"policy": "constant", "steps": 16})
        self.apply(job)
        name = job["metadata"]["name"]
        before = self.wait_training(name, 2, rounds=5)
        self.discover()
        kill_container(before[1])
        wait_for("another in its place",
                 lambda: (p := self.all_ready(name, 2)) and uids(p)[1] != uids(before)[1], 120, every=1)
        self.discover()
        self.wait_training(name, 2, rounds=5)
        variables = {"$job_namespace": self.namespace, "$job_name": name, "$__rate_interval": RATE_INTERVAL}
        began, asked = time.monotonic(), 0
        for path in DASHBOARDS:
            dashboard = json.loads(path.read_text(encoding="utf-8"))
            for title, expression in queries(dashboard):
                for variable, value in variables.items():
                    expression = expression.replace(variable, value)
                self.assertNotIn("$", expression)
                asked += 1
                with self.subTest(dashboard=path.stem, panel=title):
                    def shown(expression=expression):
                        return [v for v in self.query(address, expression) if not math.isnan(v)]
                    self.assertTrue(wait_for(f"data of {expression}", shown, 45, every=1))
            for variable in dashboard["templating"]["list"]:
                if variable["type"] == "query":
                    self.assert_variable(address, path.stem, variable)
        print(f"{asked} expressions answered in {time.monotonic() - began:.1f} s")

    def assert_variable(self, address, dashboard, variable):
        """label_values(selector, label) finds the scenario's job."""
        selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
        selector = selector.replace("$job_namespace", self.namespace)
        with self.subTest(dashboard=dashboard, variable=variable["name"]):
            self.assertTrue(self.query(address, f"count by ({label}) ({selector})"))
