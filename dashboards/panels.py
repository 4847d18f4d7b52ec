"""What all panels and dashboards have in common, said with Grafana's Foundation SDK (docs/adr/0016).

A panel is (title, description, unit, queries, options); a query is (PromQL, legend). Every dashboard has the same
variables (data source, namespace, job), the same refresh, and cannot be edited in place: change generate.py instead.
"""

from grafana_foundation_sdk.builders import bargauge, common, prometheus, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import stat as stats
from grafana_foundation_sdk.models import common as models
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync, DashboardLinkType, FieldColorModeId, VariableOption, VariableRefresh, VariableSort)

WIDTH = 24
LABEL_VALUES = 1  # what the editor of a variable's query shows it as
RATE = "$__rate_interval"
JOB = 'job_namespace=~"$job_namespace", job_name=~"$job_name"'
DATA_SOURCE = models.DataSourceRef(type_val="prometheus", uid="$datasource")


def _query(index, expression, legend):
    return (prometheus.Dataquery().ref_id(chr(ord("A") + index)).datasource(DATA_SOURCE)
            .expr(expression).legend_format(legend))


def _described(panel, title, description, unit, min=None, max=None, decimals=None):
    panel.title(title).description(description).unit(unit).datasource(DATA_SOURCE)
    panel.color_scheme(builders.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC))
    for value, set_it in ((min, panel.min), (max, panel.max), (decimals, panel.decimals)):
        if value is not None:
            set_it(value)
    return panel


def _latest(panel, expression, legend):
    """One value for each series of an instant query."""
    return (panel.with_target(_query(0, expression, legend).instant())
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False)))


def stat(title, description, unit, query, legend="{{job_name}}", text=models.BigValueTextMode.AUTO, **options):
    """One number for each series of an instant query; text=NAME shows its legend instead."""
    panel = _latest(_described(stats.Panel(), title, description, unit, **options), query, legend)
    return (panel.text_mode(text).color_mode(models.BigValueColorMode.NONE)
            .graph_mode(models.BigValueGraphMode.NONE))


def bars(title, description, unit, query, legend, **options):
    """One bar for each series of an instant query."""
    return _latest(_described(bargauge.Panel(), title, description, unit, **options), query, legend)


def graph(title, description, unit, *queries, stack=False, log=False, **options):
    """Lines over time, stacked or on a logarithmic scale if asked."""
    panel = _described(timeseries.Panel(), title, description, unit, **options)
    panel.line_width(1).fill_opacity(25 if stack else 0).show_points(models.VisibilityMode.NEVER)
    if stack:
        panel.stacking(common.StackingConfig().mode(models.StackingMode.NORMAL).group("A"))
    if log:
        panel.scale_distribution(common.ScaleDistributionConfig().type(models.ScaleDistribution.LOG).log(2))
    panel.legend(common.VizLegendOptions().show_legend(True).display_mode(models.LegendDisplayMode.LIST)
                 .placement(models.LegendPlacement.BOTTOM))
    panel.tooltip(common.VizTooltipOptions().mode(models.TooltipDisplayMode.MULTI).sort(models.SortOrder.DESCENDING))
    for index, (expression, legend) in enumerate(queries):
        panel.with_target(_query(index, expression, legend).range())
    return panel


def _label_variable(name, label, metric):
    query = f"label_values({metric}, {name})"
    return (builders.QueryVariable(name).label(label).datasource(DATA_SOURCE)
            .query({"qryType": LABEL_VALUES, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"})
            .definition(query)
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)
            .multi(True).include_all(True).all_value(".+").current(VariableOption(text=["All"], value=["$__all"])))


def _variables(of_jobs):
    yield builders.DatasourceVariable("datasource").label("Data source").type("prometheus")
    if of_jobs:
        yield _label_variable("job_namespace", "Namespace", "longstride_job_round")
        yield _label_variable("job_name", "Training job", 'longstride_job_round{job_namespace=~"$job_namespace"}')


def dashboard(uid, title, description, rows, of_jobs=True):
    """`rows`: (heading, height, panels), panels of one row sharing its width evenly."""
    board = (builders.Dashboard(title).uid(uid).description(description).tags(["longstride"]).version(1).readonly()
             .tooltip(DashboardCursorSync.CROSSHAIR).refresh("10s").time("now-1h", "now")
             .timezone(models.TimeZoneBrowser).annotations([]).variables(list(_variables(of_jobs))))
    # Without a placement the links are in sight; the SDK's own would put them into a menu.
    board.link(builders.DashboardLink("longstride").type(DashboardLinkType.DASHBOARDS).tags(["longstride"])
               .as_dropdown(True).include_vars(True).keep_time(True).placement(None))
    number = 0
    for heading, height, panels in rows:
        number += 1
        board.with_row(builders.Row(heading).id(number))
        for panel in panels:
            number += 1
            board.with_panel(panel.id(number).height(height).span(WIDTH // len(panels)))
    return board.build()
