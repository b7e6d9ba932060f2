# SPDX-License-Identifier: MIT
"""The larger computations of SPEC 19.2.5: (config, attributes, inputs) -> outputs by name."""

import numpy as np

from . import computations, config, data, federation, models, numbers, ops, partition, rng

F = np.float32
# What pretraining depends on (SPEC 7.4, 8.1, 9.1, 9.2).
PRETRAINING = """seed arith normalize synth_train synth_size synth_domains synth_shapes synth_noise
arch stem norm width hidden gn_channels pretrain_target pretrain_lr pretrain_momentum
pretrain_weight_decay pretrain_epochs pretrain_batch""".split()
ROLES = ("anchor", "normal", "holdout", "unseen")


def configuration(keys):
    """The configuration of a vector; its profile is the vector's (SPEC 19.1.2)."""
    c = config.make(list(keys.items()))
    c.arith = numbers.arith
    return c


def digest(data_bytes):
    """`digest` of SPEC 19.1.2."""
    return computations.digest(data_bytes)["digest"]


def synth(keys, _, __):
    """SPEC 7.4, 7.5."""
    c = configuration(keys)
    train, test = data.split(c, rng.SYNTH_TRAIN), data.split(c, rng.SYNTH_TEST)
    return {"first": train.images[:1], "last": train.images[-1:], "first_test": test.images[:1],
            "train_digest": digest(data.records(train)),
            "test_digest": digest(data.records(test))}


def normalise(_, __, i):
    """SPEC 7.3."""
    every = np.arange(256)
    return {"value": np.stack([data.normal(every, mean, deviation)
                               for mean, deviation in zip(i["mean"], i["deviation"])])}


def augment(keys, a, i):
    """SPEC 7.6."""
    c = configuration(keys)
    g = rng.Stream(c.seed, rng.AUGMENT, a["round"], a["client"], a["epoch"])
    labels = np.arange(len(i["x"])) % partition.classes(c)
    return {"y": data.augment(c, i["x"], g), "labels": labels}


def partitioned(keys, _, __):
    """SPEC 8."""
    c = configuration(keys)
    p = partition.Partition(c, data.split(c, rng.SYNTH_TRAIN), data.split(c, rng.SYNTH_TEST))
    lines = [(i, k.number, ROLES.index(k.role)) for k in p.clients for i in k.samples]
    index, client, role = np.array(lines).T
    return {"pool": p.pool, "held": p.held, "index": index, "client": client, "role": role,
            "draws": p.draws, "repaired": p.repaired, "csv_digest": digest(p.text().encode())}


def prefixed(prefix, parts):
    """Values by name with a prefix; copies, as models move on."""
    return {prefix + name: part.copy() for name, part in parts.items()}


def trained(model, prefix, flat):
    """The trained slices of a flat vector by name."""
    names = {name for name, _, kind, _ in model.slices if kind not in ("mean", "var")}
    return prefixed(prefix, {name: x for name, x in model.parts(flat).items() if name in names})


def started(model, i):
    """A model with the values of inputs start.SLICE."""
    for name, part in model.parts(model.values).items():
        part[...] = i["start." + name]
    return model


def block(_, __, i):
    """layer2.0 of width 4 alone, average pool, last layer, loss (SPEC 6.2)."""
    def forward(walk, x):
        y = models.basic_block(walk, x, "", 4, 8, 2, 8)
        return walk.linear("fc", walk.average_pool(y)), y
    slices = models.block_slices("", 4, 8, 2, "batch") + models.linear_slices("fc", 8, 10)
    model, tape = started(models.Model(forward, slices), i), []
    walk, x = models.Walk(model, tape), models.Node(i["x"])
    logits, y = model.forward(walk, x)
    loss, dz = ops.cross_entropy(logits.data, i["labels"])
    logits.give(dz)
    models.backward(tape)
    return {"y": y.data, "logits": logits.data, "loss": loss, "x.gradient": x.grad,
            **trained(model, "gradient.", walk.gradient),
            **prefixed("after.", model.parts(model.values))}


def step(c, model, optimiser, x, labels, prefix):
    """One step of SGD on a batch, and all that it computes (SPEC 6)."""
    tape = []
    walk = models.Walk(model, tape)
    logits = walk.run(x)[0]
    loss, dz = ops.cross_entropy(logits.data, labels)
    logits.give(dz)
    models.backward(tape)
    optimiser.step(walk.gradient, c.lr)
    velocity = np.zeros_like(model.values)
    velocity[model.trained] = optimiser.velocity
    return {prefix + "logits": logits.data, prefix + "loss": loss,
            **trained(model, prefix + "gradient.", walk.gradient),
            **trained(model, prefix + "velocity.", velocity),
            **prefixed(prefix + "after.", model.parts(model.values))}


