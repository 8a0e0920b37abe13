"""Fitted estimators in memory: scikit-learn's multilayer perceptrons and skorch's nets, alone or in a pipeline."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.compose import TransformedTargetRegressor
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from torch import nn

from nfa.common.checks import check_finite
from nfa.common.errors import InputError, Place
from nfa.common.shown import few, shown
from nfa.data.targets import label_name
from nfa.network.mlp import MLP
from nfa.network.model import Model

ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu"}
"""scikit-learn's hidden activations and their names in `MLP`."""

ENDINGS = {"softmax": "softmax", "logistic": "sigmoid", "exp": None, "identity": None}
"""scikit-learn's output activations and their names in `Model.ending`; all are taken off."""

SEARCHES = (GridSearchCV, RandomizedSearchCV)


def from_estimator(source: Any, argument: str) -> Model:
    """Turn a fitted estimator into a network, and the steps before it into a transform of rows.

    A multilayer perceptron's weights are copied into an `MLP` of their dtype; a skorch net's module is used
    itself, in whichever mode it is. The earlier steps of a pipeline become `Model.transform`. An output
    activation is left out; `Model.ending` and `Model.notes` say which.

    Args:
        source: scikit-learn's `MLPClassifier` or `MLPRegressor`, or a skorch net; also at the end of a
            `Pipeline`, as the best of a `GridSearchCV` or `RandomizedSearchCV`, or in a
            `TransformedTargetRegressor`.
        argument: What messages call the source.

    Raises:
        InputError: the object is of another type, not fitted, or has weights that are not finite.

    >>> net = MLPClassifier((4,), solver="lbfgs", random_state=0).fit([[0.0], [1.0], [2.0]], ["a", "b", "c"])
    >>> from_estimator(net, "model").classes
    ('a', 'b', 'c')
    """
    steps, estimator, notes = _unwrapped(source, argument)
    transformed = bool(notes)
    if isinstance(estimator, (MLPClassifier, MLPRegressor)):
        model = _from_perceptron(estimator, argument)
    elif _is_skorch(estimator):
        model = _from_skorch(estimator, argument)
    else:
        raise InputError(
            argument,
            f"got {type(estimator).__name__}, expected a file, a torch.nn.Module, scikit-learn's fitted "
            "MLPClassifier or MLPRegressor, or a skorch net (also at the end of a Pipeline, or in a GridSearchCV, "
            "RandomizedSearchCV or TransformedTargetRegressor)",
        )
    features = _feature_names([*steps, estimator][0])
    transform = partial(_transformed, steps, features) if steps else None
    scored = model.scored and not transformed
    return replace(model, features=features, transform=transform, scored=scored, notes=(*model.notes, *notes))


def _is_skorch(estimator: Any) -> bool:
    """Tell a skorch net by its classes' names: skorch need not be installed."""
    return any(
        each.__name__ == "NeuralNet" and each.__module__.split(".")[0] == "skorch" for each in type(estimator).__mro__
    )


def _unwrapped(source: Any, argument: str) -> tuple[list[Any], Any, list[str]]:
    """Return the steps before the innermost estimator, that estimator, and notes on what is around it."""
    steps: list[Any] = []
    notes = []
    while True:
        if isinstance(source, Pipeline):
            if not source.steps:
                raise InputError(argument, "the Pipeline has no steps")
            *earlier, (_, last) = source.steps
            steps += [step for _, step in earlier if not (step is None or isinstance(step, str))]
            source = last
        elif isinstance(source, SEARCHES):
            if not hasattr(source, "best_estimator_"):
                raise InputError(argument, f"this {type(source).__name__} keeps no network; fit it with refit=True")
            source = source.best_estimator_
        elif isinstance(source, TransformedTargetRegressor):
            if not hasattr(source, "regressor_"):
                raise _not_fitted(source, argument)
            notes.append(
                "TransformedTargetRegressor trained the network on transformed targets, which are its outputs; they "
                "are not compared with the targets as they are."
            )
            source = source.regressor_
        else:
            return steps, source, notes


def _not_fitted(estimator: Any, argument: str) -> InputError:
    return InputError(argument, f"this {type(estimator).__name__} is not fitted; call its fit first")


