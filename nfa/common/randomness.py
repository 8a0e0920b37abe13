"""The global sources of random numbers, left as they were found."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def undisturbed() -> Iterator[None]:
    """Restore the global sources of random numbers on leaving: torch's (CPU and CUDA), NumPy's and Python's.

    >>> state = torch.get_rng_state()
    >>> with undisturbed():
    ...     _ = torch.rand(3)
    >>> torch.equal(state, torch.get_rng_state())
    True
    """
    started = torch.cuda.is_initialized()
    others, own = np.random.get_state(), random.getstate()  # noqa: NPY002 (the global one is what others use)
    with torch.random.fork_rng(list(range(torch.cuda.device_count())) if started else []):
        try:
            yield
        finally:
            np.random.set_state(others)  # noqa: NPY002
            random.setstate(own)
