#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The same steps by PyTorch's own operations (Debian: python3-torch): every activation and gradient
of whole training steps, and the losses of twenty. SPEC 19.7.1

    python3 tests/outside/pytorch.py ./ddome

ddome trains with --trace and --trace-tensors (SPEC 19.3). PyTorch gets the traced weights, images,
labels and embeddings and nothing else, and computes in binary64, so that what is seen is our
rounding alone, on every machine the same. A difference is measured against the largest magnitude of
the tensor. A ReLU whose input is within our rounding of zero may pass a gradient in one and not in
the other; the seeds are such that none is, as with most. Batch norms of few samples make small
differences grow from step to step: with the 7x7 stem, whose last maps are 1x1, losses of runs that
began with equal weights part within twenty steps, so there each step starts from traced weights.
"""

import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True

try:
    import numpy
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError as missing:
    print("skipped pytorch: %s is missing" % missing.name)
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(0)

from values import Log, Trace, scratch

ACTIVATION = 5e-5  # of the largest magnitude in the tensor; updated values, too
GRADIENT = 2e-4
ONE_LOSS = 1e-5  # relative, of one step
COURSE = 2e-3  # relative, after steps that carry differences on

STEPS = 20
ONE_CLIENT = ["algo=fedavg", "experts=1", "top_k=1", "clients=1", "anchor_clients=0",
              "active_anchors=0", "active_normal=1", "rounds=1", "synth_size=16",
              "synth_train=400", "samples_per_client=320", "labels_per_client=4",
              "synth_domains=2", "synth_shapes=2", "synth_test=20", "unseen_clients=1",
              "holdout_clients=0", "partition=iid", "batch=16", "width=4", "lr=0.001",
              "weight_decay=0.0005", "eval_every=1", "seed=3"]
MIXED = ["clients=6", "experts=3", "top_k=2", "rounds=1", "synth_size=16", "synth_train=400",
         "synth_test=60", "synth_domains=3", "synth_shapes=2", "label_group=2",
         "labels_per_client=4", "samples_per_client=32", "holdout_clients=1", "unseen_clients=1",
         "active_anchors=3", "active_normal=3", "batch=16", "width=4", "pretrain_epochs=1",
         "pretrain_batch=36", "pretrain_target=1", "init=random", "gate_hidden=16", "gate_lr=0.1",
         "lr=0.02", "weight_decay=0.0005", "eval_every=1"]


# ---- the network in PyTorch's modules, with torchvision's names ----


class Block(nn.Module):
    """relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)); the modules in between only have names."""

    def __init__(self, c, oc, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(c, oc, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(oc)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(oc, oc, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(oc)
        self.downsample = None
        if stride != 1 or c != oc:
            self.downsample = nn.Sequential(nn.Conv2d(c, oc, 1, stride, bias=False),
                                            nn.BatchNorm2d(oc))
        self.add = nn.Identity()
        self.relu2 = nn.ReLU()

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(self.add(y + (x if self.downsample is None else self.downsample(x))))


class ResNet34(nn.Module):
    """Width W, 3x3 stem or 7x7 with max-pool (SPEC 6.2, 6.3)."""

    def __init__(self, width, classes, big_stem=False):
        super().__init__()
        kernel, stride = (7, 2) if big_stem else (3, 1)
        self.conv1 = nn.Conv2d(3, width, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1) if big_stem else None
        c = width
        for stage, blocks in enumerate((3, 4, 6, 3)):
            layers = []
            for i in range(blocks):
                oc = width << stage
                layers.append(Block(c, oc, 2 if i == 0 and stage > 0 else 1))
                c = oc
            setattr(self, "layer%d" % (stage + 1), nn.Sequential(*layers))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(c, classes)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        if self.maxpool is not None:
            x = self.maxpool(x)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Gate(nn.Module):
    """linear, ReLU, linear (SPEC 6.4)."""

    def __init__(self, features, hidden, experts):
        super().__init__()
        self.fc1 = nn.Linear(features, hidden)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(hidden, experts)

    def forward(self, x):
        return self.fc2(self.relu(self.fc1(x)))


# Modules that have another name in a trace (SPEC 19.3.2)
TRACED = {"relu": "bn1.relu", "relu1": "bn1.relu", "relu2": "add.relu"}


def traced_name(module, gate):
    head, _, last = module.rpartition(".")
    if gate and last == "relu":
        return "fc1.relu"
    last = TRACED.get(last, last)
    return head + "." + last if head else last


def as_traced(tensor):
    """NCHW to NHWC, detached."""
    array = tensor.detach().numpy()
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def watch(model, scope, seen, gate=False):
    """Keeps each module's output and its gradient under the names of a trace."""
    def hook(name):
        def see(module, inputs, output):
            seen["forward/%s/%s/y" % (scope, name)] = output
            output.retain_grad()
        return see
    for name, module in model.named_modules():
        if name and not isinstance(module, nn.Sequential) and not isinstance(module, Block):
            module.register_forward_hook(hook(traced_name(name, gate)))


