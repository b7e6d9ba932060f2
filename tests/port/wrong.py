# SPDX-License-Identifier: MIT
"""Ports that are wrong on purpose, under the names of SPEC 19.5."""

import contextlib

import numpy as np

from . import numbers, ops

F = np.float32


@contextlib.contextmanager
def replaced(module, **others):
    """Some names of a module stand for something else."""
    kept = {name: getattr(module, name) for name in others}
    for name, other in others.items():
        setattr(module, name, other)
    try:
        yield
    finally:
        for name, one in kept.items():
            setattr(module, name, one)


@contextlib.contextmanager
def reversed_order():
    """Sums run from the last addend to the first; blocks are counted from the last too."""
    total, plain_sum, average = numbers.total, numbers.plain_sum, ops.average

    def reversed_total(a, b, skipped=None):
        return total(a[::-1], b[::-1], skipped if skipped is None else skipped[::-1])
    with replaced(numbers, total=reversed_total, plain_sum=lambda x: plain_sum(x[::-1])), \
            replaced(ops, average=lambda copies, weights: average(copies[::-1], weights[::-1])):
        yield


def one_level_sums():
    """A sum is one chain without blocks, and nothing is added to +0 behind it."""
    return replaced(numbers, BLOCK=2 ** 40, in_order=lambda parts: parts[0])


def fused():
    """The sums of SPEC 5.1 to 5.5 fuse in profile ma."""
    total = numbers.total

    def fused_total(a, b, skipped=None):
        with replaced(numbers, arith="fma"):
            return total(a, b, skipped)
    return replaced(numbers, total=fused_total)


def mean_by_reciprocal():
    """Sums are multiplied by 1 / n."""
    return replaced(numbers, divided=lambda total, count: total * (type(count)(1) / count))


def ties_to_higher_index():
    """The last of equals is the largest."""
    return replaced(ops, beats=np.greater_equal)


def dampening():
    """v = mom * v + (1 - mom) * g, but v = g at the first step."""
    def velocity(g, v, first, momentum):
        return g if first else (momentum * v) + ((F(1) - momentum) * g)
    return replaced(ops, velocity=velocity)


def biased_running_variance():
    """The running variance takes Q / N, also where N = 1."""
    def running_variance(running, q, n):
        return ops.moved(running, numbers.divided(q, F(n)))
    return replaced(ops, running_variance=running_variance)


TABLE = {
    "reversed-order": reversed_order,
    "one-level-sums": one_level_sums,
    "fused": fused,
    "mean-by-reciprocal": mean_by_reciprocal,
    "ties-to-higher-index": ties_to_higher_index,
    "dampening": dampening,
    "biased-running-variance": biased_running_variance,
}
