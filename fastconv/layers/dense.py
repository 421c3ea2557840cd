"""Dense: a matrix product over the last axis."""

from .. import activations, initializers, ops
from ..errors import ShapeError
from .base import Layer
from .images import check_count


class Dense(Layer):
    """``activation(x @ kernel + bias)`` over the last axis.

    Parameters
    ----------
    units : int
        Size of the last axis of the output.
    activation : str or callable, optional
    use_bias : bool
    kernel_initializer, bias_initializer : str, callable or Initializer

    Notes
    -----
    Inputs (N, ..., in), outputs (N, ..., units); weights ``kernel`` (in, units) and ``bias`` (units,).

    Examples
    --------
    >>> Dense(10, activation="softmax")(np.zeros((2, 64), "float32")).shape
    (2, 10)
    """

    def __init__(
        self,
        units,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        lora_rank=None,
        **kwargs,
    ):
        if "input_dim" in kwargs:
            kwargs["input_shape"] = (kwargs.pop("input_dim"),)
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = check_count(self, units, "units")
        self.activation = self._get(activations.get, activation, "activation")
        self.use_bias = bool(use_bias)
        self.kernel_initializer = self._get(initializers.get, kernel_initializer, "kernel_initializer")
        self.bias_initializer = self._get(initializers.get, bias_initializer, "bias_initializer")
        self._take_regularizers(kernel_regularizer=kernel_regularizer, bias_regularizer=bias_regularizer)
        self._only_none(
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            lora_rank=lora_rank,
        )
        self.bias = None

    def build(self, input_shape):
        """Make ``kernel`` and ``bias``."""
        if len(input_shape) < 2 or input_shape[-1] is None:
            hint = "; after Flatten, height and width of the image must be known" if len(input_shape) == 2 else ""
            raise ShapeError(
                f"inputs must be (batch, ..., features) with a known last axis, got {tuple(input_shape)}{hint}"
            )
        self.kernel = self.add_weight(
            (input_shape[-1], self.units), self.kernel_initializer, regularizer=self.kernel_regularizer, name="kernel"
        )
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,), self.bias_initializer, regularizer=self.bias_regularizer, name="bias"
            )

    def call(self, inputs):
        """Compute the outputs."""
        if inputs.ndim < 2 or inputs.shape[-1] != self.kernel.shape[0]:
            raise ShapeError(
                f"inputs must have {self.kernel.shape[0]} features on their last axis, as those it was built for, "
                f"got shape {inputs.shape}"
            )
        fused = activations.fused_name(self.activation)
        y = ops.dense(inputs, self.kernel, self.bias, activation=fused)
        return y if fused else self.activation(y)
