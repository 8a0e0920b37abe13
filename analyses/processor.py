"""Seconds of the processor, which hardly depend on what else runs on the machine."""

import time
from collections.abc import Callable

import torch


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that some work takes, by the clock and of the processor (all threads together)."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def processor_seconds(work: Callable[[], object]) -> float:
    """Return the processor's seconds for some work."""
    return seconds(work)[1]


def product_rate(size: int = 2048) -> float:
    """Return multiply-adds of a float32 matrix product per second of the processor."""
    A = torch.randn(size, size)
    return size**3 / min(processor_seconds(lambda: A @ A) for _ in range(3))
