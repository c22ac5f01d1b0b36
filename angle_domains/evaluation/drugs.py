"""How a policy uses each drug beside how it was used: the columns of published tables of vasopressor policies.

metric                        of the decisions of one part
use_<drug>                    patients whom the policy would give the drug at least once, and recorded_use_<drug>, who
                              truly got it, whether or not the policy's actions can express the dose
concordance_<drug>            decisions in which its level is the recorded one; of a dose its bin or step
q_self_per_decision           what the agent holds its own actions worth (Q/t); no value
q_self_gain                   that, less what it holds the recorded actions worth (delta Q); never negative, no gain
"""

from collections.abc import Iterator

from angle_domains.evaluation.patients.study import Study


def drug_metrics(study: Study) -> dict[str, float]:
    """Shares between 0 and 1, of what a report tells; a coded pair of doses is no drug: 0 need not mean none."""
    found: dict[str, float] = {}
    if study.belief is not None:
        found |= {
            "q_self_per_decision": study.belief.meant,
            "q_self_gain": study.belief.meant - study.belief.given,
        }
    for each in study.practices:
        if each.kind == "level":
            continue
        found[f"concordance_{each.name}"] = each.alike
        for told, use in ((f"use_{each.name}", each.all.meant), (f"recorded_use_{each.name}", each.all.given)):
            if use.ever is not None:
                found[told] = use.ever
    return found


def drug_lines(found: dict[str, float]) -> Iterator[str]:
    """For a terminal, a line a drug."""
    for name in (key.removeprefix("concordance_") for key in found if key.startswith("concordance_")):
        ours, theirs = (found.get(f"{key}_{name}") for key in ("use", "recorded_use"))
        shares = ["too few to tell" if share is None else f"{share:.1%}" for share in (ours, theirs)]
        alike = found[f"concordance_{name}"]
        yield f"{name}: {shares[0]} of patients, recorded {shares[1]}; the same in {alike:.1%} of decisions"
    if "q_self_gain" in found:
        yield (
            f"q_self a decision: {found['q_self_per_decision']:.4g}, {found['q_self_gain']:.4g} above what the agent "
            "holds the recorded decisions worth; neither is a value"
        )
