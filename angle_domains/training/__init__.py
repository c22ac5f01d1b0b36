"""Runs: the AgentTrainer drives a loop; `train` opens runs, for one seed or several, and ends them truthfully."""

from angle_domains.training.judging import select_run
from angle_domains.training.launch import evaluate, train
from angle_domains.training.session import RunResult
from angle_domains.training.trainer import AgentTrainer

__all__ = ["AgentTrainer", "RunResult", "evaluate", "select_run", "train"]
