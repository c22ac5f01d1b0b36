"""Does it help an agent to be told what models beside it foresee, and do the models gain by hearing its values?

Every arm trains the same agent on the same world: features of forecasts (f), features of risk (r), models steered by
its values (q), each on or off; as controls features that were told at other times (shuffled), and what nobody could
know, told outright (oracle): where that does not help, the world cannot show the effect. Worlds are written as tables
of prices of which only the last return is shown, so that there is something to remember. Prints one JSON line for each
run, and with `--table FILE` the interquartile means of lines gathered before, and paired differences from the plain
agent, with intervals of a bootstrap over seeds.
"""

import argparse
import json
import platform
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from angle_domains.config import AgentConfig, load_config
from angle_domains.evaluation.rollout import AgentDriver, rollout
from angle_domains.evaluation.scores import interquartile_mean
from angle_domains.evaluation.ward import treated
from angle_domains.policy import load_policy
from angle_domains.runs import RunFolder
from angle_domains.tables import make_feed
from angle_domains.tracking import NullTracker
from angle_domains.training import AgentTrainer
from angle_domains.training.signals import StopSignal
from feeds.market.bars import Bars
from feeds.synthetic.worlds import BEAR, BULL, mean_reverting, regimes

WORLDS = ("mean-reverting", "regimes", "synth-vaso")
ARMS = {
    "plain": "", "f": "f", "r": "r", "fr": "fr", "q": "q", "fq": "fq", "rq": "rq", "frq": "frq",
    "shuffled": "frqs", "oracle": "o",
}  # fmt: skip
_DRAWS = 2_000


class Silent:
    def start(self, total: int, label: str) -> None: ...
    def update(self, step: int, metrics: dict[str, float]) -> None: ...
    def line(self, text: str) -> None: ...
    def close(self) -> None: ...


def bars_of(world: str, seed: int) -> tuple[Bars, np.ndarray]:
    """Prices, and `[T, N]` what an oracle tells of each bar at its close."""
    generator = np.random.default_rng(seed)
    if world == "mean-reverting":
        bars = mean_reverting(generator)
        return replace(bars, extras={}), bars.extras["deviation"]
    bars = regimes(np.random.default_rng(seed))
    chance, state, states = generator.random(len(bars.close)), 0, []  # the first draws of that world
    for bar in range(len(bars.close)):
        states.append(state)
        if chance[bar] > (BULL, BEAR)[state].stays:
            state = 1 - state
    return bars, np.repeat(np.array(states, float)[:, None], bars.close.shape[1], 1)


def written(world: str, seed: int, folder: Path, *, oracle: bool) -> Path:
    """The world as a table of one line for each bar and asset, with what an oracle tells or without."""
    bars, told = bars_of(world, seed)
    length, assets = bars.close.shape
    path = folder / f"{world}-{seed}.parquet"
    columns = {
        "timestamp": np.repeat(bars.timestamp, assets),
        "symbol": np.tile(np.array(bars.symbols), length),
        "close": bars.close.ravel(),
    } | ({"oracle": told.ravel()} if oracle else {})
    pl.DataFrame(columns).write_parquet(path)
    return path


