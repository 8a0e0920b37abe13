"""Networks: define and train a fully connected one, or load an existing one."""

from nfa.network.formats.nfa_file import save_model
from nfa.network.loading import load
from nfa.network.mlp import MLP
from nfa.network.model import Model
from nfa.network.scoring import Score, score
from nfa.network.training import Training, mean_loss, train

__all__ = ["MLP", "Model", "Score", "Training", "load", "mean_loss", "save_model", "score", "train"]
