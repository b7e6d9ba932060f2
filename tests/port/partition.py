# SPDX-License-Identifier: MIT
"""Which client holds which samples (SPEC 8)."""

import itertools

import numpy as np

from . import rng


class Client:
    """Number, role and samples in the client's order."""

    def __init__(self, number, role, samples):
        self.number, self.role, self.samples = number, role, [int(i) for i in samples]


class Partition:
    """Clients in order, pool and held list (SPEC 8)."""

    def __init__(self, c, train, test):
        order = rng.shuffle(rng.Stream(c.seed, rng.HOLDOUT), range(len(train.labels)))
        tenth = len(order) // 10
        self.held, self.pool = sorted(order[:tenth]), sorted(order[tenth:])
        kinds = {"labels": labels, "dirichlet": dirichlet, "iid": iid,
                 "shards": shards, "quantity": quantity}
        lists = kinds[c.partition](c, self.pool, train)
        self.draws, self.repaired = 0, False
        if c.partition in ("dirichlet", "quantity"):
            lists, self.draws, self.repaired = lists
        roles = ["anchor" if j < c.anchor_clients else "normal" for j in range(c.clients)]
        sets = {tuple(np.unique(train.labels[one])) for one in lists}
        extra = (("holdout", c.holdout_clients, rng.HOLDOUT_CLIENT, self.held, train),
                 ("unseen", c.unseen_clients, rng.UNSEEN, list(range(len(test.labels))), test))
        others = {"labels": other_labels, "dirichlet": other_dirichlet, "iid": other_iid,
                  "shards": other_shards, "quantity": other_quantity}
        for role, count, stream, source, split in extra:
            lists = lists + others[c.partition](c, stream, count, source, split, sets)
            roles = roles + [role] * count
        self.clients = [Client(j, role, one) for j, (role, one) in enumerate(zip(roles, lists))]

    def text(self):
        """partition.csv (SPEC 8.8)."""
        lines = ["%d,%d,%s\n" % (i, k.number, k.role) for k in self.clients for i in k.samples]
        return "index,client,role\n" + "".join(lines)


