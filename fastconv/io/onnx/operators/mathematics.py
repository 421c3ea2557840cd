"""Functions of numbers, element by element, that no network is built of; matrices and index notation."""

import numpy as np

from ....errors import UnsupportedOpError
from ._arrays import in_float32
from ._registry import evaluates
from ._shapes import numbers
from ._unary import unary

# Operator -> (NumPy's function, that of fastconv.ops).
FUNCTIONS = {
    "Acos": (np.arccos, "arccos"),
    "Acosh": (np.arccosh, "arccosh"),
    "Asin": (np.arcsin, "arcsin"),
    "Asinh": (np.arcsinh, "arcsinh"),
    "Atan": (np.arctan, "arctan"),
    "Atanh": (np.arctanh, "arctanh"),
    "Ceil": (np.ceil, "ceil"),
    "Cos": (np.cos, "cos"),
    "Cosh": (np.cosh, "cosh"),
    "Floor": (np.floor, "floor"),
    "Round": (np.rint, "round"),
    "Sign": (np.sign, "sign"),
    "Sin": (np.sin, "sin"),
    "Sinh": (np.sinh, "sinh"),
    "Tan": (np.tan, "tan"),
}

for _name, (_function, _lowering) in FUNCTIONS.items():
    unary(_name, _function, _lowering)


def _shrink(x, bias, lambd):
    return np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, 0))


unary("Shrink", _shrink, bias=0.0, lambd=0.5)


@evaluates("Einsum")
@in_float32
def einsum(call, *xs):
    return np.einsum(call.required("equation").replace(" ", ""), *xs, optimize=True)


@evaluates("Det")
def det(call, x):
    return np.linalg.det(x).astype(x.dtype)


@evaluates("Trilu")
def trilu(call, x, k=None):
    diagonal = 0 if k is None else int(k.item())
    return (np.triu if call.attribute("upper", 1) else np.tril)(x, diagonal)


@evaluates("AffineGrid", shaping=(1,))
def affine_grid(call, theta, size):
    _, _, *sizes = numbers(call, size)
    if len(sizes) not in (2, 3):
        raise UnsupportedOpError(f"a grid of {len(sizes)} dimensions; there are grids of 2 and 3")

    def centres(n):
        if call.attribute("align_corners", 0):
            return np.linspace(-1, 1, n) if n > 1 else np.zeros(n)
        return (2 * np.arange(n) + 1) / n - 1

    axes = np.meshgrid(*map(centres, sizes), indexing="ij")[::-1]  # x first
    places = np.stack([*axes, np.ones(sizes)], -1).astype(theta.dtype)
    return np.einsum("nij,...j->n...i", theta, places)
