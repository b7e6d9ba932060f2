# SPDX-License-Identifier: MIT
"""Every baseline and every control (SPEC 11.7 to 11.12, 12.6, 12.7, 15).

Written from SPEC.md alone, beside `federation`, which stays the short port of the method itself.
"""

import itertools
import sys
import types

import numpy as np

from . import config, controls, data, federation, models, numbers, ops, rng, zero_shot

F = np.float32
UNIFORM = ("scaffold", "ifca")
COMM = "round,messages,round_trips,bytes_down,bytes_up,total_down,total_up"
evaluate = zero_shot.evaluate


def wanted(c):
    """Does a configuration ask for what `federation` does not do?"""
    controls = (c.gate != "learned" or c.anchors != "label" or c.test != "argmax"
                or c.order != "joint" or c.dropout or c.straggler or c.schedule != "all"
                or c.common_every or "seen" in config.scopes(c))
    return bool(controls) or c.algo not in ("ddome", "fedavg", "common")


class Run(federation.Run):
    """A run with what its controls add."""

    def __init__(self, c):
        super().__init__(c)
        self.network = c.algo in controls.GATED and c.gate in ("learned", "frozen")
        self.embeds = c.algo == "head" or self.network or (c.algo in controls.GATED
                                                           and c.anchors == "cluster")
        self.embeddings, self.anchors, self.own, self.variates = {}, [], {}, {}
        self.comm, self.experts_csv = [], []
        self.messages = self.trips = self.round_down = self.round_up = 0
        self.labels_expert = self.groups = None

    def train_clients(self):
        """The training clients."""
        return self.partition.clients[:self.c.clients]

    def tie(self, number):
        """The expert that a client is the anchor of, or None (SPEC 11.7)."""
        return self.anchors.index(number) if number in self.anchors else None


def run(c):
    """A whole run (SPEC 12)."""
    return federation.run(c, sys.modules[__name__])


def begin(c):
    """A run before its first round."""
    r = Run(c)
    if r.embeds or c.algo == "common" or c.init == "common":
        r.pretrained = federation.pretrain(r)
        r.common = r.pretrained[0].copy()
    if r.embeds:
        embed(r)
    send_common(r)
    controls.find_anchors(r)
    number = {"ensemble": 2, "ddome": c.experts, "fedmix": c.experts, "ifca": c.experts}
    r.experts = [start(r, j) for j in range(number.get(c.algo, 1))]
    if r.network:
        r.gate = models.initialise(models.gate(c, c.experts), c.seed, rng.INIT_GATE)
    if c.algo in controls.GATED and c.gate == "oracle":
        r.labels_expert = controls.oracle(r)
    if c.schedule != "all":
        r.groups = controls.groups(r)
    r.server_variate = np.zeros(np.count_nonzero(r.experts[0].trained), F)
    return r


def embed(r):
    """All samples (SPEC 9.3)."""
    for split in (r.train, r.test):
        r.embeddings[split] = models.evaluate(r.common, data.normalise(r.c, split.images))[1]


def close_traffic(r, t, down, up, messages, trips):
    """A line of comm.csv (SPEC 15, 17.2)."""
    r.down, r.up = r.down + down, r.up + up
    r.comm.append([t, messages, trips, down, up, r.down, r.up])


def send_common(r):
    """Round 0 (SPEC 15.2, 15.5)."""
    c = r.c
    if not r.embeds and not (c.algo == "local" and c.init == "common"):
        return
    means = c.clients if c.algo in controls.GATED and c.anchors == "cluster" else 0
    features = r.embeddings[r.train].shape[1] if r.embeds else 0
    down, up = c.clients * r.common.bytes(), 4 * features * means
    close_traffic(r, 0, down, up, c.clients + means, means)


def head(r):
    """A linear layer on the embeddings (SPEC 12.6.8)."""
    def forward(walk, x):
        return walk.linear("fc", x), x
    features = r.embeddings[r.train].shape[1]
    return models.Model(forward, models.linear_slices("fc", features, r.classes))


