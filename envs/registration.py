"""`gymnasium.make("angle_domains/Market-v0", ...)` and `make_vec`, for anybody's agent.

Nothing heavy is imported here: the environments name their makers by path.
"""

import gymnasium

NAMESPACE = "angle_domains"
ENVIRONMENTS = {
    "Clinical-v0": ("metalearn.patient_env:make_clinical", "metalearn.patient_env:make_clinical_vector"),
    "IcuSepsis-v0": ("envs.icu_sepsis:make_icu_sepsis", "envs.icu_sepsis:make_icu_sepsis_vector"),
    "Market-v0": ("envs.market:make_market", "envs.market:make_market_vector"),
}


def register_envs() -> None:
    """Adds the environments to gymnasium's registry, under our namespace; those already there stay."""
    for name, (single, vector) in ENVIRONMENTS.items():
        if f"{NAMESPACE}/{name}" not in gymnasium.registry:
            with gymnasium.envs.registration.namespace(NAMESPACE):
                gymnasium.register(name, entry_point=single, vector_entry_point=vector)
