"""Small builders of Grafana's dashboard JSON: rows of panels, laid out from left to right.

A panel is (title, description, unit, queries, options); a query is (PromQL, legend). Every dashboard has the same
variables (data source, namespace, job), the same refresh, and cannot be edited in place: change generate.py instead.
"""

WIDTH = 24
RATE = "$__rate_interval"
JOB = 'job_namespace=~"$job_namespace", job_name=~"$job_name"'


def _target(index, query, legend, instant):
    return {
        "refId": chr(ord("A") + index),
        "datasource": {"type": "prometheus", "uid": "$datasource"},
        "expr": query,
        "legendFormat": legend,
        "instant": instant,
        "range": not instant,
    }


def _panel(kind, title, description, unit, queries, **options):
    instant = kind in ("stat", "bargauge")
    defaults = {"unit": unit, "custom": {}, "color": {"mode": "palette-classic"}}
    for key in ("min", "max", "decimals"):
        if key in options:
            defaults[key] = options[key]
    if kind == "timeseries":
        defaults["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 25 if options.get("stack") else 0,
            "showPoints": "never",
            "stacking": {"mode": "normal" if options.get("stack") else "none", "group": "A"},
            "scaleDistribution": {"type": "log", "log": 2} if options.get("log") else {"type": "linear"},
        }
    panel = {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": {"type": "prometheus", "uid": "$datasource"},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {},
        "targets": [_target(i, q, legend, instant) for i, (q, legend) in enumerate(queries)],
    }
    if kind == "timeseries":
        panel["options"] = {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    else:
        panel["options"] = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
        if kind == "stat":
            panel["options"].update({"colorMode": "none", "graphMode": "none",
                                     "textMode": options.get("text", "auto")})
    return panel


def stat(title, description, unit, query, legend="{{job_name}}", **options):
    """One number for each series of an instant query; text="name" shows its legend instead."""
    return _panel("stat", title, description, unit, [(query, legend)], **options)


def graph(title, description, unit, *queries, **options):
    """Lines over time. Options: stack, log, min, max, decimals."""
    return _panel("timeseries", title, description, unit, list(queries), **options)


def bars(title, description, unit, query, legend, **options):
    """One bar for each series of an instant query."""
    return _panel("bargauge", title, description, unit, [(query, legend)], **options)


def _variable(name, label, query, multi):
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "$datasource"},
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": multi,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": "All", "value": "$__all"},
    }


def _data_source():
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "current": {},
    }


def _variables(of_jobs):
    if not of_jobs:
        return [_data_source()]
    return [
        _data_source(),
        _variable("job_namespace", "Namespace", "label_values(longstride_job_round, job_namespace)", True),
        _variable(
            "job_name",
            "Training job",
            'label_values(longstride_job_round{job_namespace=~"$job_namespace"}, job_name)',
            True,
        ),
    ]


def dashboard(uid, title, description, rows, of_jobs=True):
    """`rows`: (heading, height, panels), panels of one row sharing its width evenly."""
    panels, y = [], 0
    for heading, height, row in rows:
        panels.append(
            {"type": "row", "title": heading, "collapsed": False, "panels": [],
             "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}}
        )
        y += 1
        width = WIDTH // len(row)
        for i, panel in enumerate(row):
            panels.append({**panel, "gridPos": {"x": i * width, "y": y, "w": width, "h": height}})
        y += height
    for i, panel in enumerate(panels):
        panel["id"] = i + 1
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["longstride"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [
            {"type": "dashboards", "title": "longstride", "tags": ["longstride"], "asDropdown": True,
             "includeVars": True, "keepTime": True}
        ],
        "templating": {"list": _variables(of_jobs)},
        "panels": panels,
    }
