# SPDX-License-Identifier: MIT
"""Models as flat vectors, their passes with a tape, initialisation, SGD (SPEC 6, 5.16)."""

import numpy as np

from . import numbers, ops, rng

F = np.float32


class Model:
    """Slices (name, shape, kind, in) over one flat vector, and the counter (SPEC 6.1)."""

    def __init__(self, forward, slices):
        self.forward, self.slices, self.counter = forward, slices, 0
        sizes = [int(np.prod(shape)) for _, shape, _, _ in slices]
        self.ends = np.cumsum(sizes)
        self.values = np.zeros(self.ends[-1], F)
        self.trained = np.repeat([kind not in ("mean", "var") for _, _, kind, _ in slices], sizes)
        self.norms = sum(kind == "mean" for _, _, kind, _ in slices)

    def parts(self, flat):
        """Views of a flat vector by name."""
        starts = np.concatenate([[0], self.ends[:-1]])
        return {name: flat[a:b].reshape(shape)
                for (name, shape, _, _), a, b in zip(self.slices, starts, self.ends)}

    def copy(self):
        """A copy with values and counter."""
        other = Model(self.forward, self.slices)
        other.values[:], other.counter = self.values, self.counter
        return other

    def hash(self):
        """SPEC 3.6, 6.1."""
        return numbers.hash_floats(self.values)

    def bytes(self):
        """Payload of a message with this model (SPEC 15.1)."""
        return 4 * len(self.values) + 8 * self.norms


def conv_slices(name, oc, ic, kernel):
    """Slice of a convolution."""
    return [(name + ".weight", (oc, ic, kernel, kernel), "conv", 0)]


def norm_slices(name, c, norm):
    """Slices of a norm layer (SPEC 6.1)."""
    kinds = [("weight", "one"), ("bias", "zero"), ("running_mean", "mean"), ("running_var", "var")]
    kinds = kinds if norm == "batch" else kinds[:2]
    return [("%s.%s" % (name, part), (c,), kind, 0) for part, kind in kinds]


def linear_slices(name, inputs, outputs):
    """Slices of a linear layer."""
    return [(name + ".weight", (outputs, inputs), "linear", inputs),
            (name + ".bias", (outputs,), "linear", inputs)]


def blocks(width):
    """Prefix of names, channels in and out, stride of the basic blocks of ResNet-34 (SPEC 6.2)."""
    ic = width
    for stage, count in enumerate((3, 4, 6, 3)):
        oc = width << stage
        for b in range(count):
            yield "layer%d.%d." % (stage + 1, b), ic, oc, 2 if stage and not b else 1
            ic = oc


def block_slices(prefix, ic, oc, stride, norm):
    """Slices of a basic block (SPEC 6.2)."""
    slices = conv_slices(prefix + "conv1", oc, ic, 3) + norm_slices(prefix + "bn1", oc, norm)
    slices += conv_slices(prefix + "conv2", oc, oc, 3) + norm_slices(prefix + "bn2", oc, norm)
    if ic != oc or stride != 1:
        slices += conv_slices(prefix + "downsample.0", oc, ic, 1)
        slices += norm_slices(prefix + "downsample.1", oc, norm)
    return slices


def basic_block(walk, x, prefix, ic, oc, stride, gn_channels):
    """relu((bn2(conv2(relu(bn1(conv1(x)))))) + shortcut(x)) (SPEC 6.2)."""
    y = walk.norm(prefix + "bn1", walk.conv(prefix + "conv1", x, stride, 1), gn_channels)
    y = walk.norm(prefix + "bn2", walk.conv(prefix + "conv2", walk.relu(y), 1, 1), gn_channels)
    if ic != oc or stride != 1:
        x = walk.conv(prefix + "downsample.0", x, stride, 0)
        x = walk.norm(prefix + "downsample.1", x, gn_channels)
    return walk.relu(walk.add(y, x))


def resnet34(c, classes):
    """ResNet-34 with zeros for values (SPEC 6.2, 6.3)."""
    slices = conv_slices("conv1", c.width, 3, int(c.stem[0])) + norm_slices("bn1", c.width, c.norm)
    for block in blocks(c.width):
        slices += block_slices(*block, c.norm)
    slices += linear_slices("fc", 8 * c.width, classes)

    def forward(walk, x):
        wide = c.stem == "7x7"
        x = walk.conv("conv1", x, 2 if wide else 1, 3 if wide else 1)
        x = walk.relu(walk.norm("bn1", x, c.gn_channels))
        x = walk.max_pool(x, 3, 2, 1) if wide else x
        for block in blocks(c.width):
            x = basic_block(walk, x, *block, c.gn_channels)
        embedding = walk.average_pool(x)
        return walk.linear("fc", embedding), embedding
    return Model(forward, slices)


def perceptron(inputs, hidden, outputs):
    """fc1, ReLU, fc2 with zeros for values (SPEC 6.4)."""
    def forward(walk, x):
        embedding = walk.relu(walk.linear("fc1", x))
        return walk.linear("fc2", embedding), embedding
    return Model(forward, linear_slices("fc1", inputs, hidden)
                 + linear_slices("fc2", hidden, outputs))


def expert(c, classes):
    """A model of the experts' architecture (SPEC 6.5)."""
    if c.arch == "mlp":
        return perceptron(c.synth_size * c.synth_size * 3, c.hidden, classes)
    return resnet34(c, classes)


def gate(c, experts):
    """The gate (SPEC 6.5)."""
    return perceptron(c.hidden if c.arch == "mlp" else 8 * c.width, c.gate_hidden, experts)


