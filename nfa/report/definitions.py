"""The meanings of the words on a page; those of its columns are in `features/columns.py`."""

from nfa.audits.verdict import VERDICTS

GLOSSARY = {
    "NFM": "Neural feature matrix W'W of a layer's weight W: which directions of its input the layer lets through, "
    "and how much.",
    "AGOP": "Average gradient outer product: the mean over rows of J'J, J being the gradient of the outputs with "
    "respect to the layer's input. Which directions of the input the outputs depend on.",
    "ansatz": "The claim (arXiv:2212.13881) that training makes the NFM proportional to a power of the AGOP.",
    "cosine": "Of two matrices as long vectors: 1 for proportional ones, 0 for orthogonal ones. Entries on the "
    "diagonal are never negative, so unrelated matrices have cosines well above 0.",
    "S": "Mean over rows of delta'delta, delta being the gradient of the outputs with respect to the layer's output: "
    "AGOP = W'SW.",
    "alignment": "Cosine of C = WW' and S: whether the weight's left vectors lie where the output's gradients do. NFM "
    "and AGOP share W, so that their cosine is high wherever W has few directions; alignment does not have that in it.",
    "null": "What the same quantity is where nothing was learned: with S turned at random against W, which keeps both "
    "spectra; in the network before training; of two NFMs, for independent random weights, k/(k+d) for a layer from d "
    "to k. The cosine's null with S turned at random is a ratio of exact moments: it lies below the mean of draws, by "
    "less than 0.01 where W has many directions and by up to 0.2 where it has nearly one.",
    "z": "Standard deviations of the null that a value lies above the null's mean; 3 or more is about one in 700 by "
    "chance, one in 150 for layers of 64 units or fewer.",
    **{f"verdict: {word}": f"{meaning[0].upper()}{meaning[1:]}." for word, meaning in VERDICTS.items()},
    "published number": "What the scripts of arXiv:2212.13881 print: of the network whose own layer is the weight's "
    "change W - W0, with dW'dW for the NFM. Another quantity than the cosine of NFM and AGOP, with a high null of its "
    "own.",
    "FACT": "Features at Convergence Theorem (arXiv:2507.05644): where training with weight decay lambda rests, the "
    "NFM is -(1/lambda) W' dL/dW.",
    "row": "One input that reaches a layer: a sample, or a position of one.",
    "effective rank": "trace^2 / norm^2: about how many directions a matrix spreads over.",
}
