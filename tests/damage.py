"""Damaged copies of a file: cut short, with flipped bits, empty."""

import random

import pytest
import torch

import nfa


def damaged(whole, count, seed=0):
    """Yield `count` damaged copies of a file's bytes: the empty one, cuts, and copies with one to eight flipped bits.

    Half of the flips fall into the first and last kilobyte, where formats keep what they say of themselves.
    """
    draw = random.Random(seed)
    yield b""
    for number in range(1, count):
        if number % 4 == 0:
            yield whole[: draw.randrange(len(whole))]
            continue
        copy = bytearray(whole)
        for _ in range(draw.choice((1, 1, 2, 8))):
            place = draw.randrange(len(whole))
            if draw.random() < 0.5:
                place = min(draw.randrange(1024), len(whole) - 1)
                place = place if draw.random() < 0.5 else len(whole) - 1 - place
            copy[place] ^= 1 << draw.randrange(8)
        yield bytes(copy)


def assert_survives(whole, suffix, folder, count, d, seed=0, **load_options):
    """Every damaged copy is refused in one line, or loads as a network that answers rows of d entries.

    A network that answers may still be refused by the audit in one line, for example because of weights
    that are not finite.
    """
    refused = 0
    path = folder / f"damaged{suffix}"
    rows = torch.linspace(-1, 1, 3 * d).reshape(3, d)
    for number, content in enumerate(damaged(whole, count, seed)):
        path.write_bytes(content)
        try:
            model = nfa.load(path, **load_options)
            nfa.audit(model.net, rows)
        except nfa.InputError as error:
            refused += 1
            if "\n" in str(error):
                pytest.fail(f"copy {number} of {suffix} is refused in several lines: {error}")
        except Exception as error:
            path.with_name(f"found-{number}{suffix}").write_bytes(content)
            pytest.fail(f"copy {number} of {suffix} raised {type(error).__name__}: {error}")
    assert refused >= count // 4, "cuts alone are a quarter, and none of them can be read"
