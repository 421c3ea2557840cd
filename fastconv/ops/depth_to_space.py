"""Blocks of channels laid out as pixels, and back: reshape and transpose."""

from ..autograd import as_tensor
from ..errors import ArgumentError, ShapeError
from .reshape import reshape
from .transpose import transpose

MODES = ("DCR", "CRD")


def _checked(what, x, block_size, mode):
    x, b = as_tensor(x), int(block_size)
    if b < 1 or mode not in MODES:
        raise ArgumentError(
            f"{what} needs a block_size of at least 1 and a mode of {MODES}, got {block_size!r}, {mode!r}"
        )
    if x.ndim != 4:
        raise ShapeError(f"{what} needs x with 4 dimensions (N, H, W, C), got shape {x.shape}; reshape it first")
    return x, b, -1 if x.shape[0] is None else x.shape[0]


def depth_to_space(x, block_size, mode="DCR"):
    """Lay each pixel's channels out as a block of pixels.

    Parameters
    ----------
    x : Tensor or array_like, (N, H, W, C)
    block_size : int
        Pixels along one side of a block.
    mode : {"DCR", "CRD"}
        Whether the channels of x are (row, column, channel of y), or (channel of y, row, column) as PyTorch's
        `pixel_shuffle` has them.

    Returns
    -------
    Tensor, (N, H * block_size, W * block_size, C / block_size ** 2)

    Raises
    ------
    ShapeError, ArgumentError
        When x has other dimensions, or channels that no blocks can be made of.

    Examples
    --------
    >>> fastconv.ops.depth_to_space(np.arange(4.0).reshape(1, 1, 1, 4), 2).numpy()[0, :, :, 0].tolist()
    [[0.0, 1.0], [2.0, 3.0]]
    """
    x, b, n = _checked("depth_to_space", x, block_size, mode)
    _, h, w, c = x.shape
    if c is None or c % (b * b):
        raise ShapeError(f"depth_to_space needs a multiple of {b * b} channels, got x of shape {x.shape}")
    if mode == "DCR":
        x = transpose(reshape(x, (n, h, w, b, b, c // (b * b))), (0, 1, 3, 2, 4, 5))
    else:
        x = transpose(reshape(x, (n, h, w, c // (b * b), b, b)), (0, 1, 4, 2, 5, 3))
    return reshape(x, (n, h * b, w * b, c // (b * b)))


def space_to_depth(x, block_size, mode="DCR"):
    """Gather blocks of pixels into channels: the inverse of `depth_to_space`.

    Parameters
    ----------
    x : Tensor or array_like, (N, H, W, C)
    block_size : int
    mode : {"DCR", "CRD"}
        The order of the channels of the result, see `depth_to_space`.

    Returns
    -------
    Tensor, (N, H / block_size, W / block_size, C * block_size ** 2)

    Raises
    ------
    ShapeError, ArgumentError
        When x has other dimensions, or is no whole number of blocks.

    Examples
    --------
    >>> fastconv.ops.space_to_depth(np.arange(4.0).reshape(1, 2, 2, 1), 2).numpy().ravel().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """
    x, b, n = _checked("space_to_depth", x, block_size, mode)
    _, h, w, c = x.shape
    if None in (h, w) or h % b or w % b:
        raise ShapeError(f"space_to_depth needs a height and a width that {b} divides, got x of shape {x.shape}")
    axes = (0, 1, 3, 2, 4, 5) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    x = transpose(reshape(x, (n, h // b, b, w // b, b, c)), axes)
    return reshape(x, (n, h // b, w // b, b * b * c))