def initialise(model, seed, stream, client=0):
    """Initial values; slice s draws with round = s (SPEC 6.6)."""
    parts = model.parts(model.values)
    for s, (name, shape, kind, inputs) in enumerate(model.slices):
        g, n = rng.Stream(seed, stream, s, client), int(np.prod(shape))
        if kind == "conv":
            deviation = numbers.sqrt(F(2) / F(shape[0] * shape[2] * shape[3]))
            parts[name][...] = (deviation * rng.normals(g, n)).reshape(shape)
        elif kind == "linear":
            bound = F(1) / numbers.sqrt(F(inputs))
            span = bound + bound
            parts[name][...] = ((rng.uniforms(g, n) * span) - bound).reshape(shape)
        else:
            parts[name][...] = F(kind in ("one", "var"))
    return model


class Node:
    """A value of the tape and its gradient."""

    def __init__(self, data, wanted=True):
        self.data, self.wanted, self.grad = data, wanted, None

    def give(self, gradient):
        """The first gradient is stored, later ones are added (SPEC 5.16)."""
        self.grad = gradient if self.grad is None else self.grad + gradient


class Walk:
    """One pass of a model: training with a tape (list of backward steps), else evaluation."""

    def __init__(self, model, tape=None):
        self.model, self.tape = model, tape
        self.values = model.parts(model.values)
        self.gradient = np.zeros_like(model.values) if tape is not None else None
        self.grads = model.parts(self.gradient) if tape is not None else None

    def run(self, x):
        """Logits and embedding of inputs, which get no gradient."""
        if self.tape is not None:
            self.model.counter += 1
        return self.model.forward(self, Node(x, False))

    def record(self, y, backward):
        """A node whose backward step is backward(dy)."""
        node = Node(y)
        if self.tape is not None:
            self.tape.append(lambda: backward(node.grad))
        return node

    def conv(self, name, x, stride, pad):
        """SPEC 5.3 to 5.5."""
        name += ".weight"
        w = self.values[name]

        def backward(dy):
            self.grads[name][...] = ops.conv_dw(dy, x.data, w.shape, stride, pad)
            if x.wanted:
                x.give(ops.conv_dx(dy, w, x.data.shape, stride, pad))
        return self.record(ops.conv(x.data, w, stride, pad), backward)

    def norm(self, name, x, gn_channels):
        """SPEC 5.6 to 5.9."""
        gamma, beta = self.values[name + ".weight"], self.values[name + ".bias"]
        if name + ".running_mean" in self.values:
            running = self.values[name + ".running_mean"], self.values[name + ".running_var"]
            back = ops.batch_norm_backward
            if self.tape is None:
                return Node(ops.batch_norm_evaluation(x.data, gamma, beta, *running))
            y, saved, mean, var = ops.batch_norm(x.data, gamma, beta, *running)
            running[0][...], running[1][...] = mean, var
        else:
            back = ops.group_norm_backward
            y, saved = ops.group_norm(x.data, gamma, beta, max(1, len(gamma) // gn_channels))

        def backward(dy):
            dx, dgamma, dbeta = back(dy, gamma, saved)
            self.grads[name + ".weight"][...] = dgamma
            self.grads[name + ".bias"][...] = dbeta
            x.give(dx)
        return self.record(y, backward)

    def linear(self, name, x):
        """SPEC 5.2."""
        w, b = self.values[name + ".weight"], self.values[name + ".bias"]
        flat = x.data.reshape(len(x.data), -1)

        def backward(dy):
            dw, db = ops.linear_dw(dy, flat)
            self.grads[name + ".weight"][...] = dw
            self.grads[name + ".bias"][...] = db
            if x.wanted:
                x.give(ops.linear_dx(dy, w))
        return self.record(ops.linear(flat, w, b), backward)

    def relu(self, x):
        """SPEC 5.10."""
        y = ops.relu(x.data)
        return self.record(y, lambda dy: x.give(ops.relu_backward(dy, y)))

    def max_pool(self, x, kernel, stride, pad):
        """SPEC 5.11."""
        y, choice = ops.max_pool(x.data, kernel, stride, pad)
        return self.record(
            y, lambda dy: x.give(ops.max_pool_backward(dy, choice, x.data.shape)))

    def average_pool(self, x):
        """SPEC 5.12."""
        return self.record(ops.average_pool(x.data),
                           lambda dy: x.give(ops.average_pool_backward(dy, x.data.shape)))

    def add(self, a, b):
        """SPEC 5.13."""
        def backward(dy):
            a.give(dy)
            b.give(dy)
        return self.record(ops.add(a.data, b.data), backward)


def backward(tape):
    """The tape in reverse (SPEC 5.16)."""
    for step in reversed(tape):
        step()


def evaluate(model, x):
    """Logits and embedding of many inputs in evaluation mode."""
    parts = [model.forward(Walk(model), Node(x[i:i + 64])) for i in range(0, len(x), 64)]
    return [np.concatenate([part[j].data for part in parts]) for j in (0, 1)]


class Optimiser:
    """SGD with its state over a model."""

    def __init__(self, model, momentum, weight_decay):
        self.model, self.momentum, self.weight_decay = model, momentum, weight_decay
        self.velocity, self.first = None, True

    def step(self, gradient, lr):
        """Applies a flat gradient to the trained values."""
        m = self.model
        w, self.velocity = ops.sgd(m.values[m.trained], gradient[m.trained], self.velocity,
                               self.first, lr, self.momentum, self.weight_decay)
        m.values[m.trained], self.first = w, False
