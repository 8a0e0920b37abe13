"""Data sets: one small type, one loader per source, and batches of samples from any of them."""

from nfa.data.dataset import Dataset, Scaling
from nfa.data.large import stream
from nfa.data.loading import NAMES, load_data
from nfa.data.samples import as_samples

__all__ = ["NAMES", "Dataset", "Scaling", "as_samples", "load_data", "stream"]
