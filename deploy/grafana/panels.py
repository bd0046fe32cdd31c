"""The building blocks of a dashboard, as Grafana's JSON model has them."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

DATASOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24  # of a dashboard, in Grafana's columns
STAT_HEIGHT, GRAPH_HEIGHT = 4, 8

INSTANCE = 'instance=~"$instance"'
ASKED = f'{INSTANCE},task=~"$task",model=~"$model"'  # series of requests
RUN = f'{INSTANCE},model=~"$model"'  # series of batches
MINE = f'job="roberta",{INSTANCE}'
EVERY = "[$__rate_interval]"
GREEN = ((None, "green"),)
BLUE = ((None, "blue"),)
BAD_ABOVE_ZERO = ((None, "green"), (1, "red"))
# Grafana gives a number that is not there the color of the lowest threshold, which is green where zero is good.
NO_DATA = "no data"
UNKNOWN: Json = {
    "type": "special",
    "options": {"match": "null+nan", "result": {"text": NO_DATA, "color": "#808080", "index": 0}},
}


def rate(series: str, by: str = "", where: str = ASKED) -> str:
    """Return the rate of a counter, summed."""
    return f"sum {grouping(by)}(rate({series}{{{where}}}{EVERY}))"


def ratio(over: str, under: str) -> str:
    """Return a quotient that has no value where nothing is counted."""
    return f"{over} / ({under} > 0)"


def mean(histogram: str, by: str = "", where: str = ASKED) -> str:
    return ratio(rate(f"{histogram}_sum", by, where), rate(f"{histogram}_count", by, where))


def quantile(share: float, histogram: str, by: str = "", where: str = ASKED) -> str:
    """Return a quantile of a histogram of seconds; no value where nothing is counted."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', labels, where)}) >= 0"


def grouping(by: str) -> str:
    return f"by ({by}) " if by else ""


def target(expr: str, legend: str = "", **fields: Any) -> Json:
    return {"expr": expr, "legendFormat": legend, **fields}


def steps(thresholds: tuple[tuple[float | None, str], ...]) -> Json:
    return {"mode": "absolute", "steps": [{"value": value, "color": color} for value, color in thresholds]}


def stat(
    title: str,
    description: str,
    unit: str,
    expr: str,
    thresholds: tuple[tuple[float | None, str], ...] = BLUE,
    legend: str = "",
    mappings: tuple[Json, ...] = (),
    **defaults: Any,
) -> Json:
    """Return one number: that of this moment, so that a service that is down shows none of before, in gray."""
    return {
        "type": "stat",
        "title": title,
        "description": description,
        "targets": [target(expr, legend, instant=True, range=False)],
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "color": {"mode": "thresholds"},
                "noValue": NO_DATA,
                "mappings": [UNKNOWN, *mappings],
                "thresholds": steps(thresholds),
                **defaults,
            },
            "overrides": [],
        },
        "options": {
            "reduceOptions": {"calcs": ["last"], "fields": "", "values": False},
            "colorMode": "background",
            "graphMode": "none",
        },
    }


