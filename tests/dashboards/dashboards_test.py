#!/usr/bin/env python3
"""Dashboards ask only for metrics and labels that docs/metrics.md and docs/controller-metrics.md name."""

import json
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCS = [ROOT / "docs/metrics.md", ROOT / "docs/controller-metrics.md"]
DASHBOARDS = sorted((ROOT / "dashboards").glob("*.json"))
# Set by the scrape, or by relabelling (docs/operations.md), on all series.
SCRAPE_LABELS = {"job", "instance", "job_name", "job_namespace", "pod", "le"}
REPLICA = 'leader_election_master_status{name="longstride-controller"}'
WORDS = {
    "and", "or", "unless", "by", "on", "without", "ignoring", "group_left", "sum", "count", "max", "min", "avg",
    "topk", "rate", "increase", "histogram_quantile", "scalar", "label_values",
}


def documented():
    """Name -> (type, labels)."""
    metrics = {}
    for path in DOCS:
        for line in path.read_text(encoding="utf-8").splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if len(cells) == 5 and cells[0].startswith("`"):
                metrics[cells[0].strip("`")] = (cells[1], set(re.findall(r"`(\w+)`", cells[3])))
    return metrics


def base(name, metrics):
    for suffix in ("_bucket", "_sum", "_count"):
        stem = name.removesuffix(suffix)
        if stem != name and metrics.get(stem, ("",))[0] == "histogram":
            return stem
    return name


def queries(dashboard):
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], re.sub(r", *\w+\)$", ")", variable["query"]["query"])


def selectors(query):
    """(metric, labels of its matchers), and labels that are grouped or matched by."""
    grouping = re.findall(r"\b(?:by|on|without|ignoring|group_left) *\(([^)]*)\)", query)
    text = re.sub(r"\b(?:by|on|without|ignoring|group_left) *\([^)]*\)", " ", query)
    found = re.findall(r"([a-zA-Z_:][\w:]*)(?:\{([^}]*)\})?", re.sub(r"\[[^\]]*\]", " ", text))
    metrics = [(name, re.findall(r"(\w+) *(?:=~|!=|!~|=)", inner)) for name, inner in found if name not in WORDS]
    labels = {label.strip() for group in grouping for label in group.split(",") if label.strip()}
    return metrics, labels


class Dashboards(unittest.TestCase):
    def each_query(self):
        self.assertGreaterEqual(len(DASHBOARDS), 3)
        for path in DASHBOARDS:
            for title, query in queries(json.loads(path.read_text(encoding="utf-8"))):
                with self.subTest(dashboard=path.stem, panel=title, query=query):
                    yield query

    def test_every_metric_and_label_is_documented(self):
        metrics = documented()
        self.assertIn("longstride_worker_round", metrics)
        for query in self.each_query():
            used, grouping = selectors(query)
            self.assertTrue(used)
            known = set(SCRAPE_LABELS)
            for name, labels in used:
                self.assertIn(base(name, metrics), metrics)
                own = metrics[base(name, metrics)][1] | SCRAPE_LABELS
                self.assertLessEqual(set(labels), own, name)
                known |= own
            self.assertLessEqual(grouping, known)

    def test_metrics_whose_names_other_programs_share_are_asked_of_the_controller_alone(self):
        shared = 0
        for query in self.each_query():
            names = [name for name, _ in selectors(query)[0] if not name.startswith("longstride_")]
            others = [name for name in names if name != "leader_election_master_status"]
            self.assertEqual(query.count(REPLICA), names.count("leader_election_master_status"))
            self.assertEqual(query.count(f" and on (job, instance) {REPLICA}"), len(others))
            shared += len(others)
        self.assertGreater(shared, 0)

    def test_histograms_are_read_by_their_buckets_and_nothing_else_is(self):
        metrics = documented()
        for query in self.each_query():
            for name, _ in selectors(query)[0]:
                self.assertEqual(metrics[base(name, metrics)][0] == "histogram", base(name, metrics) != name, name)

    def test_legends_name_labels_that_the_result_has(self):
        for path in DASHBOARDS:
            for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
                for target in panel.get("targets", []):
                    grouped = re.match(r"\(?sum by \(([^)]*)\)", target["expr"])
                    if grouped:
                        labels = {label.strip() for label in grouped.group(1).split(",")}
                        with self.subTest(dashboard=path.stem, panel=panel["title"]):
                            used = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
                            self.assertLessEqual(used, labels)

    def test_the_chart_ships_the_same_files(self):
        shipped = {p.name: p.read_bytes() for p in (ROOT / "charts/longstride/dashboards").glob("*.json")}
        self.assertEqual(shipped, {p.name: p.read_bytes() for p in DASHBOARDS})


if __name__ == "__main__":
    unittest.main()