def start(r, j):
    """The initial model j (SPEC 12.4, 12.6.4, 12.6.7, 12.6.8)."""
    c = r.c
    if c.algo == "common":
        return r.common
    model = head(r) if c.algo == "head" else models.expert(c, r.classes)
    if c.init == "random":
        return models.initialise(model, c.seed, rng.INIT_EXPERT, j)
    model.values[:] = r.common.values[-len(model.values):]
    model.counter = r.common.counter
    if c.algo == "ifca" and c.ifca_noise != 0:
        parts = model.parts(model.values)
        for s, (name, shape, kind, _) in enumerate(model.slices):
            if kind in ("mean", "var"):
                continue
            z = rng.normals(rng.Stream(c.seed, rng.INIT_EXPERT, s, j), int(np.prod(shape)))
            w = parts[name]
            w[...] = w + ((c.ifca_noise * w) * z.reshape(shape))
    return model


def choice(r, client, t):
    """The models that a participant works on (SPEC 11.2, 12.6)."""
    c = r.c
    anchor = controls.expert_of(r, client.number, t)
    if anchor is not None:
        return [anchor]
    if c.algo == "ddome":
        logits = controls.stand_in(r, r.train, client.samples)
        return controls.pick(r, logits, client.number, t, c.top_k)
    if c.algo == "ifca":
        losses = [zero_shot.mean_loss(r, m, r.train, client.samples) for m in r.experts]
        return [int(np.argmin(losses))]
    return list(range(len(r.experts)))


def one_round(r, t):
    """Round t (SPEC 11, 12.6)."""
    c = r.c
    r.messages = r.trips = r.round_down = r.round_up = 0
    if c.common_every and t > 1 and (t - 1) % c.common_every == 0:
        renew(r, t)
    ids = controls.participants(r, t)
    visits = [visit(r, r.partition.clients[i], t) for i in ids]
    answers = [v for v in visits if not v["lost"]]
    for v in visits:
        count(r, v, t)
    close_traffic(r, t, r.round_down, r.round_up, r.messages, r.trips)
    gather(r, answers, t)
    hashes = [r.own[i].hash() for i in ids] if c.algo == "local" else [m.hash() for m in r.experts]
    line = {"round": t, "participants": ids, "chosen": [v["chosen"] for v in visits],
            "loss": [None if v["lost"] else numbers.bits(v["loss"]) for v in visits],
            "gate": r.gate.hash() if r.gate else None, "experts": hashes}
    if c.dropout:
        line["lost"] = [v["client"].number for v in visits if v["lost"]]
    if c.straggler:
        line["slow"] = [v["client"].number for v in visits if v["slow"]]
    r.rounds.append(line)


