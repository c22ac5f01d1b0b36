"""Addresses in MLflow's UI, on its view for model training."""

import json
from collections.abc import Sequence
from urllib.parse import quote

from angle_domains.addresses import without_user

DEFAULT_PORT = 5000
_VIEW = "workflowType=machine_learning"


def ui_base(uri: str, port: int = DEFAULT_PORT) -> str:
    """Where the UI of a store answers: the server itself, or the one that `angle-domains ui` starts on this machine."""
    return without_user(uri) if uri.startswith(("http://", "https://")) else f"http://127.0.0.1:{port}"


def home_link(base: str) -> str:
    return f"{base}/#/experiments?{_VIEW}"


def experiment_link(base: str, experiment_id: str) -> str:
    """The runs of an experiment as charts."""
    return f"{base}/#/experiments/{experiment_id}/runs?{_VIEW}&compareRunsMode=CHART"


def run_link(base: str, experiment_id: str, run_id: str) -> str:
    return f"{base}/#/experiments/{experiment_id}/runs/{run_id}?{_VIEW}"


def compare_link(base: str, run_ids: Sequence[str], experiment_ids: Sequence[str]) -> str:
    """The runs side by side: parallel coordinates, scatter, box and contour plots, parameters, metrics."""
    runs, experiments = (quote(json.dumps(list(ids), separators=(",", ":"))) for ids in (run_ids, experiment_ids))
    return f"{base}/#/compare-runs?runs={runs}&experiments={experiments}&{_VIEW}"
