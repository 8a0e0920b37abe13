"""A methods paragraph for a paper: how an audit's numbers were measured, with the sources as BibTeX."""

from nfa.audits.about import About
from nfa.audits.verdict import CLEAR_SKILL, HELD_OUT, clear_skill
from nfa.features.interval import LEVEL
from nfa.features.published import PUBLISHED_DRAWS
from nfa.network.margins import ERRORS

SOURCES = {
    "radhakrishnan2022mechanism": """\
@article{radhakrishnan2022mechanism,
  author = {Radhakrishnan, Adityanarayanan and Beaglehole, Daniel and Pandit, Parthe and Belkin, Mikhail},
  title = {Mechanism of feature learning in deep fully connected networks and kernel machines that recursively
    learn features},
  journal = {arXiv preprint arXiv:2212.13881},
  year = {2022}
}""",
    "beaglehole2024alignment": """\
@article{beaglehole2024alignment,
  author = {Beaglehole, Daniel and Mitliagkas, Ioannis and Agarwala, Atish},
  title = {Feature learning as alignment: a structural property of gradient descent in non-linear neural networks},
  journal = {arXiv preprint arXiv:2402.05271},
  year = {2024}
}""",
    "busing1999jackknife": """\
@article{busing1999jackknife,
  author = {Busing, Frank M. T. A. and Meijer, Erik and van der Leeden, Rien},
  title = {Delete-m jackknife for unequal m},
  journal = {Statistics and Computing},
  volume = {9},
  pages = {3--8},
  year = {1999}
}""",
    "boixadsera2025fact": """\
@article{boixadsera2025fact,
  author = {Boix-Adser{\\`a}, Enric and Mallinar, Neil and Simon, James B. and Belkin, Mikhail},
  title = {The Features at Convergence Theorem: a first-principles alternative to the Neural Feature Ansatz for how
    networks learn representations},
  journal = {arXiv preprint arXiv:2507.05644},
  year = {2025}
}""",
}
"""The BibTeX entries that the paragraph may cite, by their keys."""


def methods(about: About, with_init: bool) -> str:
    """Return a methods paragraph in LaTeX, and below it the BibTeX entries of what it cites.

    Args:
        about: What was measured, on which data, and how.
        with_init: Whether the network before training was measured too.
    """
    text = " ".join(_sentences(about, with_init))
    cited = [entry for key, entry in SOURCES.items() if key in text]
    return "\n\n".join([text, *cited])


def _sentences(about: About, with_init: bool) -> list[str]:
    found = [*_measurement(about), *([_BESIDE_INIT] if with_init else []), _verdict(about, with_init)]
    if about.score is not None:
        score = about.score
        called = "accuracy" if score.metric == "accuracy" else "$R^2$"
        found.append(
            f"The network has {called} {score.value:.3f} on {score.measured_on}, a constant answer "
            f"{score.baseline:.3f}."
            + ("" if score.rows in HELD_OUT else " It is not known that these rows were held out from training.")
        )
    if "published" in about.groups:
        found.append(
            "Published numbers are those of the network whose own layer is the weight's change $W - W_0$, probed anew; "
            f"their null turns the change's left vectors at random ({PUBLISHED_DRAWS} draws, seed {about.seed})."
        )
    if about.loss is not None:
        found.append(
            "The prediction of the Features at Convergence Theorem \\cite{boixadsera2025fact} is taken from the "
            f"gradient of the training loss ({about.loss})."
        )
    return found


def _measurement(about: About) -> list[str]:
    """Return sentences on what was measured, and how."""
    gradients = f"by exact backward passes, one for each of the {about.n_outputs} outputs ({about.outputs})"
    if about.probes is not None:
        gradients = (
            f"from {about.probes} random probes for each row (seed {about.seed}) of the {about.n_outputs} outputs "
            f"({about.outputs})"
        )
    return [
        f"We measured the network {about.model} with nfa {about.nfa_version} (torch {about.torch_version}) on "
        f"{about.rows_of_data}{f' (seed {about.seed})' if about.drawn is not None and about.drawn.of else ''}.",
        "For each weight matrix $W$ ($k \\times d$) the neural feature matrix is $W^\\top W$ and the average gradient "
        "outer product (AGOP) $W^\\top S W$ \\cite{radhakrishnan2022mechanism}, $S$ being the mean of "
        "$\\delta^\\top \\delta$ over rows, $\\delta$ the gradient of the outputs with respect to $W h$, taken "
        f"{gradients}.",
        "Alignment is the cosine of $W W^\\top$ and $S$ \\cite{beaglehole2024alignment}.",
        "Its null, and that of the cosine of the two feature matrices, is $S$ turned at random, $O S O^\\top$ with $O$ "
        "Haar-distributed on $O(k)$: mean and standard deviation of the alignment are exact and the null of the cosine "
        "a ratio of exact moments; nothing is drawn.",
        f"Intervals over rows ({100 * LEVEL:.0f} \\%) are from an infinitesimal jackknife over ten groups of samples, "
        "which is the delete-a-group jackknife \\cite{busing1999jackknife} to first order.",
    ]


_BESIDE_INIT = (
    "The network before training was measured on the same rows; $W^\\top W$ is compared with that of the "
    "initialisation beside $k/(k+d)$, the value for independent weights, and \\emph{moved} is one minus the "
    "first over one minus the second."
)


def _verdict(about: About, with_init: bool) -> str:
    """Return the sentence on when a layer counts as aligned, and as having learned features."""
    thresholds = about.thresholds
    aligned = (
        f"A layer counts as aligned at $z \\ge {thresholds.z:g}$ with an excess (alignment less its null, over one "
        f"less the null) of at least {thresholds.excess:g} and an interval above the null"
    )
    better = f"a network whose score is better than a constant answer's{' and the untrained network' * with_init} by "
    better += f"{ERRORS:g} standard errors"
    if with_init:
        aligned += (
            " and with more excess than the untrained network's alignment, and as having learned features where "
            f"moreover moved is at least {thresholds.moved:g}"
        )
    else:
        better += (
            f" and by {100 * (clear_skill(about.score) if about.score else CLEAR_SKILL):.0f} \\% of the way from there "
            "to a perfect score, which hardly any untrained network makes by luck"
        )
    return f"{aligned} in {better}; these thresholds are conventions."
