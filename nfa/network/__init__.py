"""Networks: define, train, score and call one."""

from nfa.network.mlp import MLP
from nfa.network.model import Model
from nfa.network.scoring import Score, score
from nfa.network.training import Training, mean_loss, train

__all__ = ["MLP", "Model", "Score", "Training", "mean_loss", "score", "train"]
