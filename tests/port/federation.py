# SPDX-License-Identifier: MIT
"""Common expert, gate, rounds, zero-shot evaluation and its tables (SPEC 9 to 15)."""

import json
import math
import sys

import numpy as np

from . import config, data, models, numbers, ops, partition, rng

F = np.float32


class Run:
    """Everything of one run; `run` below fills it."""

    def __init__(self, c):
        self.c = c
        numbers.arith = c.arith
        self.train = data.split(c, rng.SYNTH_TRAIN)
        self.test = data.split(c, rng.SYNTH_TEST)
        self.partition = partition.Partition(c, self.train, self.test)
        self.classes = partition.classes(c)
        self.common = self.gate = self.pretrained = None
        self.experts, self.kept = [], {}
        self.down = self.up = 0
        self.rounds, self.clients, self.metrics = [], [], []


def run(c, engine=None):
    """A whole run (SPEC 12) by the steps of an engine, which is this module or `methods`."""
    engine = engine or sys.modules[__name__]
    r = engine.begin(c)
    if c.algo == "common":
        engine.evaluate(r, 0)
        return r
    for t in range(1, c.rounds + 1):
        engine.one_round(r, t)
        if t % c.eval_every == 0 or t == c.rounds:
            engine.evaluate(r, t)
    return r


def begin(c, pretrained=None):
    """A run before its first round, with what `pretrain` gave if it is known (SPEC 12)."""
    r = Run(c)
    if c.algo != "fedavg" or c.init == "common":
        r.pretrained = pretrained or pretrain(r)
        r.common = r.pretrained[0]
    if c.algo == "common":
        r.experts = [r.common]
        return r
    count = c.experts if c.algo == "ddome" else 1
    r.experts = [first_expert(r, j) for j in range(count)]
    if c.algo == "ddome":
        r.gate = models.initialise(models.gate(c, count), c.seed, rng.INIT_GATE)
        r.embeddings = {split: models.evaluate(r.common, data.normalise(c, split.images))[1]
                        for split in (r.train, r.test)}
        r.down = c.clients * r.common.bytes()
    return r


def first_expert(r, j):
    """The initial expert j (SPEC 12.4)."""
    if r.c.init == "common":
        return r.common.copy()
    return models.initialise(models.expert(r.c, r.classes), r.c.seed, rng.INIT_EXPERT, j)


def finite(x):
    """Refuses NaN and infinity (SPEC 2.7)."""
    if not np.isfinite(x).all():
        raise SystemExit("a value became infinite or NaN")
    return x


