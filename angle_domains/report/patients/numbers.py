"""All numbers of a clinical report as plain data: the JSON beside the page, and what the other forms are made from."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from angle_domains.errors import CheckpointError
from angle_domains.evaluation.clinical import BANNER, ClinicalValue
from angle_domains.report import RunSummary
from angle_domains.report.patients.decisions import decision_rows
from angle_domains.report.patients.guidelines import items

SCHEMA, VERSION = "angle-domains/clinical-report", 2  # the version rises where a key changes its meaning or goes


def numbers(found: ClinicalValue, run: RunSummary, sentence: str) -> dict[str, Any]:
    """JSON-ready; what is not told of few patients is null here too."""
    study = found.study
    content = {
        "schema": SCHEMA,
        "version": VERSION,
        "banner": BANNER,
        "part": found.split,
        "verdict": sentence,
        "run": _run(run),
        "records": {
            "name": found.name,
            "digest": study and study.digest,
            "columns": study and study.columns,
            "profile": found.source,
        },
        "value": _value(found),
        "cohort": study and asdict(study.flow),
        "practice": [asdict(each) for each in study.practices] if study else [],
        "outcomes": [asdict(each) for each in study.curves] if study else [],
        "associations": [asdict(each) for each in study.associations] if study else [],
        "subgroups": [asdict(each) for each in study.groups] if study else [],
        "decisions": [asdict(each) for each in decision_rows(found)],
        "guidelines": [asdict(each) for each in items(found, run)],
    }
    return dict(plain(content))


def _run(run: RunSummary) -> dict[str, Any]:
    return {
        "name": run.name,
        "feed": run.feed,
        "agent": run.agent,
        "seeds": list(run.seeds),
        "steps": run.steps,
        "seconds": run.seconds,
        "test_openings": run.test_openings,
        "curve": [list(point) for point in run.curve],
        "provenance": dict(run.provenance),
        "config": dict(run.config),
    }


def _value(found: ClinicalValue) -> dict[str, Any]:
    """Estimates by name; what they share stands beside them once."""
    shared = ("diagnostics", "judgement")
    first = next(iter(found.estimates.values()), None)
    return {
        "observed": found.observed_told,
        "gamma": found.judging.gamma,
        "intervals": {
            "method": found.judging.interval,
            "level": found.judging.level,
            "draws": found.judging.draws,
            "beside": "resampled" if found.judging.interval != "percentile" else None,
        },
        "agreement": found.agreement,
        "agreement_is": "share of decisions" if found.intent.policy is not None else "mean difference of doses",
        "policy_valued": found.valued,
        "truth": found.truth,
        "truth_in_use": found.truth_in_use,
        "q_self": {
            "first_decisions": found.q_self,
            "all_decisions": found.study.belief and asdict(found.study.belief) if found.study else None,
            "note": "the agent's own belief, no estimate of its value",
        },
        "true_survival": found.ward
        and {
            "share": found.ward.survival,
            "standard_error": found.ward.error,
            "share_ended_alive": found.ward.paid,
            "note": "estimates of the reward survival are of share_ended_alive: a record that was cut earns nothing",
        },
        "drugs": found.drugs,
        "propensities": found.behaviour,
        "fitted_values": found.fitted,
        "model_of_patients": found.foreseen and found.foreseen.words(),
        "robust": found.robust and asdict(found.robust),
        "openings": found.openings,
        "refused": found.refused if found.estimates else None,
        "overridden": found.overridden,
        "estimates": {
            name: {key: value for key, value in each.plain().items() if key not in shared}
            for name, each in found.estimates.items()
        },
        **{key: first and asdict(first)[key] for key in shared},
    }


def plain(value: Any) -> Any:
    """Without what JSON does not know: tuples and NumPy's numbers are made plain, what is no finite number null."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(content: Mapping[str, Any], path: Path) -> Path:
    path.write_text(json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False, default=str), encoding="utf-8")
    return path


def read_json(path: Path) -> dict[str, Any]:
    """A report that was written; CheckpointError where it is none, or of another version."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        schema, version = content["schema"], content["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is no clinical report: {type(error).__name__}") from error
    if (schema, version) != (SCHEMA, VERSION):
        raise CheckpointError(f"{path} is {schema} of version {version}, wanted {SCHEMA} of version {VERSION}")
    return dict(content)
