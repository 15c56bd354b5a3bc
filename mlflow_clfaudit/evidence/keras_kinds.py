"""The layers of Keras by what they do to the values they pass on."""

from __future__ import annotations

from mlflow_clfaudit.evidence.architecture import RECURRENT

# How layers and functions without weights of their own treat the values they pass on.
SHAPING = {
    "Reshape",
    "Flatten",
    "Permute",
    "Transpose",
    "Squeeze",
    "ExpandDims",
    "GetItem",
    "Identity",
    "Cast",
    "Dropout",
    "GaussianNoise",
    "GaussianDropout",
    "AlphaDropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "ActivityRegularization",
    "Masking",
}
AVERAGING = {
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "Mean",
}
SCALING = {"Rescaling", "TrueDivide", "Divide", "Multiply", "Add", "Subtract", "Negative", "UnitNormalization"}
OPAQUE = {"Lambda", "Clip", "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", "Max"}
# Layers and functions of keras.ops that are activations, by class.
ACTIVATIONS = {
    "Softmax": "softmax",
    "LogSoftmax": "log_softmax",
    "Sigmoid": "sigmoid",
    "LogSigmoid": "log_sigmoid",
    "HardSigmoid": "hard_sigmoid",
    "Sparsemax": "sparsemax",
    "ReLU": "relu",
    "Relu": "relu",
    "Relu6": "relu6",
    "LeakyReLU": "leaky_relu",
    "LeakyRelu": "leaky_relu",
    "PReLU": "leaky_relu",
    "ELU": "elu",
    "Elu": "elu",
    "Selu": "selu",
    "Celu": "celu",
    "Gelu": "gelu",
    "Silu": "silu",
    "HardSilu": "hard_silu",
    "Tanh": "tanh",
    "HardTanh": "hard_tanh",
    "Softsign": "softsign",
    "Softplus": "softplus",
    "Squareplus": "squareplus",
    "Exp": "exponential",
}
PASSING = SHAPING | AVERAGING | SCALING | OPAQUE | set(ACTIVATIONS) | {"Activation"}
# Layers whose result is a weighted sum, with their own activation behind it.
WEIGHTED = {
    "Dense",
    "EinsumDense",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Conv1DTranspose",
    "Conv2DTranspose",
    "SeparableConv1D",
    "SeparableConv2D",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "BatchNormalization",
    "LayerNormalization",
    *RECURRENT,
}
