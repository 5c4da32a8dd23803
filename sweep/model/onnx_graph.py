"""A checkpoint as an ONNX model that takes images as they are, and gives scores.

The only file that knows onnx. What makes inputs of images is part of the graph:

    images (N, C, H, W), uint8 -> Flatten -> Cast -> scale * x + shift
        -> Gemm -> Relu -> ... -> Gemm -> scores (N, K) -> Softmax -> probabilities
"""

import json
from collections.abc import Iterator

import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from sweep.checkpoint import Checkpoint

INPUT, SCORES, PROBABILITIES = "images", "scores", "probabilities"

# old enough for every runtime of the last years: all that is used is there
_OPSET, _IR = 17, 8


def onnx_model(checkpoint: Checkpoint) -> ModelProto:
    """The checkpoint's network with its preprocessing.

    Its input `images` is uint8, of shape (N, C, H, W); its outputs `scores` and
    `probabilities` are float32, of shape (N, K). Its metadata has the names of the K
    `classes`, as JSON.

    Args:
        checkpoint: The network, float32, and what makes inputs of images.
    """
    info = checkpoint.info
    images = helper.make_tensor_value_info(
        INPUT, TensorProto.UINT8, ["N", *info.image_shape]
    )
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", len(info.classes)])
        for name in (SCORES, PROBABILITIES)
    ]
    tensors = {"scale": checkpoint.scale, "shift": checkpoint.shift}
    constants = [
        numpy_helper.from_array(tensor.numpy(), name)
        for name, tensor in {**tensors, **checkpoint.params}.items()
    ]
    nodes = list(_nodes(len(checkpoint.params) // 2))
    graph = helper.make_graph(nodes, "fcnet", [images], outputs, constants)
    opset = [helper.make_operatorsetid("", _OPSET)]
    model = helper.make_model(
        graph, opset_imports=opset, ir_version=_IR, producer_name="fcnet-sweep"
    )
    facts = {"trial": info.number, "epoch": info.epoch}
    helper.set_model_props(
        model,
        {
            "classes": json.dumps(info.classes),
            **{key: str(value) for key, value in facts.items()},
            "val_accuracy": repr(info.val_accuracy),
        },
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _nodes(layers: int) -> Iterator[NodeProto]:
    yield helper.make_node("Flatten", [INPUT], ["bytes"], axis=1)
    yield helper.make_node("Cast", ["bytes"], ["values"], to=TensorProto.FLOAT)
    yield helper.make_node("Mul", ["values", "scale"], ["scaled"])
    yield helper.make_node("Add", ["scaled", "shift"], ["x0"])
    for layer in range(1, layers):
        affine, out = f"affine{layer}", f"x{layer}"
        yield _gemm(layer, affine)
        yield helper.make_node("Relu", [affine], [out])
    yield _gemm(layers, SCORES)
    yield helper.make_node("Softmax", [SCORES], [PROBABILITIES], axis=1)


def _gemm(layer: int, out: str) -> NodeProto:
    """Out = x W + b of a layer, counted from 1."""
    return helper.make_node("Gemm", [f"x{layer - 1}", f"W{layer}", f"b{layer}"], [out])
