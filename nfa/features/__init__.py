"""What is measured: factored matrices, NFM, AGOP, their similarities, powers and spectra."""

from nfa.features.factored import FactoredMatrix
from nfa.features.measuring import agop, nfm
from nfa.features.powers import PowerScan
from nfa.features.similarity import cosine, pearson
from nfa.features.subspace import subspace_overlap

__all__ = ["FactoredMatrix", "PowerScan", "agop", "cosine", "nfm", "pearson", "subspace_overlap"]