def load(model, values, scope):
    """The slices at the start of the step, strictly by name."""
    prefix = "start/%s/" % scope
    state = {key[len(prefix):-len("/value")]: torch.tensor(array.astype("f8"))
             for key, array in values.items() if key.startswith(prefix)}
    for name in list(model.state_dict()):
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(0)
    model.load_state_dict(state, strict=True)
    model.train()
    return model


# ---- comparing ----


class Comparison:
    """Differences against the largest magnitude of each tensor; what was compared is counted."""

    def __init__(self, log, name, values):
        self.log, self.name, self.values = log, name, values
        self.worst, self.compared = {}, set()

    def one(self, key, got, tolerance, kind):
        want = self.values.get(key)
        if want is None:
            return self.log.check("%s %s" % (self.name, key), False, "not in the trace")
        got = numpy.float64(got).reshape(want.shape)
        want = numpy.float64(want)
        scale = max(float(numpy.abs(want).max(initial=0)), 1e-30)
        error = float(numpy.abs(got - want).max(initial=0)) / scale
        self.compared.add(key)
        if not error <= tolerance:
            self.log.check("%s %s" % (self.name, key), False,
                           "%.3g of its largest magnitude, at most %.3g" % (error, tolerance))
        count, worst, where = self.worst.get(kind, (0, 0.0, ""))
        self.worst[kind] = (count + 1, max(worst, error), key if error > worst else where)
        return None

    def end(self):
        """What was not compared is what an operation hands on: it is part of the next one's dy."""
        for kind, (count, worst, where) in self.worst.items():
            self.log.check("%s: %d %s" % (self.name, count, kind), count > 0,
                           "worst %.2g of the largest magnitude, at %s" % (worst, where))
        left = [key for key in self.values if key not in self.compared
                and key.startswith(("forward/", "backward/", "update/"))
                and key.rpartition("/")[2] not in ("dx", "da", "db", "dz", "dz0", "dz1", "dgate")
                and key != "backward/loss/dy"]
        self.log.check("%s: nothing of the trace is left out" % self.name, not left,
                       "%d values, such as %s" % (len(left), left[:3]) if left else "")


def compare_seen(comparison, seen):
    for key, tensor in seen.items():
        comparison.one(key, as_traced(tensor), ACTIVATION, "activations")
        if tensor.grad is not None:
            back = key.replace("forward/", "backward/", 1).rpartition("/")[0] + "/dy"
            comparison.one(back, as_traced(tensor.grad), GRADIENT, "gradients of activations")


# How a trace names the gradients of a layer's weights
GRADIENTS = {"conv": {"weight": "dw"}, "fc": {"weight": "dw", "bias": "db"},
             "bn": {"weight": "dgamma", "bias": "dbeta"}}


def gradient_key(scope, parameter):
    layer, _, kind = parameter.rpartition(".")
    last = layer.rsplit(".", 1)[-1]
    kinds = GRADIENTS["fc" if last.startswith("fc") else
                      "bn" if last.startswith("bn") or layer.endswith("downsample.1") else "conv"]
    return "backward/%s/%s/%s" % (scope, layer, kinds[kind])


def compare_model(comparison, model, scope, optimiser):
    """Gradients of the parameters; after a step of the optimiser, all values."""
    for name, parameter in model.named_parameters():
        comparison.one(gradient_key(scope, name), parameter.grad.numpy(), GRADIENT,
                       "gradients of parameters")
    optimiser.step()
    for name, value in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        statistic = "running_" in name
        comparison.one("update/%s/%s/%s" % (scope, name, "value" if statistic else "w"),
                       value.numpy(), ACTIVATION, "updated values")
        if statistic:
            layer, _, kind = name.rpartition(".")
            comparison.one("forward/%s/%s/%s" % (scope, layer, kind), value.numpy(), ACTIVATION,
                           "running statistics")
    for name, parameter in model.named_parameters():
        velocity = optimiser.state[parameter].get("momentum_buffer")
        if velocity is not None:
            comparison.one("update/%s/%s/v" % (scope, name), velocity.numpy(), GRADIENT,
                           "velocities")


def images(values):
    return torch.tensor(values["data/images/value"].transpose(0, 3, 1, 2).astype("f8"))


def labels(values):
    return torch.tensor(values["data/labels/value"].astype("i8").ravel())


# ---- the checks ----


def train(program, name, keys, pattern):
    out = scratch(name.replace(" ", "-").replace(",", ""))
    trace = out + ".jsonl"
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run([program, "train", *keys, "--out", out, "--quiet", "--trace", trace,
                    "--trace-tensors", pattern], check=True, stdout=subprocess.DEVNULL)
    return Trace(trace)


