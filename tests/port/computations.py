# SPDX-License-Identifier: MIT
"""The computations of SPEC 19.1.2: (attributes, inputs) -> outputs, arrays by name."""

import numpy as np

from . import numbers, ops, rng

F = np.float32


def philox(_, i):
    """SPEC 4.1."""
    counter = [i["counter"][j:j + 1].astype(np.uint64) for j in range(4)]
    return {"words": rng.philox(*counter, *map(int, i["key"]))[:, 0]}


def stream(a):
    """The generator of a place (SPEC 4.2)."""
    return rng.Stream(a["seed"], a["stream"], a["round"], a["client"], a["epoch"])


def draw(function):
    """A computation of `count` draws by function(generator, count, attributes, inputs)."""
    return lambda a, i: {"draws": function(stream(a), a["count"], a, i)}


def each(function):
    """A function of single draws, as one of many."""
    return lambda g, n, a, i: np.array([function(g, a, i) for _ in range(n)])


def dirichlet(a, i):
    """SPEC 4.8."""
    return {"p": rng.dirichlet(stream(a), a["count"], i["alpha"])}


def elementary(function):
    """A function of every element of x (SPEC 3)."""
    return lambda _, i: {"y": function(i["x"])}


def digest(data):
    """SHA-256 as eight words (SPEC 19.1.2)."""
    return {"digest": np.array([int(numbers.sha256(data)[j:j + 8], 16)
                                for j in range(0, 64, 8)], np.uint32)}


def hash_floats(_, i):
    """SPEC 3.6."""
    return digest(numbers.canonical(i["x"]).astype("<f4").tobytes())


def total(_, i):
    """SPEC 2.4."""
    return {"total": numbers.plain_sum(i["x"])}


def matmul(_, i):
    """SPEC 5.1."""
    return {"c": numbers.total(i["a"].T, i["b"])}


def linear(_, i):
    """SPEC 5.2."""
    return {"y": ops.linear(i["x"], i["w"], i["b"])}


def linear_backward(_, i):
    """SPEC 5.2."""
    dw, db = ops.linear_dw(i["dy"], i["x"])
    return {"dx": ops.linear_dx(i["dy"], i["w"]), "dw": dw, "db": db}


def conv(a, i):
    """SPEC 5.3."""
    return {"y": ops.conv(i["x"], i["w"], a["stride"], a["pad"])}


def conv_dx(a, i):
    """SPEC 5.4."""
    shape = len(i["dy"]), a["h"], a["w"], i["w"].shape[1]
    return {"dx": ops.conv_dx(i["dy"], i["w"], shape, a["stride"], a["pad"])}


def conv_dw(a, i):
    """SPEC 5.5."""
    shape = i["dy"].shape[3], i["x"].shape[3], a["kh"], a["kw"]
    return {"dw": ops.conv_dw(i["dy"], i["x"], shape, a["stride"], a["pad"])}


def batch_norm(_, i):
    """SPEC 5.6."""
    y, _, mean, var = ops.batch_norm(i["x"], i["gamma"], i["beta"], i["running_mean"],
                                     i["running_var"])
    return {"y": y, "running_mean": mean, "running_var": var}


def batch_norm_evaluate(_, i):
    """SPEC 5.7."""
    return {"y": ops.batch_norm_evaluation(i["x"], i["gamma"], i["beta"], i["running_mean"],
                                           i["running_var"])}


def batch_norm_backward(_, i):
    """SPEC 5.8."""
    zeros = np.zeros_like(i["gamma"])
    saved = ops.batch_norm(i["x"], i["gamma"], zeros, zeros, zeros)[1]
    return gradients(ops.batch_norm_backward(i["dy"], i["gamma"], saved))


def gradients(found):
    """Gradients of a norm by name."""
    return dict(zip(("dx", "dgamma", "dbeta"), found))


def group_norm(a, i):
    """SPEC 5.9."""
    return {"y": ops.group_norm(i["x"], i["gamma"], i["beta"], a["groups"])[0]}


def group_norm_backward(a, i):
    """SPEC 5.9."""
    saved = ops.group_norm(i["x"], i["gamma"], np.zeros_like(i["gamma"]), a["groups"])[1]
    return gradients(ops.group_norm_backward(i["dy"], i["gamma"], saved))


def relu(_, i):
    """SPEC 5.10."""
    return {"y": ops.relu(i["x"])}


def relu_backward(_, i):
    """SPEC 5.10."""
    return {"dx": ops.relu_backward(i["dy"], i["y"])}


def max_pool(a, i):
    """SPEC 5.11."""
    return {"y": ops.max_pool(i["x"], a["kernel"], a["stride"], a["pad"])[0]}


def max_pool_backward(a, i):
    """SPEC 5.11."""
    choice = ops.max_pool(i["x"], a["kernel"], a["stride"], a["pad"])[1]
    return {"dx": ops.max_pool_backward(i["dy"], choice, i["x"].shape)}


def avg_pool(_, i):
    """SPEC 5.12."""
    return {"y": ops.average_pool(i["x"])}


