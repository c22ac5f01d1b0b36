"""Makers of environments over a model of patients, from the settings of a clinical feed given as keyword arguments."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from gymnasium.vector import AutoresetMode

from envs.feed_env import FeedEnv
from envs.settings import checked
from envs.vector import FeedVectorEnv
from feeds.clinical.config import ClinicalConfig
from feeds.clinical.feed import ClinicalFeed
from metalearn.patient_model import PatientModel
from metalearn.settings import PatientModelConfig

_WHOSE = "the clinical environment"


def make_clinical(
    *, split: str = "train", render_mode: None = None, model: Mapping[str, Any] | None = None, **settings: Any
) -> FeedEnv:
    """One patient at a time; `model` holds settings of `PatientModelConfig`."""
    return FeedEnv(_practice(settings, model), split=split, render_mode=render_mode)


def make_clinical_vector(
    *,
    num_envs: int = 1,
    split: str = "train",
    model: Mapping[str, Any] | None = None,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    device: str = "cpu",
    **settings: Any,
) -> FeedVectorEnv:
    """`num_envs` patients side by side in one model."""
    return FeedVectorEnv(
        _practice(settings, model), num_envs, split=split, autoreset_mode=autoreset_mode, device=device
    )


def _practice(settings: dict[str, Any], model: Mapping[str, Any] | None) -> PatientModel:
    config = checked(ClinicalConfig, settings, _WHOSE)
    return _fitted(config.model_dump_json(), checked(PatientModelConfig, model or {}, _WHOSE).model_dump_json())


@lru_cache(maxsize=2)  # a model is fitted once for the environments that share its settings
def _fitted(config: str, model: str) -> PatientModel:
    feed = ClinicalFeed(ClinicalConfig.model_validate_json(config))
    return PatientModel(feed, PatientModelConfig.model_validate_json(model))
