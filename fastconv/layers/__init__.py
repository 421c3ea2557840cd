"""Layers, with Keras's names, arguments and defaults.

One file per layer or close family; `base.py` holds what all share, `node.py` how they form graphs, `serialization.py` how they
become data and come back.
"""

from .activation import Activation, LeakyReLU, ReLU, Softmax
from .base import Layer
from .batch_normalization import BatchNormalization
from .conv2d import Conv2D, DepthwiseConv2D
from .dense import Dense
from .dropout import Dropout
from .input import Input, InputLayer
from .merging import Add, Concatenate, add, concatenate
from .pooling import AveragePooling2D, GlobalAveragePooling2D, GlobalMaxPooling2D, MaxPooling2D, SumPooling2D
from .reshaping import Flatten, Reshape
from .serialization import builtin, custom_object_scope, deserialize, register_serializable, serialize

for _layer in (
    *(Activation, Add, AveragePooling2D, BatchNormalization, Concatenate, Conv2D, Dense, DepthwiseConv2D, Dropout),
    *(Flatten, GlobalAveragePooling2D, GlobalMaxPooling2D, InputLayer, LeakyReLU, MaxPooling2D, ReLU, Reshape),
    *(Softmax, SumPooling2D),
):
    builtin(_layer)

# Keras's second names.
MaxPool2D = MaxPooling2D
AvgPool2D = AveragePooling2D
SumPool2D = SumPooling2D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalMaxPool2D = GlobalMaxPooling2D
Convolution2D = Conv2D
DepthwiseConvolution2D = DepthwiseConv2D

__all__ = [
    "Activation",
    "Add",
    "AveragePooling2D",
    "AvgPool2D",
    "BatchNormalization",
    "Concatenate",
    "Conv2D",
    "Convolution2D",
    "Dense",
    "DepthwiseConv2D",
    "DepthwiseConvolution2D",
    "Dropout",
    "Flatten",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling2D",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "MaxPool2D",
    "MaxPooling2D",
    "ReLU",
    "Reshape",
    "Softmax",
    "SumPool2D",
    "SumPooling2D",
    "add",
    "concatenate",
    "custom_object_scope",
    "deserialize",
    "register_serializable",
    "serialize",
]