def pretrain(r):
    """The common expert, epochs, correct predictions of held samples (SPEC 9.1, 9.2)."""
    c, pool = r.c, r.partition.pool
    model = models.initialise(models.expert(c, r.classes), c.seed, rng.INIT_COMMON)
    optimiser = models.Optimiser(model, c.pretrain_momentum, c.pretrain_weight_decay)
    held = data.normalise(c, r.train.images[r.partition.held])
    steps = c.pretrain_epochs * -(-len(pool) // c.pretrain_batch)
    s = 0
    for epoch in range(c.pretrain_epochs):
        order = rng.shuffle(rng.Stream(c.seed, rng.PRETRAIN, epoch=epoch), pool)
        for start in range(0, len(order), c.pretrain_batch):
            batch = order[start:start + c.pretrain_batch]
            tape = []
            walk = models.Walk(model, tape)
            logits = walk.run(data.normalise(c, r.train.images[batch]))[0]
            loss, dz = ops.cross_entropy(logits.data, r.train.labels[batch])
            finite(loss)
            logits.give(dz)
            models.backward(tape)
            optimiser.step(walk.gradient, c.pretrain_lr * (F(steps - s) / F(steps)))
            s += 1
        finite(model.values)
        guess = ops.largest(models.evaluate(model, held)[0].T)
        correct = int((guess == r.train.labels[r.partition.held]).sum())
        if F(correct) / F(len(held)) >= c.pretrain_target:
            break
    return model, epoch + 1, correct


def gate_logits(r, split, samples):
    """The gate's logits [n, M] of samples."""
    return models.evaluate(r.gate, r.embeddings[split][samples])[0]


def participants(c, t):
    """Who takes part in round t (SPEC 11.1)."""
    def draw(ids, client, count):
        return rng.shuffle(rng.Stream(c.seed, rng.PARTICIPANTS, t, client), ids)[:count]
    if c.sampling == "uniform":
        return sorted(draw(range(c.clients), 2, c.active_anchors + c.active_normal))
    return sorted(draw(range(c.anchor_clients), 0, c.active_anchors)
                  + draw(range(c.anchor_clients, c.clients), 1, c.active_normal))


def one_round(r, t):
    """Round t: training, averaging, its line of rounds.jsonl; the visits (SPEC 11, 17.2.3)."""
    ids = participants(r.c, t)
    visits = [visit(r, r.partition.clients[i], t) for i in ids]
    for j in range(len(r.experts)):
        copies = [(v["weight"], v["experts"][j]) for v in visits if j in v["experts"]]
        r.experts[j] = average(r.c, r.experts[j], copies)
    if r.gate:
        r.gate = average(r.c, r.gate, [(v["weight"], v["gate"]) for v in visits])
    r.rounds.append({"round": t, "participants": ids, "chosen": [v["chosen"] for v in visits],
                     "loss": [numbers.bits(v["loss"]) for v in visits],
                     "gate": r.gate.hash() if r.gate else None,
                     "experts": [m.hash() for m in r.experts]})
    return visits


def choose(r, client):
    """The experts that a client trains, and its score where it has one (SPEC 11.3, 11.4, 12.2)."""
    if r.gate is None:
        return [0], None
    if client.role == "anchor":
        return [client.number], None
    scores = ops.score(gate_logits(r, r.train, client.samples))
    return ops.top_k(scores, r.c.top_k), scores


def visit(r, client, t):
    """One participant's work on copies of the server's models (SPEC 11.2 to 11.4, 12.2)."""
    c = r.c
    chosen, scores = choose(r, client)
    copies = {j: r.experts[j].copy() for j in chosen}
    for j in chosen if c.bn_stats == "local" else ():
        if (client.number, j) in r.kept:
            copies[j].values[~copies[j].trained] = r.kept[client.number, j]
    gate = r.gate.copy() if r.gate else None
    losses = train(r, client, t, copies, gate)
    for j in chosen:
        r.kept[client.number, j] = copies[j].values[~copies[j].trained]
    anchor = gate is not None and client.role == "anchor"
    count_bytes(r, anchor, chosen)
    weight = len(client.samples) if c.aggregate == "samples" else 1
    loss = numbers.divided(numbers.plain_sum(np.array(losses, F)), F(len(losses)))
    return {"weight": weight, "experts": copies, "gate": gate, "chosen": chosen, "loss": loss,
            "score": scores, "client": client.number}


def train(r, client, t, copies, gate):
    """All batches of a visit on its copies, ascending, and its gate; their losses."""
    c, losses = r.c, []
    step = train_alone
    if gate:
        step = train_anchor if client.role == "anchor" else train_normal
    optimisers = [models.Optimiser(one, c.momentum, c.weight_decay) for one in copies.values()]
    gate_optimiser = models.Optimiser(gate, c.gate_momentum, F(0))
    for epoch in range(c.epochs):
        for batch, x, y in data.batches(c, r.train, client.samples, client.number, t, epoch):
            tape = []
            walks = [models.Walk(one, tape) for one in copies.values()]
            gate_walk = models.Walk(gate, tape) if gate else None
            embedded = r.embeddings[r.train][batch] if gate else None
            losses.append(finite(step(r, client, walks, gate_walk, list(copies), x, y, embedded)))
            models.backward(tape)
            if gate:
                gate_optimiser.step(gate_walk.gradient, c.gate_lr)
            for optimiser, walk in zip(optimisers, walks):
                optimiser.step(walk.gradient, c.lr)
    return losses


def train_normal(r, client, walks, gate_walk, chosen, x, y, embedded):
    """Tape of a batch of a normal client; its loss (SPEC 11.3)."""
    gate = gate_walk.run(embedded)[0]
    logits = [walk.run(x)[0] for walk in walks]
    u, z = gate.data[:, chosen], np.stack([one.data for one in logits], 1)
    probs = r.c.mix == "probs"
    mixed, saved = ops.mixture_probs(u, z) if probs else ops.mixture_logits(u, z)
    loss, dz = ops.cross_entropy(mixed, y)
    if probs:
        du, dzi = ops.mixture_probs_backward(dz, mixed, u, z, saved)
    else:
        du, dzi = ops.mixture_logits_backward(dz, z, saved)
    full = np.zeros_like(gate.data)
    full[:, chosen] = du
    gate.give(full)
    for i, one in enumerate(logits):
        one.give(dzi[:, i])
    return loss


def train_anchor(r, client, walks, gate_walk, chosen, x, y, embedded):
    """Tape of a batch of an anchor; its expert's loss (SPEC 11.4)."""
    gate = gate_walk.run(embedded)[0]
    own = np.full(len(x), client.number)
    gate.give(ops.cross_entropy(gate.data, own, r.c.anchor_gate_weight)[1])
    return train_alone(r, client, walks, None, chosen, x, y, None)


def train_alone(r, client, walks, gate_walk, chosen, x, y, embedded):
    """Tape of a batch of one expert by itself; its loss (SPEC 12.2)."""
    logits = walks[0].run(x)[0]
    loss, dz = ops.cross_entropy(logits.data, y)
    logits.give(dz)
    return loss


def count_bytes(r, anchor, chosen):
    """Bytes of a visit (SPEC 15.1)."""
    moved = len(chosen) * r.experts[0].bytes() + (r.gate.bytes() if r.gate else 0)
    r.down += moved
    r.up += moved + (4 * len(chosen) if r.gate and not anchor else 0)


def average(c, server, copies):
    """The server's model after a round; copies of (n_k, model) ascending by client (SPEC 11.5)."""
    if not copies:
        return server
    result = server.copy()
    values = ops.average([model.values for _, model in copies], [n for n, _ in copies])
    result.values[:] = finite(values)
    statistics = ~result.trained
    if c.bn_stats == "first":
        result.values[statistics] = copies[0][1].values[statistics]
    elif c.bn_stats == "local":
        result.values[statistics] = server.values[statistics]
    result.counter = max(model.counter for _, model in copies)
    return result


def entropy(p):
    """H of the last axis (SPEC 14.3)."""
    terms = np.where(p > 0, p * np.where(p > 0, numbers.log(p), F(0)), F(0))
    return F(0) - numbers.plain_sum(np.moveaxis(terms, -1, 0))


def evaluate_client(r, client, split, k):
    """Routing among the top k and prediction of one client (SPEC 13, 14.1 to 14.3)."""
    samples, labels = client.samples, split.labels[client.samples]
    n, count = len(samples), len(r.experts)
    chosen, route, entropies, scores = [0], np.zeros(n, int), (F(0), F(0)), None
    if r.gate:
        logits = gate_logits(r, split, samples)
        p = ops.softmax(logits)[0]
        scores = ops.score(logits)
        chosen = ops.top_k(scores, k)
        route = np.array(chosen)[ops.largest(logits[:, chosen].T)]
        entropies = entropy(scores), numbers.divided(numbers.plain_sum(entropy(p)), F(n))
    z = np.zeros((n, r.classes), F)
    images = data.normalise(r.c, split.images[samples])
    for j in sorted(set(route)):
        z[route == j] = models.evaluate(r.experts[j], images[route == j])[0]
    loss = numbers.divided(numbers.plain_sum(ops.row_losses(z, labels)), F(n))
    guess = ops.largest(z.T)
    return {"client": client, "labels": np.unique(labels), "chosen": chosen, "total": n,
            "correct": int((guess == labels).sum()), "entropies": entropies,
            "loss": finite(loss), "usage": np.bincount(route, minlength=count),
            "score": scores, "routed": route, "predictions": guess}


def evaluate_clients(r, scope):
    """What is found of each client of a kind (SPEC 13.1)."""
    split = r.train if scope == "holdout" else r.test
    clients = [k for k in r.partition.clients if k.role == scope]
    if scope == "global":
        clients = [partition.Client(0, "unseen", range(len(r.test.labels)))]
    k = len(r.experts) if scope == "global" else r.c.top_k
    return [evaluate_client(r, one, split, k) for one in clients]


def evaluate(r, t):
    """Lines of clients.csv and metrics.csv of round t (SPEC 13.8, 14, 17.2)."""
    for scope in config.scopes(r.c):
        found = evaluate_clients(r, scope)
        if scope == r.c.eval_scope:
            client_lines(r, t, found)
        usage = [listed(sum(j in f["chosen"] for f in found) for j in range(len(r.experts))),
                 listed(sum(f["usage"] for f in found))]
        r.metrics.append(metrics_line(r, t, scope, found, anchors_routed(r), usage))


def client_lines(r, t, found):
    """Lines of clients.csv (SPEC 17.2)."""
    for f in found:
        r.clients.append([t, f["client"].number, f["client"].role, listed(f["labels"]),
                          listed(f["chosen"]), f["correct"], f["total"],
                          numbers.six(f["correct"] / f["total"]), numbers.six(f["loss"])])


def metrics_line(r, t, scope, found, anchors, usage):
    """A line of metrics.csv (SPEC 14, 17.2)."""
    return [t, scope] + measures(found) + anchors + usage + [r.down, r.up]


def listed(integers):
    """Integers separated by one space."""
    return " ".join(str(int(i)) for i in integers)


def measures(found):
    """clients .. gate_mean_entropy of metrics.csv (SPEC 14.1 to 14.3)."""
    n, correct = len(found), sum(f["correct"] for f in found)
    total = sum(f["total"] for f in found)
    each = [f["correct"] / f["total"] for f in found]
    accuracy, mean = correct / total, ordered(each) / n
    std = math.sqrt(ordered((a - mean) * (a - mean) for a in each) / n)
    weighted = math.sqrt(ordered(f["total"] * ((a - accuracy) * (a - accuracy))
                                 for f, a in zip(found, each)) / total)
    rank = sorted(each)
    worst = rank[:-(-n // 10)]
    values = [accuracy, mean, weighted, std, rank[0]]
    values += [rank[-(-p * n // 100) - 1] for p in (10, 50, 90)]
    values += [rank[-1], ordered(worst) / len(worst)]
    values += [ordered(f["total"] * float(f["loss"]) for f in found) / total]
    values += [ordered(float(f["entropies"][i]) for f in found) / n for i in (0, 1)]
    return [n, correct, total] + [numbers.six(v) for v in values]


def ordered(values):
    """Binary64 sum from 0, one addition a value."""
    s = 0.0
    for v in values:
        s = s + v
    return s


def anchors_routed(r):
    """anchor_routed and anchor_total (SPEC 14.4)."""
    routed = total = 0
    for k in r.partition.clients if r.gate else ():
        if k.role == "anchor":
            logits = gate_logits(r, r.train, k.samples)
            routed += int((ops.largest(logits.T) == k.number).sum())
            total += len(k.samples)
    return [routed, total]


CLIENTS = "round,client,role,labels,experts,correct,total,accuracy,loss"
METRICS = ("round,scope,clients,correct,total,accuracy,mean,weighted_std,std,min,p10,p50,p90,max,"
           "worst10,loss,gate_entropy_mean_score,gate_mean_entropy,anchor_routed,anchor_total,"
           "expert_usage_clients,expert_usage_samples,bytes_down,bytes_up")


def table(header, rows):
    """A file of comma-separated values (SPEC 17.2.1)."""
    return "".join(line + "\n" for line in [header] + [",".join(map(str, v)) for v in rows])


def files(r):
    """The texts of the run's files (SPEC 17.2)."""
    lines = [json.dumps(one, separators=(",", ":")) + "\n" for one in r.rounds]
    hashes = {"expert_%d" % j: m for j, m in enumerate(r.experts)}
    hashes.update({name: m for name, m in (("common", r.common), ("gate", r.gate)) if m})
    return {"partition.csv": r.partition.text(), "rounds.jsonl": "".join(lines),
            "clients.csv": table(CLIENTS, r.clients), "metrics.csv": table(METRICS, r.metrics),
            "models.txt": "".join("%s  %s\n" % (m.hash(), name)
                                  for name, m in sorted(hashes.items()))}
