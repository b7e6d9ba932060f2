# SPDX-License-Identifier: MIT
"""Random numbers: Philox4x32-10, streams and what is drawn from them (SPEC 4)."""

import numpy as np

from . import numbers

F = np.float32
INIT_COMMON, INIT_EXPERT, INIT_GATE, SYNTH_TRAIN, SYNTH_TEST, HOLDOUT = 1, 2, 3, 4, 5, 6
ANCHOR, NORMAL, UNSEEN, HOLDOUT_CLIENT, DIRICHLET, IID = 7, 8, 9, 10, 11, 12
PARTICIPANTS, PRETRAIN, SHUFFLE, AUGMENT, TEST = 13, 14, 15, 16, 1024
GATE_CHOICE, GATE_ROUTE, WRONG_ANCHOR, SHARDS, QUANTITY = 17, 18, 19, 20, 21
CLUSTER, DROPOUT, STRAGGLER, COMMON_AGAIN = 22, 23, 24, 25
MASK = np.uint64(0xffffffff)
HALF = np.uint64(32)


def philox(c0, c1, c2, c3, k0, k1):
    """Philox4x32-10 of arrays of counters (uint64 below 2^32) -> [4, n] words (SPEC 4.1)."""
    for _ in range(10):
        a = np.uint64(0xd2511f53) * c0
        b = np.uint64(0xcd9e8d57) * c2
        c0, c1, c2, c3 = ((b >> HALF) ^ c1 ^ np.uint64(k0), b & MASK,
                          (a >> HALF) ^ c3 ^ np.uint64(k1), a & MASK)
        k0, k1 = (k0 + 0x9e3779b9) & 0xffffffff, (k1 + 0xbb67ae85) & 0xffffffff
    return np.stack([c0, c1, c2, c3])


class Stream:
    """The generator of one place (SPEC 4.2, 4.3)."""

    def __init__(self, seed, stream, round=0, client=0, epoch=0):
        self.key = (seed & 0xffffffff, seed >> 32)
        self.place = (stream * 65536 + epoch, round, client)
        self.index = 0
        self.ready = np.zeros(0, np.uint64)

    def words(self, n):
        """The next n words."""
        if n > len(self.ready):
            more = max(64, -(-(n - len(self.ready)) // 4))
            index = np.arange(self.index, self.index + more, dtype=np.uint64)
            fixed = [np.full(more, v, np.uint64) for v in self.place]
            fresh = philox(index, *fixed, *self.key).T.reshape(-1)
            self.ready = np.concatenate([self.ready, fresh])
            self.index += more
        words, self.ready = self.ready[:n], self.ready[n:]
        return words

    def word(self):
        """The next word as an integer."""
        return int(self.words(1)[0])


def uniforms(g, n):
    """n of uniform, in [0, 1) (SPEC 4.4)."""
    return F(g.words(n) >> np.uint64(8)) * F(2.0 ** -24)


def uniform_positive(g):
    """In (0, 1] (SPEC 4.4)."""
    return F((g.word() >> 8) + 1) * F(2.0 ** -24)


def below(g, n):
    """Integer in 0 .. n-1 (SPEC 4.5)."""
    limit = 2 ** 32 - 2 ** 32 % n
    while True:
        x = g.word()
        if x < limit:
            return x % n


def belows(g, n, count):
    """count draws of below(n)."""
    limit = np.uint64(2 ** 32 - 2 ** 32 % n)
    found = np.zeros(0, np.uint64)
    while len(found) < count:
        x = g.words(count - len(found))
        found = np.concatenate([found, x[x < limit]])
    return (found % np.uint64(n)).astype(np.int64)


def normals(g, n):
    """n normal draws; each attempt takes two words (SPEC 4.6)."""
    parts, found = [], 0
    while found < n:
        pairs = uniforms(g, 2 * (n - found)).reshape(-1, 2)
        u = F(2) * pairs[:, 0] - F(1)
        v = F(2) * pairs[:, 1] - F(1)
        s = (u * u) + (v * v)
        good = (s < 1) & (s != 0)
        u, s = u[good], s[good]
        parts.append(u * np.sqrt((F(-2) * numbers.log(s)) / s))
        found += len(u)
    return np.concatenate(parts)


def log_gamma(g, alpha):
    """Logarithm of a Gamma(alpha, 1) draw (SPEC 4.7)."""
    alpha = F(alpha)
    if alpha < 1:
        b = log_gamma(g, alpha + F(1))
        return b + (numbers.log(uniform_positive(g)) / alpha)
    d = alpha - np.uint32(0x3eaaaaab).view(F)
    c = numbers.rsqrt(F(9) * d)
    while True:
        t = F(0)
        while not t > 0:
            x = normals(g, 1)[0]
            t = F(1) + (c * x)
        v = (t * t) * t
        u = uniform_positive(g)
        h = (F(0.5) * x) * x
        h = h + d
        h = h - (d * v)
        h = h + (d * numbers.log(v))
        if numbers.log(u) < h:
            return numbers.log(d) + numbers.log(v)


def dirichlet(g, n, alpha):
    """Dir_n(alpha) in binary64 (SPEC 4.8)."""
    lg = np.array([log_gamma(g, alpha) for _ in range(n)], F)
    w = numbers.exp(lg - lg.max()).astype(np.float64)
    s = 0.0
    for x in w:
        s = s + x
    return w / s


def shuffle(g, items):
    """A shuffled copy as a list (SPEC 4.9)."""
    items = list(items)
    for i in range(len(items) - 1, 0, -1):
        j = below(g, i + 1)
        items[i], items[j] = items[j], items[i]
    return items