def train_step(keys, _, i):
    """SPEC 6; as many classes as the last layer has."""
    c = configuration(keys)
    model = started(models.resnet34(c, len(i["start.fc.bias"])), i)
    optimiser = models.Optimiser(model, c.momentum, c.weight_decay)
    return step(c, model, optimiser, i["x"], i["labels"], "")


def train_steps(keys, a, i):
    """SPEC 6, 6.6."""
    c = configuration(keys)
    model = models.initialise(models.resnet34(c, a["classes"]), c.seed, rng.INIT_EXPERT)
    optimiser = models.Optimiser(model, c.momentum, c.weight_decay)
    result = {"start": model.values.copy()}
    for s in range(a["steps"]):
        x, labels = i["s%d.x" % s], i["s%d.labels" % s]
        result.update(step(c, model, optimiser, x, labels, "s%d." % s))
    return result


class History:
    """A run, with the server's models at the start and after each round."""

    known, pretrained = {}, {}

    def __init__(self, c):
        key = tuple(str(getattr(c, name)) for name in PRETRAINING)
        self.run, self.visits = federation.begin(c, self.pretrained.get(key)), [None]
        self.pretrained[key] = self.run.pretrained
        self.states = [(self.run.gate, self.run.experts, {})]

    @classmethod
    def of(cls, keys):
        """The history of a configuration; what evaluates it alone does not count."""
        c = configuration(keys)
        same = {key: text for key, text in keys.items()
                if key not in ("arith", "rounds", "eval_scope", "eval_every")}
        key = c.arith, tuple(sorted(same.items()))
        if key not in cls.known:
            cls.known[key] = cls(c)
        return cls.known[key]

    def round(self, t):
        """Runs rounds up to t."""
        for now in range(len(self.visits), t + 1):
            self.at(now - 1)
            self.visits.append(federation.one_round(self.run, now))
            kept = dict(self.run.kept)
            self.states.append((self.run.gate, list(self.run.experts), kept))
        return self.at(t)

    def at(self, t):
        """The run with the server's values after round t."""
        self.run.gate, experts, kept = self.states[t]
        self.run.experts, self.run.kept = list(experts), dict(kept)
        return self.run


def common(keys, _, __):
    """SPEC 9."""
    r = History.of(keys).at(0)
    model, epochs, correct = r.pretrained
    embeddings = r.embeddings[r.train][r.partition.clients[0].samples]
    return {"batches": model.counter, "epochs": epochs, "holdout_correct": correct,
            "holdout_total": len(r.partition.held), "client0.embeddings": embeddings,
            **prefixed("common.", model.parts(model.values))}


def client(keys, a, _):
    """SPEC 11.3, 11.4."""
    r = History.of(keys).round(a["round"] - 1)
    visit = federation.visit(r, r.partition.clients[a["client"]], a["round"])
    result = {name: visit[name] for name in ("score", "chosen", "loss")}
    result.update(prefixed("gate.", visit["gate"].parts(visit["gate"].values)))
    for j, model in visit["experts"].items():
        result["expert%d.batches" % j] = model.counter
        result.update(prefixed("expert%d." % j, model.parts(model.values)))
    return result


def rounds(keys, a, _):
    """SPEC 11."""
    history, result = History.of(keys), {}
    history.round(a["rounds"])
    for t in range(a["rounds"] + 1):
        gate, experts, _ = history.states[t]
        models_now = dict(("round%d.expert%d" % (t, j), m) for j, m in enumerate(experts))
        models_now.update({"round%d.gate" % t: gate} if gate else {})
        result.update((name, m.values) for name, m in models_now.items())
        visits = history.visits[t]
        if visits:
            result["round%d.participants" % t] = [v["client"] for v in visits]
            result["round%d.loss" % t] = np.array([v["loss"] for v in visits], F)
            result.update(("round%d.client%d.chosen" % (t, v["client"]), v["chosen"])
                          for v in visits)
    return result


def evaluation(keys, a, _):
    """SPEC 13, 14.3, 14.4."""
    r, result = History.of(keys).round(a["round"]), {}
    for found in federation.evaluate_clients(r, configuration(keys).eval_scope):
        entropies = dict(zip(("score_entropy", "mean_entropy"), found["entropies"]))
        values = {**entropies, **{name: found[name] for name in (
            "score", "chosen", "routed", "predictions", "correct", "loss")}}
        number = found["client"].number
        result.update(("client%d.%s" % (number, name), x) for name, x in values.items())
    result["anchor_routed"], result["anchor_total"] = federation.anchors_routed(r)
    return result


TABLE = {
    "synth": synth, "normalise": normalise, "augment": augment, "partition": partitioned,
    "block": block, "train_step": train_step, "train_steps": train_steps, "common": common,
    "client": client, "rounds": rounds, "evaluation": evaluation,
}
