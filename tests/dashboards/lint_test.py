#!/usr/bin/env python3
"""Dashboards keep those rules of Grafana's dashboard-linter that fit them, and a few more (docs/adr/0016)."""

import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from dashboards_test import DASHBOARDS, selectors

DATA_SOURCE = {"type": "prometheus", "uid": "$datasource"}
VARIABLES = {"job_namespace", "job_name"}
COLUMNS = 24


def dashboards():
    for path in DASHBOARDS:
        yield path.stem, json.loads(path.read_text(encoding="utf-8"))


def panels():
    """(where it is, panel), without rows."""
    for name, dashboard in dashboards():
        for panel in dashboard["panels"]:
            if panel["type"] != "row":
                yield f"{name}: {panel['title']}", panel


def query_variables(dashboard):
    return [variable for variable in dashboard["templating"]["list"] if variable["type"] == "query"]


def cells(panel):
    place = panel["gridPos"]
    return [(x, y) for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])]


class Lint(unittest.TestCase):
    def test_dashboards_say_what_they_are_for_and_cannot_be_edited_in_place(self):
        for name, dashboard in dashboards():
            self.assertTrue(dashboard["title"] and dashboard["description"], name)
            self.assertRegex(dashboard["uid"], r"^[a-z-]{8,40}$")
            self.assertIs(dashboard["editable"], False, name)

    def test_panels_have_a_title_a_description_a_unit_and_queries(self):
        for where, panel in panels():
            unit = panel["fieldConfig"]["defaults"]["unit"]
            self.assertTrue(panel["title"] and panel["description"] and unit and panel["targets"], where)

    def test_the_data_source_is_the_first_variable_and_everything_asks_it(self):
        for name, dashboard in dashboards():
            first = dashboard["templating"]["list"][0]
            self.assertEqual([first[key] for key in ("name", "label", "type", "query")],
                             ["datasource", "Data source", "datasource", "prometheus"], name)
            for variable in query_variables(dashboard):
                self.assertEqual(variable["datasource"], DATA_SOURCE, name)
        for where, panel in panels():
            for asking in (panel, *panel["targets"]):
                self.assertEqual(asking["datasource"], DATA_SOURCE, where)

    def test_variables_follow_the_time_range_and_all_means_all(self):
        for name, dashboard in dashboards():
            for variable in query_variables(dashboard):
                where = f"{name}: {variable['name']}"
                self.assertEqual(variable["refresh"], 2, where)
                self.assertTrue(variable["multi"] and variable["includeAll"], where)
                self.assertEqual(variable["allValue"], ".+", where)
                self.assertEqual(variable["current"], {"text": ["All"], "value": ["$__all"]}, where)
                self.assertEqual(variable["definition"], variable["query"]["query"], where)

    def test_every_series_is_matched_by_the_variables_that_there_are(self):
        for name, dashboard in dashboards():
            variables = {variable["name"] for variable in query_variables(dashboard)}
            self.assertIn(variables, (set(), VARIABLES), name)
            for target in [target for panel in dashboard["panels"] for target in panel.get("targets", [])]:
                series = len(selectors(target["expr"])[0]) if variables else 0
                for variable in VARIABLES:
                    used = len(re.findall(rf"\${variable}\b", target["expr"]))
                    self.assertEqual(used, series, f"{name}: {target['expr']}")
                    # Several values are joined by |, which only =~ takes.
                    matched = target["expr"].count(f'{variable}=~"${variable}"')
                    self.assertEqual(matched, series, f"{name}: {target['expr']}")

    def test_jobs_of_one_name_in_two_namespaces_are_not_taken_together(self):
        for where, panel in panels():
            for target in panel["targets"]:
                for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", target["expr"]):
                    labels = labels.split(", ")
                    self.assertEqual("job_name" in labels, "job_namespace" in labels, where)

    def test_rates_are_over_grafanas_interval(self):
        for where, panel in panels():
            for target in panel["targets"]:
                rates = len(re.findall(r"\brate\(", target["expr"]))
                self.assertEqual(target["expr"].count("[$__rate_interval]"), rates, where)

    def test_panels_and_queries_are_told_apart(self):
        for name, dashboard in dashboards():
            numbers = [panel["id"] for panel in dashboard["panels"]]
            self.assertCountEqual(set(numbers), numbers, name)
        for where, panel in panels():
            letters = [target["refId"] for target in panel["targets"]]
            self.assertCountEqual(set(letters), letters, where)

    def test_panels_lie_on_the_grid_and_not_on_each_other(self):
        for name, dashboard in dashboards():
            taken = [cell for panel in dashboard["panels"] for cell in cells(panel)]
            self.assertEqual(len(set(taken)), len(taken), name)
            self.assertTrue(all(0 <= x < COLUMNS for x, _ in taken), name)

    @unittest.skipUnless(shutil.which("promtool"), "there is no promtool (Debian: apt install prometheus)")
    def test_prometheus_parses_every_query(self):
        rules = [{"record": f"query:number_{number}", "expr": query.replace("$__rate_interval", "1m")}
                 for number, query in enumerate(target["expr"] for _, panel in panels() for target in panel["targets"])]
        with tempfile.TemporaryDirectory() as directory:
            file = pathlib.Path(directory, "rules.json")  # which is YAML
            file.write_text(json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}), encoding="utf-8")
            done = subprocess.run(["promtool", "check", "rules", str(file)], capture_output=True, text=True,
                                  check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