def renew(r, t):
    """The common expert trained on (SPEC 11.12)."""
    c, pool = r.c, r.partition.pool
    optimiser = models.Optimiser(r.common, c.pretrain_momentum, c.pretrain_weight_decay)
    order = rng.shuffle(rng.Stream(c.seed, rng.COMMON_AGAIN, t), pool)
    steps = -(-len(pool) // c.pretrain_batch)
    for s in range(steps):
        batch = order[s * c.pretrain_batch:(s + 1) * c.pretrain_batch]
        tape = []
        walk = models.Walk(r.common, tape)
        z = walk.run(data.normalise(c, r.train.images[batch]))[0]
        z.give(ops.cross_entropy(z.data, r.train.labels[batch])[1])
        models.backward(tape)
        optimiser.step(walk.gradient, c.pretrain_lr * (F(steps - s) / F(steps)))
    embed(r)
    r.round_down += c.clients * r.common.bytes()
    r.messages += c.clients


def gather(r, answers, t):
    """What the server makes of the answers (SPEC 11.5, 12.6)."""
    c = r.c
    hold_gate, hold_experts = controls.held(c, t)
    if c.algo == "local":
        r.own.update({v["client"].number: v["copies"][0] for v in answers})
        return
    weigh = {v["client"].number: 1 if c.aggregate == "uniform" or c.algo in UNIFORM
             else len(v["client"].samples) for v in answers}
    for j, server in enumerate(r.experts):
        copies = [(weigh[v["client"].number], v["copies"][j]) for v in answers if j in v["chosen"]]
        if copies and not hold_experts:
            r.experts[j] = federation.average(c, server, copies)
            if c.algo == "scaffold":
                r.experts[j].values[server.trained] = moved(c, server, copies)
    if c.algo == "scaffold" and answers:
        s = np.zeros(len(r.server_variate))
        for v in answers:
            s = s + v["change"].astype(np.float64)
        r.server_variate = F(r.server_variate.astype(np.float64) + (s / float(c.clients)))
    if r.gate and not hold_gate and answers:
        r.gate = federation.average(c, r.gate, [(weigh[v["client"].number], v["gate"])
                                                for v in answers])
    for v in answers if not hold_experts else ():
        for j in v["chosen"]:
            r.kept[v["client"].number, j] = v["copies"][j].values[~v["copies"][j].trained]


def moved(c, server, copies):
    """SCAFFOLD's new x (SPEC 12.6.3)."""
    x, m = server.values[server.trained].astype(np.float64), 0.0
    for _, y in copies:
        m = m + (y.values[y.trained].astype(np.float64) - x)
    return F(x + ((float(c.server_lr) * m) / float(len(copies))))


def visit(r, client, t):
    """A participant's part (SPEC 11.3, 11.4, 12.6)."""
    c = r.c
    hold_gate, hold_experts = controls.held(c, t)
    v = {"client": client, "anchor": r.tie(client.number) is not None,
         "chosen": choice(r, client, t),
         "lost": controls.happens(c, rng.DROPOUT, c.dropout, t, client.number),
         "slow": controls.happens(c, rng.STRAGGLER, c.straggler, t, client.number)}
    if v["lost"]:
        return v
    v["copies"] = {j: r.experts[j].copy() for j in v["chosen"]}
    for j, one in v["copies"].items():
        if c.bn_stats == "local" and (client.number, j) in r.kept:
            one.values[~one.trained] = r.kept[client.number, j]
    if client.number in r.own:
        v["copies"] = {0: r.own[client.number].copy()}
    v["gate"] = r.gate.copy() if r.gate else None
    losses = []
    if c.algo in controls.GATED:
        losses = train_gated(r, v, t, hold_gate, hold_experts)
    else:
        for e in v["chosen"]:
            losses += train_one(r, v, t, e)
    v["loss"] = numbers.divided(numbers.plain_sum(np.array(losses, F)), F(len(losses)))
    return v


def some_batches(r, v, t, seed):
    """The batches of a visit, fewer of a slow one (SPEC 7.7.2, 11.11.1)."""
    c, client = r.c, v["client"]
    keys = types.SimpleNamespace(**dict(vars(c), seed=seed % 2 ** 64))
    every = itertools.chain(*(data.batches(keys, r.train, client.samples, client.number, t, epoch)
                              for epoch in range(c.epochs)))
    n = len(client.samples)
    drops = c.last_batch == "drop" and n > c.batch
    whole = c.epochs * (n // c.batch if drops else -(-n // c.batch))
    part = max(1, int(c.straggler_share * F(whole))) if v["slow"] else whole
    return itertools.islice(every, part)


def train_one(r, v, t, e):
    """One model alone: FedAvg and its kin (SPEC 12.2, 12.6.2 to 12.6.4, 12.6.8)."""
    c, model, losses = r.c, v["copies"][e], []
    mask, x = model.trained, r.experts[e].values
    number = v["client"].number
    own = r.variates.get(number, np.zeros(np.count_nonzero(mask), F))
    optimiser = models.Optimiser(model, c.momentum, c.weight_decay)
    for batch, images, y in some_batches(r, v, t, c.seed + (e if c.algo == "ensemble" else 0)):
        tape = []
        walk = models.Walk(model, tape)
        z = walk.run(r.embeddings[r.train][batch] if c.algo == "head" else images)[0]
        loss, dz = ops.cross_entropy(z.data, y)
        losses.append(federation.finite(loss))
        z.give(dz)
        models.backward(tape)
        g = walk.gradient
        if c.algo == "fedprox" and c.mu != 0:
            g[mask] = g[mask] + (c.mu * (model.values[mask] - x[mask]))
        if c.algo == "scaffold":
            g[mask] = (g[mask] - own) + r.server_variate
        optimiser.step(g, c.lr)
    if c.algo == "scaffold":
        q = (x[mask] - model.values[mask]) / (F(len(losses)) * c.lr)
        new = (own - r.server_variate) + q
        v["change"] = new - own
        r.variates[number] = new
    return losses


def train_gated(r, v, t, hold_gate, hold_experts):
    """Gate and experts, as far as they are not held (SPEC 11.3, 11.4, 11.8)."""
    c, losses = r.c, []
    copies, gate = v["copies"], v["gate"] if not hold_gate else None
    optimisers = {j: models.Optimiser(m, c.momentum, c.weight_decay) for j, m in copies.items()}
    gate_optimiser = models.Optimiser(gate, c.gate_momentum, F(0))
    for batch, x, y in some_batches(r, v, t, c.seed):
        tape = []
        gate_walk = models.Walk(gate, tape) if gate else None
        u = gate_walk.run(r.embeddings[r.train][batch])[0] if gate else None
        walks = {} if hold_experts else {j: models.Walk(m, tape) for j, m in copies.items()}
        if v["anchor"]:
            loss = anchor_step(r, v, walks, u, x, y)
        else:
            logits = u if gate else models.Node(controls.stand_in(r, r.train, batch), False)
            loss = normal_step(r, v, walks, logits, x, y)
        losses.append(federation.finite(loss))
        models.backward(tape)
        if gate:
            gate_optimiser.step(gate_walk.gradient, c.gate_lr)
        for j, walk in walks.items():
            optimisers[j].step(walk.gradient, c.lr)
    return losses


def anchor_step(r, v, walks, u, x, y):
    """The losses of an anchor; what its visit counts (SPEC 11.4, 11.8)."""
    loss = F(0)
    if u:
        label = np.full(len(x), v["chosen"][0])
        loss = ops.cross_entropy(u.data, label)[0]
        u.give(ops.cross_entropy(u.data, label, r.c.anchor_gate_weight)[1])
    for walk in walks.values():
        z = walk.run(x)[0]
        loss, dz = ops.cross_entropy(z.data, y)
        z.give(dz)
    return loss


def normal_step(r, v, walks, u, x, y):
    """The mixture of a normal client (SPEC 5.15, 11.3, 11.8)."""
    chosen, probs = v["chosen"], r.c.mix == "probs"
    if walks:
        outputs = [walks[j].run(x)[0] for j in chosen]
    else:
        outputs = [models.Node(models.evaluate(v["copies"][j], x)[0], False) for j in chosen]
    some, z = u.data[:, chosen], np.stack([one.data for one in outputs], 1)
    mixed, saved = (ops.mixture_probs if probs else ops.mixture_logits)(some, z)
    loss, dz = ops.cross_entropy(mixed, y)
    du, dzi = (ops.mixture_probs_backward(dz, mixed, some, z, saved) if probs
               else ops.mixture_logits_backward(dz, z, saved))
    if u.wanted:
        full = np.zeros_like(u.data)
        full[:, chosen] = du
        u.give(full)
    for i, one in enumerate(outputs):
        if one.wanted:
            one.give(dzi[:, i])
    return loss


def count(r, v, t):
    """Messages and bytes of a visit (SPEC 11.10.2, 12.6, 12.7.1, 15)."""
    c, p, k = r.c, r.experts[0].bytes(), len(v["chosen"])
    hold_gate, hold_experts = controls.held(c, t)
    if c.algo == "local":
        return
    g = r.gate.bytes() if r.gate else 0
    learns = 0 if hold_gate else g
    up = learns + (0 if hold_experts else k * p)
    down = k * p
    if c.algo == "ddome" and v["anchor"]:
        down = up
    elif c.algo == "ddome":
        down += g
        if r.gate:  # the gate and the indices travel apart
            r.messages, r.trips, r.round_up = r.messages + 2, r.trips + 1, r.round_up + 4 * k
    elif c.algo == "fedmix":
        down += g
    elif c.algo == "scaffold":
        variate = 4 * int(np.count_nonzero(r.experts[0].trained))
        down, up = down + variate, up + variate
    elif c.algo == "ifca":
        down, up = c.experts * p, up + 4
    r.messages, r.round_down = r.messages + 1, r.round_down + down
    if not v["lost"]:
        r.messages, r.trips, r.round_up = r.messages + 1, r.trips + 1, r.round_up + up


def files(r):
    """The texts of the run's files (SPEC 17.2)."""
    result = federation.files(r)
    result["comm.csv"] = federation.table(COMM, r.comm)
    result["experts.csv"] = federation.table("round,expert,label,routed,correct", r.experts_csv)
    return result
