# SPDX-License-Identifier: MIT
"""Evaluation of every algorithm on every kind of clients (SPEC 12.6, 13, 14)."""

import itertools

import numpy as np

from . import config, controls, data, federation, models, numbers, ops, partition, rng

F = np.float32


def mean_loss(r, model, split, samples):
    """Mean loss in evaluation mode (SPEC 12.6.7)."""
    z = models.evaluate(model, inputs(r, split, samples))[0]
    return numbers.divided(numbers.plain_sum(ops.row_losses(z, split.labels[samples])),
                           F(len(samples)))


def mean_entropy(r, model, split, samples):
    """Mean entropy in evaluation mode (SPEC 12.6.7)."""
    z = models.evaluate(model, inputs(r, split, samples))[0]
    return numbers.divided(numbers.plain_sum(federation.entropy(ops.softmax(z)[0])),
                           F(len(samples)))


def inputs(r, split, samples):
    """What the models of an algorithm are evaluated on."""
    if r.c.algo == "head":
        return r.embeddings[split][samples]
    return data.normalise(r.c, split.images[samples])


def seen(r, client):
    """A training client on test samples of its labels (SPEC 13.5)."""
    mine = sorted(set(r.train.labels[client.samples]))
    found = [[i for i in range(len(r.test.labels)) if r.test.labels[i] == label] for label in mine]
    if 0 < r.c.seen_samples < sum(map(len, found)):
        found = [one[:n] for one, n in zip(found, partition.shares(r.c.seen_samples, len(mine)))]
    return partition.Client(client.number, client.role, sorted(itertools.chain(*found)))


def evaluated(r, scope):
    """The clients of a kind and their split (SPEC 13.1)."""
    if scope == "seen":
        return r.test, [seen(r, k) for k in r.train_clients()]
    if scope == "global":
        return r.test, [partition.Client(0, "unseen", range(len(r.test.labels)))]
    split = r.train if scope == "holdout" else r.test
    return split, [k for k in r.partition.clients if k.role == scope]


def predict(r, model, split, samples):
    """Logits of a model."""
    return models.evaluate(model, inputs(r, split, samples))[0]


def together(r, split, samples, chosen, logits):
    """Logits of the mixture of some models, all samples (SPEC 12.6.5, 13.6)."""
    z = np.stack([predict(r, r.experts[j], split, samples) for j in chosen], 1)
    mix = ops.mixture_probs if r.c.mix == "probs" else ops.mixture_logits
    return mix(logits[:, chosen], z)[0]


def ensemble(r, split, samples):
    """Guesses and logits of the ensemble (SPEC 12.6.4)."""
    z = np.stack([predict(r, m, split, samples) for m in r.experts], 1)
    mean = np.zeros((len(samples), r.classes), F)
    for e in range(2):
        mean = mean + ops.softmax(z[:, e])[0]
    guess = ops.largest(numbers.divided(mean, F(2)).T)
    return guess, ops.mixture_probs(np.zeros((len(samples), 2), F), z)[0]


def choose(r, client, split, samples, k):
    """Models, the one of each sample, and the gate's logits where there are some (SPEC 13.2)."""
    c, route = r.c, np.zeros(len(samples), int)
    if c.algo in controls.GATED:
        logits = controls.stand_in(r, split, samples)
        chosen = controls.pick(r, logits, client.number, 0, k)
        return chosen, controls.routed(r, client, chosen, logits), logits
    if c.algo == "ifca":
        figure = mean_loss if c.ifca_test == "oracle" else mean_entropy
        best = int(np.argmin([figure(r, m, split, samples) for m in r.experts]))
        return [best], route + best, None
    return list(range(len(r.experts))), route, None


def predictions(r, client, split, samples, chosen, route, logits):
    """The class of each sample, and the logits of the loss (SPEC 12.6, 13.3, 13.6)."""
    if r.c.algo == "ensemble":
        return ensemble(r, split, samples)
    if r.c.algo == "fedmix" or r.c.test == "mixture":
        z = together(r, split, samples, chosen, logits)
    else:
        z = np.zeros((len(samples), r.classes), F)
        for j in sorted(set(route)):
            model = r.own.get(client.number, r.experts[j])
            z[route == j] = predict(r, model, split, samples[route == j])
    return ops.largest(z.T), z


def evaluate_client(r, client, split, k):
    """Choice, routing and prediction of one client (SPEC 13, 12.6, 14)."""
    samples = np.array(list(client.samples))
    labels, n = split.labels[samples], len(samples)
    chosen, route, logits = choose(r, client, split, samples, k)
    guess, z = predictions(r, client, split, samples, chosen, route, logits)
    loss = numbers.divided(numbers.plain_sum(ops.row_losses(z, labels)), F(n))
    entropies = F(0), F(0)
    if r.c.algo in controls.GATED:
        each = federation.entropy(ops.softmax(logits)[0])
        entropies = (federation.entropy(ops.score(logits)),
                     numbers.divided(numbers.plain_sum(each), F(n)))
    return {"client": client, "labels": np.unique(labels), "chosen": chosen, "total": n,
            "correct": int((guess == labels).sum()), "entropies": entropies,
            "loss": federation.finite(loss), "route": route, "truth": labels,
            "right": guess == labels}


def anchors_routed(r):
    """anchor_routed and anchor_total (SPEC 14.4)."""
    own = total = 0
    for q, number in enumerate(r.anchors):
        samples = r.partition.clients[number].samples
        if r.c.gate == "random":
            g = rng.Stream(r.c.seed, rng.GATE_ROUTE, client=number, epoch=1)
            found = np.array([rng.below(g, r.c.experts) for _ in samples])
        else:
            found = ops.largest(controls.stand_in(r, r.train, samples).T)
        own, total = own + int((found == q).sum()), total + len(samples)
    return [own, total]


def evaluate(r, t):
    """Lines of clients.csv, experts.csv and metrics.csv (SPEC 13.8, 14, 17.2)."""
    listed, count = federation.listed, len(r.experts)
    for scope in config.scopes(r.c):
        split, clients = evaluated(r, scope)
        k = r.c.experts if scope == "global" else r.c.top_k
        found = [evaluate_client(r, one, split, k) for one in clients]
        if scope == r.c.eval_scope:
            federation.client_lines(r, t, found)
            expert_lines(r, t, found)
        route = np.concatenate([f["route"] for f in found])
        usage = [listed(sum(j in f["chosen"] for f in found) for j in range(count)),
                 listed(np.bincount(route, minlength=count))]
        r.metrics.append(federation.metrics_line(r, t, scope, found, anchors_routed(r), usage))


def expert_lines(r, t, found):
    """Lines of experts.csv (SPEC 17.2)."""
    route, truth, right = (np.concatenate([f[one] for f in found])
                           for one in ("route", "truth", "right"))
    for j in range(len(r.experts)):
        for label in range(r.classes):
            here = (route == j) & (truth == label)
            r.experts_csv.append([t, j, label, int(here.sum()), int((here & right).sum())])
