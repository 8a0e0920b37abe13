"""What the words of a page mean; what its columns mean is said in `features/columns.py`."""

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