def sgd(model, lr, momentum=0.9, decay=0.0005):
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum, weight_decay=decay)


def loss_of(model, values):
    return functional.cross_entropy(model(images(values)), labels(values))


def check_step(log, name, values, model, optimiser):
    """Every activation, gradient and updated value of one step."""
    seen = {}
    watch(model, "expert0", seen)
    seen["forward/loss/loss"] = loss_of(model, values)
    seen["forward/loss/loss"].backward()
    comparison = Comparison(log, name, values)
    compare_seen(comparison, seen)
    compare_model(comparison, model, "expert0", optimiser)
    comparison.end()


def worst(got, want):
    return max(abs(g - w) / abs(w) for g, w in zip(got, want))


def check_single(log, program, name, big_stem):
    """FedAvg with one client: ResNet-34 of width 4, one whole step, and the losses of twenty."""
    keys = ONE_CLIENT + (["stem=7x7", "synth_size=32"] if big_stem else [])
    trace = train(program, name, keys, "r1/c0/s0/*,*/data/*,*/start/*,*/forward/loss/*")
    steps = [trace.under("r1/c0/s%d/" % step) for step in range(STEPS)]
    want = [float(values["forward/loss/loss"]) for values in steps]
    model = load(ResNet34(4, 4, big_stem), steps[0], "expert0")
    check_step(log, name, steps[0], model, sgd(model, 0.001))
    each = [float(loss_of(load(ResNet34(4, 4, big_stem), values, "expert0"), values).detach())
            for values in steps]
    log.check("%s: losses of %d steps, each from the traced weights" % (name, STEPS),
              worst(each, want) <= ONE_LOSS, "worst %.2g" % worst(each, want))
    if not big_stem:
        check_course(log, name, steps, want)


def check_course(log, name, steps, want):
    """The same steps in one go: what differs at first is carried on."""
    model = load(ResNet34(4, 4), steps[0], "expert0")
    optimiser, got = sgd(model, 0.001), []
    for values in steps:
        optimiser.zero_grad()
        loss = loss_of(model, values)
        loss.backward()
        optimiser.step()
        got.append(float(loss.detach()))
    log.check("%s: losses of %d steps in one go" % (name, STEPS), worst(got, want) <= COURSE,
              "worst %.2g, from %.4f to %.4f" % (worst(got, want), want[0], want[-1]))


def mixture(gate, outputs, chosen, probs):
    weights = functional.softmax(gate[:, chosen], dim=1)
    if not probs:
        return sum(weights[:, i:i + 1] * z for i, z in enumerate(outputs))
    return torch.log(sum(weights[:, i:i + 1] * functional.softmax(z, dim=1)
                         for i, z in enumerate(outputs)))


def visit_of(trace, experts):
    """(prefix, chosen) of the first visit of round 1 with so many experts."""
    for key in trace.tensors:
        if key.startswith("r1/") and key.endswith("/choose/chosen/chosen"):
            if trace.tensors[key].size == experts:
                return key[:-len("choose/chosen/chosen")], trace.tensors[key].ravel().tolist()
    raise LookupError("no visit with %d experts" % experts)


def check_mixed(log, program, name, probs):
    """A normal client of DDOME: one tape through the gate and two experts."""
    keys = MIXED + (["mix=probs"] if probs else [])
    trace = train(program, name, keys, "r1/*/s0/*,r1/*/choose/*")
    visit, chosen = visit_of(trace, 2)
    values = trace.under(visit + "s0/")
    gate = load(Gate(32, 16, 3), values, "gate")
    experts = [load(ResNet34(4, 6), values, "expert%d" % i) for i in chosen]
    seen = {}
    watch(gate, "gate", seen, gate=True)
    for i, expert in zip(chosen, experts):
        watch(expert, "expert%d" % i, seen)
    u = gate(torch.tensor(values["data/embeddings/value"].astype("f8")))
    z = mixture(u, [expert(images(values)) for expert in experts], chosen, probs)
    z.retain_grad()
    loss = functional.cross_entropy(z, labels(values))
    loss.backward()
    seen["forward/mixture/y"], seen["forward/loss/loss"] = z, loss
    comparison = Comparison(log, name, values)
    compare_seen(comparison, seen)
    compare_model(comparison, gate, "gate", sgd(gate, 0.1, 0, 0))
    for i, expert in zip(chosen, experts):
        compare_model(comparison, expert, "expert%d" % i, sgd(expert, 0.02))
    comparison.end()


def main(program):
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    log = Log()
    check_single(log, program, "pytorch step, 3x3 stem", False)
    check_single(log, program, "pytorch step, 7x7 stem", True)
    check_mixed(log, program, "pytorch mixture of logits", False)
    check_mixed(log, program, "pytorch mixture of probabilities", True)
    return log.end()


if __name__ == "__main__":
    sys.exit(main(os.path.abspath(sys.argv[1])))
