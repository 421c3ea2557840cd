"""Inputs by kind: a function of a generator and a shape each."""

import numpy as np


def normal(rng, shape):
    """Normal numbers."""
    return rng.standard_normal(shape).astype("f4")


def relu_like(rng, shape):
    """What a ReLU leaves of them: half zeros, all positive."""
    return np.maximum(rng.standard_normal(shape), 0).astype("f4")


def mostly_zero(rng, shape):
    """What a ReLU leaves deep in a network: nine of ten are zeros."""
    return (np.maximum(rng.standard_normal(shape), 0) * (rng.random(shape) < 0.2)).astype("f4")


def wide_range(rng, shape):
    """Numbers of both signs from 1e-30 to 1e30, evenly by their exponents."""
    return (rng.choice([-1.0, 1.0], shape) * 10 ** rng.uniform(-30, 30, shape)).astype("f4")


def with_denormals(rng, shape):
    """Normal numbers, every eighth denormal; those count as zeros."""
    values = rng.standard_normal(shape)
    return np.where(rng.random(shape) < 0.125, values * 1e-39, values).astype("f4")


def tiny(rng, shape):
    """Numbers whose products with weights, and sums of these, are about the smallest that float32 has."""
    return (rng.standard_normal(shape) * 1e-37).astype("f4")


def near_overflow(rng, shape):
    """Numbers near the largest: sums of products are finite, sums of a few inputs are not."""
    return (rng.uniform(-1, 1, shape) * 2e38 / np.sqrt(np.prod(shape[1:]))).astype("f4")


def zeros(rng, shape):
    """Zeros."""
    return np.zeros(shape, np.float32)


def bright_pixels(rng, shape):
    """Normal numbers, ten thousand times larger at one place in ten."""
    return (rng.standard_normal(shape) * np.where(rng.random((*shape[:-1], 1)) < 0.1, 1e4, 1)).astype("f4")
