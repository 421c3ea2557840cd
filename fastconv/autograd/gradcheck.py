"""Compare gradients with central differences."""

import numpy as np

from ..errors import ArgumentError, GradientError
from .tape import gradients
from .tensor import FLOATS, Tensor, tensor

ELEMENTWISE = 64  # inputs up to this size are checked element by element, larger ones along random directions
DIRECTIONS = 6


def gradcheck(f, inputs, eps=1e-6, rtol=1e-5, atol=1e-7):
    """Check the gradients of `f` against central differences, in float64.

    The outputs are reduced to one number by random weights; then each element of a small input, or a random direction of
    a large one, is moved by `eps` both ways.

    Parameters
    ----------
    f : callable
        Takes Tensors and returns a Tensor or a tuple of them. It must be deterministic, and smooth near `inputs`.
    inputs : Tensor, array_like or sequence of them
        Floats are converted to float64 and checked; integer arrays are passed on unchecked.
    eps : float
        Step of the difference.
    rtol, atol : float
        Allowed: ``|analytic - numeric| <= atol + rtol * max(|analytic|, |numeric|, largest gradient of that input)``.

    Returns
    -------
    bool
        True.

    Raises
    ------
    GradientError
        When a gradient is wrong; the message holds the worst entry.

    Examples
    --------
    >>> fastconv.autograd.gradcheck(lambda x: x * x, [np.array([1.0, 2.0])])
    True
    """
    if isinstance(inputs, (Tensor, np.ndarray, float, int)):
        inputs = [inputs]
    rng = np.random.default_rng(0)
    tensors = []
    for value in inputs:
        array = value.numpy() if isinstance(value, Tensor) else np.asarray(value)
        is_float = array.dtype.kind == "f"
        tensors.append(tensor(array, is_float, "float64" if is_float else None))
    checked = [i for i, t in enumerate(tensors) if t.requires_grad]
    if not checked:
        raise ArgumentError("gradcheck needs at least one float input")

    def outputs(values):
        results = f(*values)
        results = results if isinstance(results, (tuple, list)) else (results,)
        return [y for y in results if y.dtype in FLOATS]

    ys = outputs(tensors)
    weights = [rng.standard_normal(y.shape) for y in ys]
    analytic = [np.zeros(t.shape) for t in tensors]
    for y, weight in zip(ys, weights, strict=True):
        if y.requires_grad:
            grads = gradients(y, [tensors[i] for i in checked], weight, retain_graph=True)
            for i, grad in zip(checked, grads, strict=True):
                if grad is not None:
                    analytic[i] += grad.numpy()

    def value(i, moved):
        values = [Tensor(moved if j == i else t.data.copy()) for j, t in enumerate(tensors)]
        return sum(float((y.numpy() * w).sum()) for y, w in zip(outputs(values), weights, strict=True))

    worst = None
    for i in checked:
        x, grad = tensors[i].data, analytic[i]
        scale = np.abs(grad).max(initial=0.0)
        for where, direction in _directions(x.shape, rng):
            numeric = (value(i, x + eps * direction) - value(i, x - eps * direction)) / (2 * eps)
            expected = float((grad * direction).sum())
            allowed = atol + rtol * max(abs(numeric), abs(expected), scale)
            error = abs(numeric - expected)
            # "not <=" so that NaN counts as wrong
            if not error <= allowed and (worst is None or not error <= worst[0]):
                worst = (error, i, where, expected, numeric, allowed)
    if worst is not None:
        error, i, where, expected, numeric, allowed = worst
        raise GradientError(
            f"gradient of input {i} at {where}: backward gives {expected:.9g}, central differences give {numeric:.9g}; "
            f"they differ by {error:.3g}, allowed is {allowed:.3g}"
        )
    return True


def _directions(shape, rng):
    if np.prod(shape, dtype=int) <= ELEMENTWISE:
        for index in np.ndindex(*shape):
            direction = np.zeros(shape)
            direction[index] = 1.0
            yield f"element {index}", direction
    else:
        for i in range(DIRECTIONS):
            yield f"random direction {i}", rng.standard_normal(shape)