def _from_perceptron(estimator: Any, argument: str) -> Model:
    if not hasattr(estimator, "coefs_"):
        raise _not_fitted(estimator, argument)
    net = _network(estimator, argument)
    outputs = len(estimator.coefs_[-1].T)
    ending = ENDINGS[estimator.out_activation_]
    notes = []
    if ending is not None:
        notes.append(f"The network ends in {ending.capitalize()}; logits are its input.")
    elif estimator.out_activation_ == "exp":
        notes.append(
            "The network ends in exp; its outputs are the logarithms of what it predicts, not compared with targets."
        )
    settings = {"optimizer": str(estimator.solver)}
    # The losses of one logit and of a Poisson regression are not among `nfa.train`'s.
    if ending == "softmax":
        settings["loss"] = "cross_entropy"
    elif estimator.loss == "squared_error":
        settings["loss"] = "mse"
    classes = None
    several_labels = ending == "sigmoid" and outputs > 1
    if isinstance(estimator, MLPClassifier) and not several_labels and len(estimator.classes_) == max(2, outputs):
        classes = tuple(label_name(name) for name in estimator.classes_)
    name = type(estimator).__name__
    scored = estimator.out_activation_ != "exp"
    return Model(net, name, classes=classes, settings=settings, ending=ending, scored=scored, notes=tuple(notes))


def _network(estimator: Any, argument: str) -> MLP:
    """Return the estimator's layers, up to its logits, in the dtype of its weights."""
    weights = [np.asarray(weight).T for weight in estimator.coefs_]
    biases = [np.asarray(bias) for bias in estimator.intercepts_]
    sizes = [weights[0].shape[-1], *(len(weight) for weight in weights)]
    dtypes = {each.dtype for each in (*weights, *biases)}
    shapes = [*zip(sizes[1:], sizes[:-1], strict=True), *((k,) for k in sizes[1:])]
    if [each.shape for each in (*weights, *biases)] != shapes or 0 in sizes or len(dtypes) != 1:
        raise InputError(argument, f"coefs_ and intercepts_ of this {type(estimator).__name__} do not fit together")
    if not dtypes <= {np.dtype(np.float32), np.dtype(np.float64)}:
        raise InputError(argument, f"weights in {shown(dtypes.pop())}, expected float32 or float64")
    for value, known in ((estimator.activation, ACTIVATIONS), (estimator.out_activation_, ENDINGS)):
        if value not in known:
            raise InputError(argument, f"activation {shown(value)}, expected one of {', '.join(known)}")
    net = MLP(sizes[0], sizes[1:-1], n_outputs=sizes[-1], activation=ACTIVATIONS[estimator.activation], bias=True)
    tensors = {f"layers.{number}.weight": torch.tensor(weight) for number, weight in enumerate(weights)}
    tensors |= {f"layers.{number}.bias": torch.tensor(bias) for number, bias in enumerate(biases)}
    for name, tensor in tensors.items():
        check_finite(Place(argument, name), tensor)
    net.to(tensors["layers.0.weight"].dtype).load_state_dict(tensors)
    return net.eval()


def _from_skorch(net: Any, argument: str) -> Model:
    module = getattr(net, "module_", None)
    if not net.initialized_ or not isinstance(module, nn.Module):
        raise InputError(argument, f"this {type(net).__name__} is not initialized; call its fit or initialize first")
    classes = getattr(net, "classes_", None)
    names = None if classes is None else tuple(label_name(name) for name in classes)
    return Model(module, type(net).__name__, classes=names)


def _feature_names(estimator: Any) -> tuple[str, ...] | None:
    names = getattr(estimator, "feature_names_in_", None)
    return tuple(str(name) for name in names) if isinstance(names, np.ndarray) and names.dtype == object else None


def _transformed(steps: list[Any], names: tuple[str, ...] | None, rows: Any) -> NDArray[Any]:
    """Apply the steps to a table or an array; columns that the steps know by name are taken from a table by name."""
    if names is None:
        rows = rows.to_numpy() if isinstance(rows, pd.DataFrame) else rows
    elif isinstance(rows, pd.DataFrame):
        missing = [name for name in names if name not in rows.columns]
        if missing:
            raise InputError("data", f"without the columns that the pipeline takes: {few(missing)}")
        rows = rows[list(names)]
    else:
        rows = np.asarray(rows)
        if rows.ndim != 2 or rows.shape[1] != len(names):
            raise InputError("data", f"shape {rows.shape}, but the pipeline takes {len(names)} columns")
        rows = pd.DataFrame(rows, columns=list(names))
    for step in steps:
        try:
            rows = step.transform(rows)
        # Steps may be anybody's code, which may raise anything.
        except Exception as error:
            reason = " ".join(str(error).split())
            raise InputError("data", f"the pipeline's {type(step).__name__} refuses these rows: {reason}") from error
    result: Any = rows
    values = np.asarray(result.toarray() if issparse(rows) else result)
    if values.dtype in (np.float32, np.float64):
        return values
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError("data", f"the pipeline's steps give {values.dtype}, expected numbers") from error