def shares(n, parts):
    """Even shares of n things (SPEC 8)."""
    return [n // parts + (j < n % parts) for j in range(parts)]


def classes(c):
    """Number of classes."""
    return c.synth_domains * c.synth_shapes


def members(group, units):
    """The sorted labels of units (SPEC 8.2.1)."""
    return sorted(u * group + i for u in units for i in range(group))


def of_label(source, split, label):
    """The source's samples of a label, ascending."""
    return [i for i in source if split.labels[i] == label]


def labels(c, pool, train):
    """Kind labels: anchors and normal clients (SPEC 8.2, 8.3)."""
    group, anchors = c.label_group, c.anchor_clients
    units = range(classes(c) // group)
    m = c.samples_per_client or len(pool) // c.clients
    result = []
    if anchors:
        size = (c.anchor_labels or classes(c) // anchors // group * group) // group
        order = rng.shuffle(rng.Stream(c.seed, rng.ANCHOR), units)
    for client in range(c.clients):
        if client < anchors:
            stream, mine = rng.ANCHOR, order[client * size:(client + 1) * size]
        else:
            stream = rng.NORMAL
            mine = rng.shuffle(rng.Stream(c.seed, stream, client=client), units)
            mine = mine[:c.labels_per_client // group]
        mine = members(group, mine)
        g = rng.Stream(c.seed, stream, round=1, client=client)
        samples = []
        for label, share in zip(mine, shares(m, len(mine))):
            found = of_label(pool, train, label)
            samples += [found[rng.below(g, len(found))] for _ in range(share)]
        result.append(samples)
    return result


def other_labels(c, stream, count, source, split, taken):
    """Held-out and unseen clients of kind labels (SPEC 8.4.1)."""
    result = []
    for j in range(count):
        mine = free_labels(c, stream, j, taken)
        samples = [of_label(source, split, label) for label in mine]
        if 0 < c.unseen_samples < sum(map(len, samples)):
            parts = shares(c.unseen_samples, len(mine))
            samples = [found[:part] for found, part in zip(samples, parts)]
        result.append(sorted(itertools.chain(*samples)))
    return result


def free_labels(c, stream, j, taken):
    """The first drawn, else the first label set that no training client has (SPEC 8.4.1)."""
    group, size = c.label_group, c.labels_per_client // c.label_group
    units = range(classes(c) // group)
    for t in range(c.max_draws):
        order = rng.shuffle(rng.Stream(c.seed, stream, round=t, client=j), units)
        mine = members(group, order[:size])
        if tuple(mine) not in taken:
            return mine
    free = (members(group, s) for s in itertools.combinations(units, size))
    return next(mine for mine in free if tuple(mine) not in taken)


def dirichlet(c, pool, train):
    """Kind dirichlet: training clients, number of draws, whether repaired (SPEC 8.5)."""
    for t in range(c.max_draws):
        lists = dirichlet_draw(c, pool, train, t)
        if min(map(len, lists)) >= c.min_size:
            break
    return repaired(lists, c.min_size, t + 1)


def repaired(lists, min_size, draws):
    """Sorted lists of at least min_size samples each, draws, whether repaired (SPEC 8.5.4, 8.5.5)."""
    short = min(map(len, lists)) < min_size
    while min(map(len, lists)) < min_size:
        sizes = list(map(len, lists))
        poor = next(j for j, n in enumerate(sizes) if n < min_size)
        rich = sizes.index(max(sizes))
        moved = min(lists[rich])
        lists[rich].remove(moved)
        lists[poor].append(moved)
    return [sorted(one) for one in lists], draws, short


def dirichlet_draw(c, pool, train, t):
    """Draw t (SPEC 8.5.2, 8.5.3)."""
    lists = [[] for _ in range(c.clients)]
    for k in range(classes(c)):
        g = rng.Stream(c.seed, rng.DIRICHLET, round=k, epoch=t)
        found = rng.shuffle(g, of_label(pool, train, k))
        p = rng.dirichlet(g, c.clients, c.alpha)
        if c.dialect == "balanced":
            small = [len(one) * c.clients < len(pool) for one in lists]
            q = 0.0
            for j in np.flatnonzero(small):
                q = q + p[j]
            p = np.where(small, p / q, 0.0) if q > 0 else p
        cut, sum_p = 0, 0.0
        for j in range(c.clients):
            sum_p = sum_p + p[j]
            end = min(max(int(np.floor(sum_p * float(len(found)))), cut), len(found))
            end = len(found) if j == c.clients - 1 else end
            lists[j] += found[cut:end]
            cut = end
    return lists


def other_dirichlet(c, stream, count, source, split, _):
    """Held-out and unseen clients of kind dirichlet (SPEC 8.4.2)."""
    result = []
    for j in range(count):
        p = rng.dirichlet(rng.Stream(c.seed, stream, client=j), classes(c), c.alpha)
        n = c.unseen_samples or len(source) // count
        found = []
        for k in range(classes(c)):
            g = rng.Stream(c.seed, stream, round=1000 + k, client=j)
            found.append(rng.shuffle(g, of_label(source, split, k)))
        samples = [i for k, one in enumerate(found) for i in one[:int(p[k] * float(n))]]
        if not samples:
            best = max((k for k in range(len(found)) if found[k]), key=lambda k: (p[k], -k))
            samples = found[best][:1]
        result.append(sorted(samples))
    return result


def iid_cut(order, parts):
    """Even shares of a shuffled list, each sorted."""
    ends = list(itertools.accumulate(shares(len(order), parts)))
    return [sorted(order[a:b]) for a, b in zip([0] + ends, ends)]


def iid(c, pool, _):
    """Kind iid: training clients (SPEC 8.6)."""
    return iid_cut(rng.shuffle(rng.Stream(c.seed, rng.IID), pool), c.clients)


def other_iid(c, stream, count, source, _, __):
    """Held-out and unseen clients of kind iid (SPEC 8.4.3)."""
    lists = iid_cut(rng.shuffle(rng.Stream(c.seed, stream), source), count) if count else []
    return [one[:c.unseen_samples] if c.unseen_samples else one for one in lists]


def shard_lists(c, stream, count, source, split):
    """Shards by label, dealt in a shuffled order (SPEC 8.10)."""
    each = c.shards_per_client
    ends = list(itertools.accumulate(shares(len(source), count * each)))
    by_label = sorted(source, key=lambda i: (split.labels[i], i))
    order = rng.shuffle(rng.Stream(c.seed, stream), range(count * each))
    pieces = [by_label[a:b] for a, b in zip([0] + ends, ends)]
    return [sorted(i for place in order[j * each:(j + 1) * each] for i in pieces[place])
            for j in range(count)]


def shards(c, pool, train):
    """Kind shards: training clients (SPEC 8.10)."""
    return shard_lists(c, rng.SHARDS, c.clients, pool, train)


def other_shards(c, stream, count, source, split, _):
    """Held-out and unseen clients of kind shards (SPEC 8.4.4)."""
    lists = shard_lists(c, stream, count, source, split)
    return [one[:c.unseen_samples] if c.unseen_samples else one for one in lists]


def sized_lists(c, stream, count, source, least):
    """Sizes by Dirichlet proportions of a shuffled list, draws, whether repaired (SPEC 8.11)."""
    order, n = rng.shuffle(rng.Stream(c.seed, stream), source), float(len(source))
    for t in range(c.max_draws):
        p = rng.dirichlet(rng.Stream(c.seed, stream, round=1, epoch=t), count, c.beta)
        sums = list(itertools.accumulate(p[:-1], initial=0.0))[1:]
        ends = [min(int(np.floor(one * n)), len(order)) for one in sums] + [len(order)]
        lists = [order[a:b] for a, b in zip([0] + ends, ends)]
        if min(map(len, lists)) >= least:
            break
    return repaired(lists, least, t + 1)


def quantity(c, pool, _):
    """Kind quantity: training clients (SPEC 8.11)."""
    return sized_lists(c, rng.QUANTITY, c.clients, pool, c.min_size)


def other_quantity(c, stream, count, source, _, __):
    """Held-out and unseen clients of kind quantity (SPEC 8.4.5)."""
    lists = sized_lists(c, stream, count, source, 1)[0] if count else []
    return [one[:c.unseen_samples] if c.unseen_samples else one for one in lists]