def avg_pool_backward(a, i):
    """SPEC 5.12."""
    n, c = i["dy"].shape
    return {"dx": ops.average_pool_backward(i["dy"], (n, a["h"], a["w"], c))}


def add(_, i):
    """SPEC 5.13, 5.16."""
    return {"y": ops.add(i["a"], i["b"])}


def softmax(_, i):
    """SPEC 5.14."""
    return {"p": ops.softmax(i["z"])[0]}


def cross_entropy(_, i):
    """SPEC 5.14."""
    return {"loss": ops.cross_entropy(i["z"], i["labels"])[0]}


def cross_entropy_backward(_, i):
    """SPEC 5.14."""
    return {"dz": ops.cross_entropy(i["z"], i["labels"], i["scale"])[1]}


def chosen_logits(i):
    """Gate logits of the chosen experts [n, K] and their logits [n, K, c]."""
    return i["gate"][:, i["chosen"]], np.stack([i["z%d" % k] for k in range(len(i["chosen"]))], 1)


def mixture(_, i):
    """SPEC 5.15 (a)."""
    return {"y": ops.mixture_logits(*chosen_logits(i))[0]}


def mixture_probs(_, i):
    """SPEC 5.15 (b)."""
    return {"y": ops.mixture_probs(*chosen_logits(i))[0]}


def mixture_gradients(i, du, dz):
    """dgate with +0 for experts not chosen, and dz of each that is (SPEC 5.15)."""
    dgate = np.zeros_like(i["gate"])
    dgate[:, i["chosen"]] = du
    return {"dgate": dgate, **{"dz%d" % k: dz[:, k] for k in range(dz.shape[1])}}


def mixture_backward(_, i):
    """SPEC 5.15 (a)."""
    u, z = chosen_logits(i)
    w = ops.mixture_logits(u, z)[1]
    return mixture_gradients(i, *ops.mixture_logits_backward(i["dy"], z, w))


def mixture_probs_backward(_, i):
    """SPEC 5.15 (b)."""
    u, z = chosen_logits(i)
    mixed, t = ops.mixture_probs(u, z)
    return mixture_gradients(i, *ops.mixture_probs_backward(i["dy"], mixed, u, z, t))


def sgd(a, i):
    """SPEC 6.7."""
    w, v = ops.sgd(i["w"], i["g"], i["v"], a["first"], i["lr"], i["momentum"],
                   i["weight_decay"])
    return {"w": w, "v": v}


def average(a, i):
    """SPEC 11.5."""
    weights = [1 if a["uniform"] else int(n) for n in i["samples"]]
    return {"w": ops.average(list(i["copies"]), weights)}


def score(_, i):
    """SPEC 10.1."""
    return {"score": ops.score(i["logits"])}


def top_k(a, i):
    """SPEC 10.2."""
    return {"chosen": ops.top_k(i["score"], a["k"])}


def argmax(_, i):
    """SPEC 2.7."""
    return {"index": ops.largest(i["z"].T)}


TABLE = {
    "philox": philox,
    "draw.words": draw(lambda g, n, a, i: g.words(n)),
    "draw.uniform": draw(lambda g, n, a, i: rng.uniforms(g, n)),
    "draw.uniform_positive": draw(each(lambda g, a, i: rng.uniform_positive(g))),
    "draw.normal": draw(lambda g, n, a, i: rng.normals(g, n)),
    "draw.shuffle": draw(lambda g, n, a, i: rng.shuffle(g, range(n))),
    "draw.below": draw(each(lambda g, a, i: rng.below(g, a["bound"]))),
    "draw.log_gamma": draw(each(lambda g, a, i: rng.log_gamma(g, i["alpha"]))),
    "draw.dirichlet": dirichlet,
    "exp": elementary(numbers.exp), "log": elementary(numbers.log),
    "rsqrt": elementary(numbers.rsqrt), "sqrt": elementary(numbers.sqrt),
    "hash": hash_floats, "sum": total, "matmul": matmul,
    "linear": linear, "linear.backward": linear_backward,
    "conv": conv, "conv.backward_input": conv_dx, "conv.backward_weight": conv_dw,
    "batch_norm": batch_norm, "batch_norm.evaluate": batch_norm_evaluate,
    "batch_norm.backward": batch_norm_backward,
    "group_norm": group_norm, "group_norm.backward": group_norm_backward,
    "relu": relu, "relu.backward": relu_backward,
    "max_pool": max_pool, "max_pool.backward": max_pool_backward,
    "avg_pool": avg_pool, "avg_pool.backward": avg_pool_backward, "add": add,
    "softmax": softmax, "cross_entropy": cross_entropy,
    "cross_entropy.backward": cross_entropy_backward,
    "mixture": mixture, "mixture_probs": mixture_probs,
    "mixture.backward": mixture_backward, "mixture_probs.backward": mixture_probs_backward,
    "sgd": sgd, "average": average, "score": score, "top_k": top_k, "argmax": argmax,
}