def configured(world: str, arm: str, seed: int, steps: int, folder: Path) -> AgentConfig:
    parts = ARMS[arm]
    options: dict[str, Any] = {"seed": seed, "device": "cpu", "training.threads": 1, "training.steps": steps}
    options |= {"training.evaluate_every": steps, "training.checkpoint_every": steps}
    options |= {
        "meta.on": True, "meta.serve.forecast": "f" in parts, "meta.serve.risk": "r" in parts,
        "meta.serve.control": "shuffled" if "s" in parts else "none",
        "meta.forecast.kind": "gru", "meta.forecast.updates": 100, "meta.forecast.length": 16, "meta.budget": 1.0,
        "meta.forecast.coupling": "gated" if "q" in parts else "none", "meta.risk.steering": float("q" in parts),
        "meta.adaptations": 1, "meta.drift": "none",
    }  # fmt: skip
    if world == "synth-vaso":
        options |= {"feed.path": "synth-vaso", "meta.warm_up": steps // 10, "meta.every": steps // 10}
        options |= {"training.judging.checkpoint": "last"}
        return load_config(feed="clinical", agent="cql", options=options)
    path = written(world, seed, folder, oracle="o" in parts)
    extras = ("oracle",) if "o" in parts else ()
    options |= {"feed.path": str(path), "feed.columns.extras": extras, "feed.features": ("log_return_1",)}
    options |= {"meta.warm_up": steps // 30, "meta.every": steps // 30, "meta.risk.drawdown": 0.05}
    return load_config(feed="market", agent="ppo", options=options)


def run(world: str, arm: str, seed: int, steps: int) -> dict[str, Any]:
    """What an agent of that arm earns a year on bars it never saw, or how many of its patients survive."""
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as made:
        config = configured(world, arm, seed, steps, Path(made))
        folder = RunFolder(Path(made) / "run")
        folder.create(config.to_dict())
        feed = make_feed(config.feed_name, config.feed)
        AgentTrainer(config, folder, Silent(), feed).train(NullTracker(), StopSignal())
        agent = load_policy(folder.last).agent
        if world == "synth-vaso":
            found = treated(feed, agent)
            assert found is not None
            score = found.value
        else:
            path = rollout(feed, AgentDriver(feed, agent), split="test", name=arm)
            score = float(path.log_return.mean() * path.periods_per_year)
    seconds = time.process_time() - begun
    return {"world": world, "arm": arm, "seed": seed, "steps": steps, "score": score, "cpu_seconds": round(seconds)}


def table(lines: list[dict[str, Any]]) -> str:
    """Interquartile means over seeds, and paired differences from the plain agent."""
    generator, rows = np.random.default_rng(0), []
    for world in WORLDS:
        scores = {arm: {x["seed"]: x["score"] for x in lines if (x["world"], x["arm"]) == (world, arm)} for arm in ARMS}
        seeds = sorted(
            set.intersection(*(set(found) for found in scores.values() if found)) if any(scores.values()) else ()
        )
        if not seeds:
            continue
        drawn = generator.integers(len(seeds), size=(_DRAWS, len(seeds)))
        plain = np.array([scores["plain"][seed] for seed in seeds])
        for arm, found in scores.items():
            if not found:
                continue
            own = np.array([found[seed] for seed in seeds])
            low, high = np.quantile(interquartile_mean(own[drawn]), [0.025, 0.975])
            gain = (own - plain).mean()
            less, more = np.quantile((own - plain)[drawn].mean(-1), [0.025, 0.975])
            rows.append(
                f"| {world} | {arm} | {interquartile_mean(own):.3f} [{low:.3f}, {high:.3f}] | "
                f"{gain:+.3f} [{less:+.3f}, {more:+.3f}] | {len(seeds)} |"
            )
    head = "| world | arm | IQM [95 %] | less plain, paired [95 %] | seeds |\n| --- | --- | --- | --- | --- |"
    return "\n".join([head, *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--world", choices=WORLDS, default="mean-reverting")
    parser.add_argument("--arms", default=",".join(ARMS))
    parser.add_argument("--seeds", default="0", help="five and more tell something")
    parser.add_argument("--steps", type=int, default=60_000)
    parser.add_argument("--table", type=Path)
    asked = parser.parse_args()
    if asked.table is not None:
        print(table([json.loads(line) for line in asked.table.read_text().splitlines() if line.startswith('{"world"')]))
        return
    torch.set_num_threads(1)
    print(json.dumps({"machine": platform.processor() or platform.machine(), "torch": torch.__version__}), flush=True)
    for seed in map(int, asked.seeds.split(",")):
        for arm in asked.arms.split(","):
            if asked.world == "synth-vaso" and arm == "oracle":
                continue  # its patients show all that moves them
            print(json.dumps(run(asked.world, arm, seed, asked.steps)), flush=True)


if __name__ == "__main__":
    main()
