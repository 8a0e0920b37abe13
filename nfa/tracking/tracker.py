"""Audits of a network while it is trained, which do not change the training."""

import os
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nfa.audits.examining import examined
from nfa.audits.init import Init
from nfa.audits.rows import rows_of
from nfa.audits.run import with_targets
from nfa.audits.settings import Settings
from nfa.common.errors import InputError
from nfa.common.precision import stated_precision
from nfa.common.processes import processes
from nfa.common.randomness import undisturbed
from nfa.features.columns import chosen
from nfa.formats.loading import load, load_init
from nfa.network.examinable import copied
from nfa.network.forward import ForwardArgs
from nfa.network.gathering import whole
from nfa.network.model import Model
from nfa.network.scoring import Score
from nfa.probe import BATCH_SIZE, Select
from nfa.tracking.checks import Checks, Seen
from nfa.tracking.history import TAKEN, Cost, History, Moment, load_with_tensors
from nfa.tracking.same_data import differing, known_by
from nfa.tracking.schedule import Clock, Schedule

if TYPE_CHECKING:
    import pandas as pd

LIGHT = ("cosine", "rotated_cosine", "init_cosine", "init_cosine_null")
"""The columns of an audit that costs little more than its sweep."""


AGAIN = 8
"""Rows that are measured again in float64, to see rounding: fewer than `nfa.audit` has, since audits are many."""