def graph(title: str, description: str, unit: str, *targets: Json, stacked: bool = False, **defaults: Any) -> Json:
    """Return lines over time."""
    custom = {
        "drawStyle": "line",
        "lineWidth": 2,
        "fillOpacity": 40 if stacked else 0,
        "showPoints": "never",
        "lineInterpolation": "linear",
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    return {
        "type": "timeseries",
        "title": title,
        "description": description,
        "targets": list(targets),
        "fieldConfig": {
            "defaults": {"unit": unit, "min": 0, "noValue": NO_DATA, "custom": custom, **defaults},
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def heatmap(title: str, description: str, unit: str, histogram: str, where: str = RUN) -> Json:
    """Return the buckets of a histogram over time, as they were counted: no quantile between two bounds."""
    expr = f"sum by (le) (increase({histogram}_bucket{{{where}}}{EVERY}))"
    return {
        "type": "heatmap",
        "title": title,
        "description": description,
        "targets": [target(expr, "{{le}}", format="heatmap")],
        "fieldConfig": {
            "defaults": {"unit": unit, "custom": {"scaleDistribution": {"type": "linear"}}},
            "overrides": [],
        },
        "options": {
            "calculate": False,
            "cellGap": 1,
            "color": {"mode": "scheme", "scheme": "Blues", "steps": 32},
            "yAxis": {"unit": unit},
            "tooltip": {"mode": "single", "yHistogram": True},
        },
    }


def table(
    title: str,
    description: str,
    expr: str,
    columns: dict[str, str],
    hidden: tuple[str, ...] = (),
    links: tuple[Json, ...] = (),
) -> Json:
    """Return the series of this moment, a row for each; `columns` are labels with the names that are shown."""
    order = {label: position for position, label in enumerate(columns)}
    return {
        "type": "table",
        "title": title,
        "description": description,
        "targets": [target(expr, "", format="table", instant=True, range=False)],
        "fieldConfig": {"defaults": {"unit": "none", "noValue": "none", "links": list(links)}, "overrides": []},
        "options": {"showHeader": True, "cellHeight": "sm"},
        "transformations": [
            {
                "id": "organize",
                "options": {
                    "excludeByName": dict.fromkeys(("Time", "__name__", "job", *hidden), True),
                    "indexByName": order,
                    "renameByName": columns,
                },
            }
        ],
    }


def row(title: str) -> Json:
    return {"type": "row", "title": title, "collapsed": False, "panels": []}


def placed(rows: list[tuple[str, list[Json]]]) -> list[Json]:
    """Return panels under their row's title, those of one row side by side, with places, ids and letters."""
    panels: list[Json] = []
    y = 0
    for title, members in rows:
        panels.append({**row(title), "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": y}})
        y += 1
        height = STAT_HEIGHT if members[0]["type"] == "stat" else GRAPH_HEIGHT
        width = WIDTH // len(members)
        for position, panel in enumerate(members):
            panels.append({**panel, "gridPos": {"h": height, "w": width, "x": position * width, "y": y}})
        y += height
    for number, panel in enumerate(panels, start=1):
        panel["id"] = number
        panel["datasource"] = DATASOURCE
        for letter, each in zip("ABCDEFGH", panel.get("targets", ()), strict=False):
            each["refId"] = letter
    return panels


def variable(name: str, label: str, of: str) -> Json:
    """Return a choice among the values of a label; all of them at first."""
    query = f"label_values({of}, {name})"
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"qryType": 1, "query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def dashboard(uid: str, title: str, description: str, panels: list[Json], *, chooses_model: bool = True) -> Json:
    """Return a dashboard, with what all of them have: variables, marks of alerts and of new versions, and links."""
    variables = [
        {
            "name": "datasource",
            "label": "Data",
            "type": "datasource",
            "query": "prometheus",
            "current": {"selected": True, "text": "Prometheus", "value": "prometheus"},
        },
        variable("instance", "Instance", 'up{job="roberta"}'),
    ]
    if chooses_model:
        variables += [
            variable("task", "Task", "roberta_requests_total"),
            variable("model", "Model", "roberta_requests_total"),
        ]
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["roberta"],
        "schemaVersion": 41,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "5s",
        "timezone": "browser",
        "time": {"from": "now-15m", "to": "now"},
        "templating": {"list": variables},
        "annotations": {
            "list": [
                mark("Alerts", "red", 'ALERTS{service="roberta",alertstate="firing"}', "{{alertname}}"),
                mark(
                    "New versions",
                    "blue",
                    f"roberta_model_info{{{INSTANCE}}} unless roberta_model_info offset 1m",
                    "{{model}} {{version}}",
                ),
            ]
        },
        "links": [
            {
                "title": "Dashboards and runbook",
                "type": "dashboards",
                "tags": ["roberta"],
                "asDropdown": False,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "panels": panels,
    }


def mark(name: str, color: str, expr: str, title: str) -> Json:
    return {
        "name": name,
        "enable": True,
        "iconColor": color,
        "datasource": DATASOURCE,
        "expr": expr,
        "titleFormat": title,
        "textFormat": "{{task}} {{model}} {{instance}}",
        "step": "15s",
    }
