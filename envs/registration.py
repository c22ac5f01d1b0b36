"""`gymnasium.make("angle_domains/Market-v0", ...)` and `make_vec`, for anybody's agent.

Nothing heavy is imported here: the environments name their makers by path.
"""

import gymnasium

NAMESPACE = "angle_domains"
ENVIRONMENTS = {
    "Clinical-v0": ("metalearn.patient_env:make_clinical", "metalearn.patient_env:make_clinical_vector"),
    "IcuSepsis-v0": ("envs.icu_sepsis:make_icu_sepsis", "envs.icu_sepsis:make_icu_sepsis_vector"),
    "Market-v0": ("envs.market:make_market", "envs.market:make_market_vector"),
    "Records-v0": ("envs.records:make_records", "envs.records:make_records_vector"),
}
PROBES = {"Chain-v0": "long-chain", "DeepSea-v0": "deep-sea", "Recall-v0": "recall"}


def register_envs() -> None:
    """Adds the environments to gymnasium's registry, under our namespace; those already there stay."""
    for name, makers in ENVIRONMENTS.items():
        _register(name, *makers)
    for name, law in PROBES.items():
        _register(name, "envs.probes:make_probe", "envs.probes:make_probe_vector", law=law)


def _register(name: str, single: str, vector: str, **settings: str) -> None:
    if f"{NAMESPACE}/{name}" not in gymnasium.registry:
        with gymnasium.envs.registration.namespace(NAMESPACE):
            gymnasium.register(name, entry_point=single, vector_entry_point=vector, kwargs=settings)
