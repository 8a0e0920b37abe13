"""What every column of an audit means, in a sentence."""

from nfa.features.columns import COLUMNS
from nfa.features.fact import FACT_COLUMNS

GLOSSARY = {
    "NFM": "Neural feature matrix W'W of a layer's weight W: which directions of its input the layer lets through, "
    "and how much.",
    "AGOP": "Average gradient outer product: the mean over rows of J'J, J being the gradient of the outputs with "
    "respect to the layer's input. Which directions of the input the outputs depend on.",
    "ansatz": "The claim (arXiv:2212.13881) that training makes the NFM proportional to a power of the AGOP.",
    "cosine": "Of two matrices as long vectors: 1 for proportional ones, 0 for orthogonal ones. Entries on the "
    "diagonal are never negative, so unrelated matrices have cosines well above 0.",
    "null": "What the same quantity is where nothing was learned: in the network before training, or for "
    "independent random weights, k/(k+d) for a layer from d to k.",
    "row": "One input that reaches a layer: a sample, or a position of one.",
    "effective rank": "trace^2 / norm^2: about how many directions a matrix spreads over.",
}

DEFINITIONS = {
    "layer": "Number in forward order, from 0.",
    "name": "Path of the module, or name of the weight.",
    "d_in": "d, the entries of the layer's input.",
    "d_out": "k, the entries of its output.",
    "rows": "Rows over which the AGOP is the mean.",
    "cosine": "Cosine of NFM and AGOP. Read it beside untrained_cosine and k/(k+d).",
    "pearson": "Correlation of the entries of NFM and AGOP: the cosine with both means removed.",
    "cosine_centered": "Cosine of NFM and centered AGOP (gradients minus their mean over rows).",
    "cosine_sqrt": "Cosine of NFM and the square root of AGOP.",
    "pearson_sqrt": "Correlation of NFM and the square root of AGOP.",
    "pearson_sqrt_centered": "Correlation of NFM and the square root of the centered AGOP.",
    "ci_low": "Lower end of the 95 % interval of cosine over samples (jackknife over ten groups).",
    "ci_high": "Upper end of that interval.",
    "probe_error": "Standard error of cosine from random probes alone; empty without them.",
    "alpha_best": "The power alpha of AGOP, of 0.05, 0.10, ..., 2, that the NFM is most like.",
    "cosine_alpha_best": "Cosine of NFM and AGOP to that power.",
    "alpha_linear": "1 / (linear layers from this one to the output): the power that theory gives for deep "
    "linear networks.",
    "cosine_alpha_linear": "Cosine of NFM and AGOP to that power.",
    "untrained_cosine": "Null of cosine: NFM and AGOP of the network before training.",
    "untrained_cosine_sqrt": "Null of cosine_sqrt: the same before training.",
    "init_cosine": "Cosine of the NFM and the NFM before training: 1 where the layer has kept its features.",
    "init_pearson": "Correlation of the same two.",
    "init_cosine_null": "k/(k+d): init_cosine of two independent initialisations.",
    "delta_norm": "Norm of the weight's change over the norm of the weight.",
    "delta_cosine": "Cosine of the change's Gram matrix dW'dW and the AGOP.",
    "cnfa_cosine": "The authors' own measure: dW in place of W, in the NFM and in the AGOP.",
    "cnfa_pearson": "Correlation of the same two.",
    "nfm_trace": "Trace of the NFM: the squared norm of the weight.",
    "agop_trace": "Trace of the AGOP: the mean squared norm of the gradient.",
    "nfm_effective_rank": "trace^2 / norm^2 of the NFM.",
    "agop_effective_rank": "trace^2 / norm^2 of the AGOP.",
    "subspace_overlap": "How far the top eigenvectors (ten at most) of NFM and AGOP span the same space: 0 to 1.",
    "subspace_overlap_null": "The same by chance, r/d.",
    "trivial": "Whether the gradient is the same for every row: then NFM and AGOP are alike by construction.",
    "note": "What is undefined or unusual.",
    "fact_cosine": "Cosine of NFM and R = -(1/lambda) W' dL/dW; they are equal where training with weight decay rests.",
    "fact_lambda": "-<W, dL/dW> / |W|^2: the weight decay at which the weight would rest.",
    "fact_residual": "|NFM - R| / |NFM| for the weight decay of training, where it is known.",
}
"""The sentence of each column of `COLUMNS` and `FACT_COLUMNS`."""

GROUPS = {
    "layer": COLUMNS[:5],
    "NFM against AGOP": COLUMNS[5:8],
    "against its square root": COLUMNS[8:11],
    "how sure": COLUMNS[11:14],
    "power of AGOP": COLUMNS[14:18],
    "untrained network": COLUMNS[18:20],
    "against its initialisation": COLUMNS[20:23],
    "the weight's change": COLUMNS[23:27],
    "sizes": COLUMNS[27:31],
    "top eigenvectors": COLUMNS[31:33],
    "remarks": COLUMNS[33:],
    "the exact rival": FACT_COLUMNS,
}
"""The columns under the headings of the table."""

MAIN = (
    *("layer", "name", "d_in", "d_out", "cosine", "ci_low", "ci_high", "untrained_cosine"),
    *("cosine_centered", "cosine_sqrt", "alpha_best", "cosine_alpha_best"),
    *("init_cosine", "init_cosine_null", "subspace_overlap"),
)
"""The columns that are shown at first, and on paper."""
