#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The node tests of ONNX (Debian: libonnx-testdata, python3-onnx) for the operations we have.
SPEC 19.7.2

    python3 tests/outside/onnx_nodes.py BUILD/vectors

Each test becomes a computation of SPEC 19.1, `vectors answer` does it with the functions that runs
use, and the result is compared with ONNX's within a tolerance. What our operations do not offer
(dilation, groups, asymmetric padding, class weights) is counted, not run.
"""

import glob
import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True

try:
    import numpy
    import onnx
    from onnx import numpy_helper
except ImportError as missing:
    print("skipped onnx: %s is missing" % missing.name)
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(0)

from values import Log, close, from_json, scratch, to_json

FOLDERS = ("/usr/share/libonnx-testdata/data", "/usr/share/onnx/backend/test/data")
# relative and absolute; ONNX's own runner takes 1e-3 and 1e-7
RELATIVE, ABSOLUTE = 1e-5, 1e-6


class Unsupported(Exception):
    """A form that our operation does not have."""


def need(condition, what):
    if not condition:
        raise Unsupported(what)


def nhwc(x):
    need(x.ndim == 4, "%d dimensions" % x.ndim)
    return numpy.ascontiguousarray(x.transpose(0, 2, 3, 1))


def nchw(y):
    return y.transpose(0, 3, 1, 2)


def window(attributes, shape):
    """(kernel, stride, pad) of a square, symmetric window."""
    need(len(shape) == 2, "%d dimensions" % len(shape))
    pads, strides = attributes.get("pads", [0] * 4), attributes.get("strides", [1, 1])
    need(attributes.get("auto_pad", b"NOTSET") == b"NOTSET", "auto_pad")
    need(len(set(pads)) == 1, "asymmetric padding")
    need(len(set(strides)) == 1, "unequal strides")
    need(set(attributes.get("dilations", [1])) == {1}, "dilation")
    need(attributes.get("ceil_mode", 0) == 0, "ceil_mode")
    return strides[0], pads[0]


def conv(attributes, x, w, b=None):
    """Ours has no bias; one that is given is added to what comes back."""
    need(attributes.get("group", 1) == 1, "groups")
    stride, pad = window(attributes, w.shape[2:])
    return ("conv", {"stride": stride, "pad": pad}, {"x": nhwc(x), "w": w},
            lambda out: [nchw(out["y"] + (0 if b is None else b))])


def matmul(attributes, a, b):
    need(a.ndim == 2 and b.ndim == 2, "batches")
    return "matmul", {}, {"a": a, "b": b}, lambda out: [out["c"]]


def gemm(attributes, a, b, c=None):
    need(attributes.get("alpha", 1.0) == 1 and attributes.get("beta", 1.0) == 1, "alpha, beta")
    a = a.T if attributes.get("transA") else a
    b = b.T if attributes.get("transB") else b
    if c is None:
        return matmul(attributes, a, b)
    need(c.size in (1, b.shape[1]), "a matrix as bias")
    bias = numpy.broadcast_to(c.ravel(), (b.shape[1],))
    return "linear", {}, {"x": a, "w": b.T, "b": bias}, lambda out: [out["y"]]


def batch_norm(attributes, x, gamma, beta, mean, var):
    """ONNX's running variance is the biased one, so in training only y and the mean are compared."""
    need(abs(attributes.get("epsilon", 1e-5) - 1e-5) < 1e-11, "another epsilon")
    need(abs(attributes.get("momentum", 0.9) - 0.9) < 1e-6, "another momentum")
    inputs = {"x": nhwc(x), "gamma": gamma, "beta": beta, "running_mean": mean, "running_var": var}
    if attributes.get("training_mode", 0) == 0:
        return "batch_norm.evaluate", {}, inputs, lambda out: [nchw(out["y"])]
    return "batch_norm", {}, inputs, lambda out: [nchw(out["y"]), out["running_mean"], None]


def instance_norm(attributes, x, gamma, beta):
    need(abs(attributes.get("epsilon", 1e-5) - 1e-5) < 1e-11, "another epsilon")
    return ("group_norm", {"groups": x.shape[1]}, {"x": nhwc(x), "gamma": gamma, "beta": beta},
            lambda out: [nchw(out["y"])])


def max_pool(attributes, x):
    kernel = attributes["kernel_shape"]
    need(len(set(kernel)) == 1, "unequal kernel")
    need(x.dtype == numpy.float32, "integers")
    stride, pad = window(attributes, kernel)
    return ("max_pool", {"kernel": kernel[0], "stride": stride, "pad": pad}, {"x": nhwc(x)},
            lambda out: [nchw(out["y"])])


def average_pool(attributes, x):
    return "avg_pool", {}, {"x": nhwc(x)}, lambda out: [out["y"][:, :, None, None]]


def softmax(attributes, z):
    axis = attributes.get("axis", -1)
    rows = numpy.moveaxis(z, axis, -1)
    flat = numpy.ascontiguousarray(rows).reshape(-1, rows.shape[-1])
    return ("softmax", {}, {"z": flat},
            lambda out: [numpy.moveaxis(out["p"].reshape(rows.shape), -1, axis)])


def cross_entropy(attributes, z, labels, weight=None):
    need(weight is None and "ignore_index" not in attributes, "class weights")
    need(attributes.get("reduction", b"mean") == b"mean", "reduction")
    rows = numpy.moveaxis(z, 1, -1)
    flat = numpy.ascontiguousarray(rows).reshape(-1, z.shape[1])
    return ("cross_entropy", {}, {"z": flat, "labels": labels.ravel().astype("u4")},
            lambda out: [out["loss"]])