class Tracker:
    """Audits a network while it is trained: call `record` in each epoch, or in each step.

    The training is the same as without the tracker, to the bit: weights, gradients, modes, hooks and buffers stay as
    they are, and so do the states of torch's, NumPy's and Python's random numbers. Rows are drawn once and the network
    before training is copied once, so that every audit has the same rows and the same init.

    Where several processes train together (DDP, or FSDP by `fully_shard`), each makes a tracker of the same data and
    calls `record` as the others do: it measures its share of the rows, and all find the same.

    Args:
        net: The network, audited as it is whenever an audit is due; anything that `nfa.audit` takes.
        data: As for `nfa.audit`. A loader is read once.
        init: The network before training; by default a copy of `net` as it is now.
        every_n_epochs: Audit epochs that are multiples of it; every epoch where none of the three is given.
        every_n_steps: Audit steps that are multiples of it, instead of epochs.
        at: Epochs to audit, instead of every so many; 0 is before training.
        columns: Names of columns, or groups of them; what is left out is not computed. See `nfa.audit`.
        samples: How many samples are measured, drawn at random; None for all.
        outputs: As for `nfa.audit`, like all that follow.
        forward_args: How `forward` takes a batch.
        head: Which output, of several.
        layers: A shell pattern of names.
        classes: The labels in the order of the outputs.
        split: Which rows of a divided `Dataset`.
        probes: Random probes instead of one sweep for each output.
        seed: Of `samples` and `probes`.
        batch_size: Samples at a time.

    Raises:
        InputError: as `nfa.audit` does; numbers of `at` and of the intervals that are no whole numbers; two of
            `every_n_epochs`, `every_n_steps` and `at`; a network that cannot be copied.

    >>> net = nn.Linear(3, 2)
    >>> tracker = Tracker(net, torch.eye(3), columns=["cosine"])
    >>> sorted(tracker.record(epoch=1))
    ['nfa/weight/cosine']
    >>> tracker.to_frame()["name"].tolist(), tracker.cost.audits
    (['', 'weight'], 1)
    """

    def __init__(
        self,
        net: nn.Module | Model | Any,
        data: Any,
        *,
        init: nn.Module | Model | Any | None = None,
        every_n_epochs: int | None = None,
        every_n_steps: int | None = None,
        at: Iterable[int] | None = None,
        columns: Iterable[str] = LIGHT,
        samples: int | None = 512,
        outputs: str | Select = "logits",
        forward_args: ForwardArgs | None = None,
        head: str | int | None = None,
        layers: str | None = None,
        classes: Iterable[Any] | None = None,
        split: str = "train",
        probes: int | None = None,
        seed: int = 0,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        self.schedule = Schedule(every_n_epochs, every_n_steps, at)
        self._settings = Settings(
            outputs=outputs,
            forward_args=forward_args,
            head=head,
            layers=layers,
            probes=probes,
            seed=seed,
            batch_size=batch_size,
            asked=chosen(columns),
            again=AGAIN,
        )
        with undisturbed(), stated_precision(), processes().together():
            self._model = load(net, classes=classes, argument="net")
            now = whole(self._model)
            rows = rows_of(now, data, split, samples, seed)
            self._rows = with_targets(now, rows, self._settings)
            before = now if init is None else whole(load_init(init, now))
            unwrapped = self._settings.forward(before, self._rows).net
            self._init = Init(replace(before, net=_copied(unwrapped, "net" if init is None else "init")))
        self.history = History(
            {
                "columns": list(self._settings.columns),
                "outputs": self._settings.outputs_name,
                "layers": layers,
                "split": self._rows.split,
                "samples": samples,
                "probes": probes,
                "seed": seed,
                "data": known_by(data, self._rows, self._settings.batch_size),
            }
        )
        self._clock = Clock()
        self._checks = Checks()

    def record(self, *, epoch: int | None = None, step: int | None = None, **values: float) -> dict[str, float] | None:
        """Audit the network if that is due; each epoch, or step, is audited once.

        Args:
            epoch: How many epochs are done; 0 before training.
            step: How many steps are done.
            **values: Numbers to keep beside the audit, such as `loss`; they are dropped where no audit is due.

        Returns:
            The numbers by one name each, such as "nfa/layers.0/cosine" and "nfa/score" (NaN where undefined), or None
            where nothing was due.

        Raises:
            InputError: the epoch (or step) that is counted is missing or goes backwards, a value is no number or has
                the name of a column, weights or gradients are not finite, another process fails or does not come.
        """
        own = {name: _number(name, value) for name, value in values.items()}
        if not self._clock.tick(self.schedule, epoch, step):
            return None
        started = time.perf_counter()
        with undisturbed(), stated_precision(), processes().together():
            score, layers = self._audit()
        run = {} if score is None else {"score": score.value, "score_baseline": score.baseline}
        moment = Moment(
            self._clock.epoch if epoch is not None else None,
            self._clock.step if step is not None else None,
            run | own,
            [layer.row for layer in layers],
            time.perf_counter() - started,
        )
        self.history.moments.append(moment)
        return moment.flat()

    @property
    def cost(self) -> Cost:
        """The number of audits, and their time."""
        return self.history.cost

    def to_frame(self) -> "pd.DataFrame":
        """Return the tidy table; see `History.to_frame`."""
        return self.history.to_frame()

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the history, and the network before training, into one file in a folder.

        Raises:
            InputError: the file cannot be written; an older one stays as it was.
        """
        self.history.save(folder, self._init_state())

    def load(self, folder: str | os.PathLike[str]) -> None:
        """Continue what `save` wrote, with the init of that run.

        Raises:
            InputError: there is no such file, it is damaged or of another schema, its audits have other settings than
                this tracker's or other data (see `nfa.tracking.same_data`), or its init is of another network.
        """
        history, state = load_with_tensors(folder)
        now = dict(self.history.settings)
        data = now.pop("data", {})
        for name, own in now.items():
            if (found := history.settings.get(name)) != own:
                raise InputError("tracker", f"{folder} was made with {name} {found!r}, this tracker has {own!r}")
        if said := differing(history.settings["data"], data):
            raise InputError("tracker", f"{folder} was made with {said}")
        own_state = self._init_state()
        if {name: each.shape for name, each in state.items()} != {name: each.shape for name, each in own_state.items()}:
            raise InputError("tracker", f"{folder} began from another network")
        self._init = Init(self._init.model)  # its weights are others now
        self._init.model.net.load_state_dict(state, strict=False)
        history.settings["data"] |= data  # an older file knows nothing of its data
        self.history = history
        self._clock = Clock()
        for moment in history.moments:
            self._clock.tick(self.schedule, moment.epoch, moment.step)

    def _audit(self) -> tuple[Score | None, list[Seen]]:
        """Audit the network as it is; with a look at its rounding where that is due."""
        model = whole(self._model)
        # Of several processes, one that needs a look is enough, since all measure together.
        if processes().all(not self._checks.due):
            about, layers = examined(model, self._rows, self._init, replace(self._settings, again=0), Seen.of)
            if processes().all(self._checks.vouch_for(layers)):
                return about.score, layers
        about, layers = examined(model, self._rows, self._init, self._settings, Seen.of)
        self._checks.note(layers)
        return about.score, layers

    def _init_state(self) -> dict[str, torch.Tensor]:
        # Cloned, since one tensor may be a weight under several names, and the file keeps each by itself.
        state = self._init.model.net.state_dict()
        return {name: each.detach().clone() for name, each in state.items() if isinstance(each, torch.Tensor)}


def _copied(net: nn.Module, argument: str) -> nn.Module:
    try:
        return copied(net)
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        # Modules may hold what cannot be copied: locks, open files, lists of tensors in the middle of a graph.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            argument, f"cannot be copied ({reason}); hand over init=, the network before training"
        ) from error


def _number(name: str, value: Any) -> float:
    if name in TAKEN:
        raise InputError(name, "is the name of a column of the tracker's; call the value otherwise")
    try:
        return float(value.detach() if isinstance(value, torch.Tensor) else value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(name, f"got {type(value).__name__}, expected a number") from error
