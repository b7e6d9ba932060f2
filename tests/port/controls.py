# SPDX-License-Identifier: MIT
"""What stands for the gate, who is an anchor, who takes part (SPEC 10.3, 10.4, 11.7 to 11.11)."""

import numpy as np

from . import models, numbers, ops, partition, rng

F = np.float32
GATED = ("ddome", "fedmix")


def find_anchors(r):
    """The client of each expert (SPEC 11.7, 10.4)."""
    c = r.c
    if c.algo != "ddome" or c.anchors == "none":
        return
    if c.anchors == "cluster":
        x = np.stack([numbers.divided(numbers.plain_sum(r.embeddings[r.train][k.samples]),
                                      F(len(k.samples))) for k in r.train_clients()])
        r.anchors = cluster(c, x.astype(np.float64))
    else:
        r.anchors = list(range(c.anchor_clients))


def far(x, centre):
    """Squared distances of all points from a centre, entries ascending (SPEC 10.4.2)."""
    s = np.zeros(len(x))
    for d in (x - centre).T:
        s = s + (d * d)
    return s


def cluster(c, x):
    """The anchors by k-means (SPEC 10.4.3 to 10.4.5)."""
    centres = [x[rng.below(rng.Stream(c.seed, rng.CLUSTER), len(x))]]
    while len(centres) < c.experts:
        nearest = np.min([far(x, m) for m in centres], 0)
        centres.append(x[int(np.argmax(nearest))])
    before = None
    for _ in range(c.cluster_iterations):
        of = np.argmin([far(x, m) for m in centres], 0)
        if before is not None and (of == before).all():
            break
        before = of
        for q in range(c.experts):
            if (of == q).any():
                s = np.zeros(x.shape[1])
                for row in x[of == q]:
                    s = s + row
                centres[q] = s / float((of == q).sum())
    chosen = []
    for m in centres:
        d = far(x, m)
        d[chosen] = np.inf
        chosen.append(int(np.argmin(d)))
    return chosen


def oracle(r):
    """The expert of each label (SPEC 10.3.3)."""
    held = np.zeros((max(1, len(r.anchors)), r.classes), int)
    for q, number in enumerate(r.anchors):
        labels = r.train.labels[r.partition.clients[number].samples]
        held[q] = np.bincount(labels, minlength=r.classes)
    return [int(held[:, j].argmax()) if held[:, j].any() else j % r.c.experts
            for j in range(r.classes)]


def groups(r):
    """The group of each training client (SPEC 11.9.2)."""
    c = r.c
    if c.schedule_by == "label":
        return [int(np.bincount(r.train.labels[k.samples]).argmax()) * c.schedule_groups
                // r.classes for k in r.train_clients()]
    result = []
    for n in (c.anchor_clients, c.clients - c.anchor_clients):
        for g, size in enumerate(partition.shares(n, c.schedule_groups)):
            result += [g] * size
    return result


def held(c, t):
    """Are gate and experts held in a round (SPEC 11.8)?"""
    first = t <= (c.order_rounds or c.rounds // 2)
    gate_alone = c.order == ("gate-first" if first else "experts-first")
    experts_alone = c.order == ("experts-first" if first else "gate-first")
    return experts_alone or c.gate != "learned", gate_alone


def there(r, number, t):
    """Does a client's group take part (SPEC 11.9.3)?"""
    step = (t - 1) // r.c.schedule_rounds
    if r.groups is None:
        return True
    if r.c.schedule == "grow":
        return r.groups[number] <= step
    return r.groups[number] == step % r.c.schedule_groups


def participants(r, t):
    """Who takes part in round t (SPEC 11.1, 11.7.1, 11.9.4, 12.6.6)."""
    c = r.c
    ids = [i for i in range(c.clients) if there(r, i, t)]
    if c.algo == "local" and c.local_budget == "full":
        return ids

    def draw(some, client, count):
        return rng.shuffle(rng.Stream(c.seed, rng.PARTICIPANTS, t, client), some)[:count]
    if c.sampling == "uniform":
        return sorted(draw(ids, 2, c.active_anchors + c.active_normal))
    tied = r.anchors if c.anchors == "cluster" else range(c.anchor_clients)
    return sorted(draw([i for i in ids if i in tied], 0, c.active_anchors)
                  + draw([i for i in ids if i not in tied], 1, c.active_normal))


def happens(c, stream, share, t, number):
    """Is a client's draw of the round below a share (SPEC 11.10.1, 11.11)?"""
    return bool(rng.uniforms(rng.Stream(c.seed, stream, t, number), 1)[0] < share)


def stand_in(r, split, samples):
    """Gate logits of samples: the network's, or what stands for it (SPEC 10.3)."""
    if r.gate:
        return models.evaluate(r.gate, r.embeddings[split][samples])[0]
    logits = np.zeros((len(samples), r.c.experts), F)
    if r.labels_expert:
        for row, label in zip(logits, split.labels[samples]):
            row[r.labels_expert[label]] = 200
    return logits


def pick(r, logits, number, t, k):
    """The choice of a client (SPEC 10.2, 10.3.2)."""
    if r.c.gate == "random":
        order = rng.shuffle(rng.Stream(r.c.seed, rng.GATE_CHOICE, t, number), range(r.c.experts))
        return sorted(order[:k])
    return ops.top_k(ops.score(logits), k)


def routed(r, client, chosen, logits):
    """The expert of each sample (SPEC 13.2, 10.3.2)."""
    if r.c.gate == "random":
        g = rng.Stream(r.c.seed, rng.GATE_ROUTE, client=client.number)
        return np.array([chosen[rng.below(g, len(chosen))] for _ in client.samples])
    return np.array(chosen)[ops.largest(logits[:, chosen].T)]


def expert_of(r, number, t):
    """What an anchor trains (SPEC 11.7.3)."""
    own = r.tie(number)
    if r.c.anchors != "wrong" or own is None:
        return own
    return rng.shuffle(rng.Stream(r.c.seed, rng.WRONG_ANCHOR, t), range(r.c.experts))[own]