def momentum(attributes, rate, step, *tensors):
    """Standard momentum of one tensor; at step 0 ONNX replaces beta by 1, as ours always is."""
    need(len(tensors) == 3, "several tensors")
    need(attributes["mode"] == b"standard", "Nesterov")
    need(attributes["beta"] == 1 or int(step) == 0, "beta")
    x, gradient, velocity = tensors
    scalars = {"lr": rate, "momentum": attributes["alpha"], "weight_decay": attributes["norm_coefficient"]}
    inputs = {"w": x, "g": gradient, "v": velocity}
    inputs.update({name: numpy.float32(value).reshape(()) for name, value in scalars.items()})
    return "sgd", {"first": 0}, inputs, lambda out: [out["w"], out["v"]]


def one_by_one(op):
    def build(attributes, x):
        need(x.dtype == numpy.float32, "another type")
        return op, {}, {"x": x.ravel()}, lambda out: [out["y"].reshape(x.shape)]
    return build


def relu(attributes, x):
    return "relu", {}, {"x": x.ravel()}, lambda out: [out["y"].reshape(x.shape)]


def add(attributes, a, b):
    need(a.shape == b.shape and a.dtype == numpy.float32, "broadcasting or another type")
    return ("add", {}, {"a": a.ravel(), "b": b.ravel()}, lambda out: [out["y"].reshape(a.shape)])


def argmax(attributes, z):
    need(z.ndim == 2 and attributes.get("axis", 0) in (1, -1), "another axis")
    need(attributes.get("select_last_index", 0) == 0, "the last of equals")
    shape = (-1, 1) if attributes.get("keepdims", 1) else (-1,)
    return "argmax", {}, {"z": z}, lambda out: [out["index"].reshape(shape)]


BUILDERS = {"Conv": conv, "MatMul": matmul, "Gemm": gemm, "BatchNormalization": batch_norm,
            "InstanceNormalization": instance_norm, "MaxPool": max_pool,
            "GlobalAveragePool": average_pool, "Softmax": softmax,
            "SoftmaxCrossEntropyLoss": cross_entropy, "Momentum": momentum, "Exp": one_by_one("exp"),
            "Log": one_by_one("log"), "Sqrt": one_by_one("sqrt"), "Relu": relu, "Add": add,
            "ArgMax": argmax}


def tensors(folder, kind):
    paths = sorted(glob.glob(os.path.join(folder, kind + "_*.pb")),
                   key=lambda path: int(path.rsplit("_", 1)[1][:-3]))
    arrays = []
    for path in paths:
        tensor = onnx.TensorProto()
        with open(path, "rb") as file:
            tensor.ParseFromString(file.read())
        arrays.append(numpy_helper.to_array(tensor))
    return arrays


def node_tests():
    """(name, node, constants, folder of data) of each test of one node that we have a builder for."""
    root = next((folder for folder in FOLDERS if os.path.isdir(folder)), None)
    for path in sorted(glob.glob(os.path.join(root or "", "*", "*", "model.onnx"))):
        folder = os.path.dirname(path)
        try:
            graph = onnx.load(path).graph
        except Exception:  # a model that this version of the package cannot read
            continue
        if len(graph.node) == 1 and graph.node[0].op_type in BUILDERS:
            yield os.path.basename(folder), graph, os.path.join(folder, "test_data_set_0")


def build(graph, folder):
    node = graph.node[0]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    free = [i.name for i in graph.input if i.name not in known]
    given = tensors(folder, "input")
    known.update(zip(free if len(free) == len(given) else [i.name for i in graph.input], given))
    need(all(name in known or name == "" for name in node.input), "an input that is not given")
    inputs = [known[name] if name else None for name in node.input]
    return BUILDERS[node.op_type](attributes, *inputs), tensors(folder, "output")


def main(program):
    log, cases, left_out = Log(), [], {}
    for name, graph, folder in node_tests():
        try:
            (op, attributes, inputs, finish), expected = build(graph, folder)
            cases.append((name, op, attributes, inputs, finish, expected))
        except (Unsupported, TypeError) as reason:
            left_out.setdefault(str(reason), []).append(name)
    if not cases:
        log.skip("onnx", "no test data (libonnx-testdata)")
        return log.end()
    given, answers = scratch("onnx.json"), scratch("onnx_answers.json")
    vectors = [{"id": name, "op": op, "clause": "5", "profile": "ma", "exact": "this-order",
                "comment": "", "flags": [], "attributes": attributes,
                "inputs": {key: to_json(value) for key, value in inputs.items()}, "expected": {}}
               for name, op, attributes, inputs, _, _ in cases]
    with open(given, "w", encoding="utf-8") as file:
        json.dump({"schema": "ddome-vectors-1", "specification": 1, "level": "onnx",
                   "vectors": vectors}, file)
    subprocess.run([program, "answer", given, answers], check=True)
    with open(answers, encoding="utf-8") as file:
        outputs = {v["id"]: v["expected"] for v in json.load(file)["vectors"]}
    for name, op, _, _, finish, expected in cases:
        got = finish({key: from_json(value) for key, value in outputs[name].items()})
        pairs = [(g, e) for g, e in zip(got, expected) if g is not None]
        results = [close(g, e, RELATIVE, ABSOLUTE) for g, e in pairs]
        worst = "; ".join(text for _, text in results)
        log.check("onnx %s (%s)" % (name, op), bool(pairs) and all(ok for ok, _ in results), worst)
    for reason, names in sorted(left_out.items()):
        print("not offered, %s: %d tests" % (reason, len(names)))
    return log.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
