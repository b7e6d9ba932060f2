# SPDX-License-Identifier: MIT
"""Sums of products, both profiles, elementary functions and hashes (SPEC 2 and 3)."""

import decimal
import hashlib

import numpy as np

F = np.float32
BLOCK = 256
AT_ONCE = 2 ** 18  # products that are held at once; moves no bit
arith = "ma"  # the profile, one for the whole run (SPEC 2.5)


def blocks(x):
    """[K, ...] -> [blocks, min(K, 256), ...]; missing products are +0 (SPEC 2.3)."""
    count = max(1, -(-len(x) // BLOCK))
    if count > 1:
        rest = count * BLOCK - len(x)
        x = np.concatenate([x, np.zeros((rest,) + x.shape[1:], x.dtype)])
    return x.reshape((count, -1) + x.shape[1:])


def in_order(parts):
    """t = +0; t = t + s over the first axis, ascending (SPEC 2.3)."""
    t = np.zeros(parts.shape[1:], F)
    for s in parts:
        t = t + s
    return t


def total(a, b, skipped=None):
    """c[i, j] = total over k of a[k, i] * b[k, j] in the profile (SPEC 2.3, 2.5, 5.1).

    `skipped` is true for the elements of b whose products are skipped; it is needed only where
    a is not finite, as a finite factor times +0 gives the same bits.
    """
    a, b = (x.astype(np.float64) if arith == "fma" else x for x in (a, b))
    step = max(1, AT_ONCE // max(1, a.size))
    parts = [slice(j, j + step) for j in range(0, max(1, b.shape[1]), step)]
    return np.concatenate([some(a, b[:, j], skipped if skipped is None else skipped[:, j])
                           for j in parts], 1)


def some(a, b, skipped):
    """`total` of a few columns of b."""
    products = blocks(a)[..., None] * blocks(b)[:, :, None]
    if skipped is not None:
        products[np.broadcast_to(blocks(skipped)[:, :, None], products.shape)] = 0
    return in_order(fused_chain(products) if arith == "fma" else chain(products))


def chain(x):
    """s = +0; s = s + x_k over the second axis, ascending (SPEC 2.3)."""
    s = np.zeros((x.shape[0],) + x.shape[2:], F)
    for k in range(x.shape[1]):
        np.add(s, x[:, k], out=s)
    return s


def fused_chain(p):
    """s = +0; s = fma(a_k, b_k, s) over the second axis; p: the exact products (SPEC 2.5.1).

    Each sum is rounded to binary64 and then to binary32. Chains with a sum in which that may
    differ from rounding once are done again with `fma`.
    """
    q = np.empty_like(p)
    s = np.zeros((p.shape[0],) + p.shape[2:], F)
    for k in range(p.shape[1]):
        np.add(p[:, k], s, out=q[:, k])
        s[...] = q[:, k]
    again = doubtful(q).any(1)
    if again.any():
        careful = np.zeros(np.count_nonzero(again), F)
        for k in range(p.shape[1]):
            careful = fma(p[:, k][again], careful)
        s[again] = careful
    return s


def plain_sum(x):
    """Plain sum over the first axis (SPEC 2.4)."""
    return in_order(chain(blocks(x)))


def doubtful(q):
    """Sums in binary64 that lie on the middle of two binary32 numbers, or are subnormal there."""
    middle = (q.view(np.int64) & 0x1fffffff) == 0x10000000
    return middle | ((np.abs(q) < 2.0 ** -126) & (q != 0))


def fma(p, c):
    """p + c rounded once, p an exact product in binary64, c binary32 (SPEC 2.5.1).

    A sum in doubt is first rounded to odd.
    """
    c = c.astype(np.float64)
    s = p + c
    doubt = doubtful(s)
    s[doubt] = odd(p[doubt], c[doubt], s[doubt])
    return s.astype(F)


def odd(p, c, s):
    """p + c in binary64 rounded to odd; s is the sum rounded to nearest."""
    z = s - p
    e = (p - (s - z)) + (c - z)
    bits = s.view(np.int64)
    move = np.where((e > 0) == (s > 0), 1, -1)
    return (bits + np.where((e != 0) & (bits & 1 == 0), move, 0)).view(np.float64)


def divided(total, count):
    """A sum divided by a count, which is what a mean is (SPEC 2.6)."""
    return total / count


def settle(x, y, function):
    """Binary32 nearest to function(x), y being its binary64 estimate (SPEC 3.5)."""
    one, other = F(y * (1 - 2.0 ** -46)), F(y * (1 + 2.0 ** -46))
    result = F(y)
    for i in np.flatnonzero((one != other) & np.isfinite(y)):
        low, high = sorted((one[i], other[i]))
        middle = decimal.Decimal((float(low) + float(high)) / 2)
        with decimal.localcontext(decimal.Context(prec=80)):
            result[i] = low if function(decimal.Decimal(float(x[i]))) < middle else high
    return result


def exp(x):
    """Correctly rounded exp (SPEC 3.1), any shape."""
    x = np.asarray(x, F)
    flat = x.reshape(-1)
    with np.errstate(all="ignore"):
        y = np.exp(flat.astype(np.float64))
        result = settle(flat, y, decimal.Decimal.exp)
    return canonical(result).reshape(x.shape)[()]


def log(x):
    """Correctly rounded natural logarithm (SPEC 3.2), any shape."""
    x = np.asarray(x, F)
    flat = x.reshape(-1)
    with np.errstate(all="ignore"):
        y = np.log(flat.astype(np.float64))
        result = settle(flat, y, decimal.Decimal.ln)
    return canonical(result).reshape(x.shape)[()]


def rsqrt(x):
    """1/sqrt(x) correctly rounded (SPEC 3.3)."""
    with np.errstate(all="ignore"):
        return canonical(F(1.0 / np.sqrt(np.asarray(x, F).astype(np.float64))))[()]


def sqrt(x):
    """sqrt(x) correctly rounded (SPEC 3.4)."""
    with np.errstate(all="ignore"):
        return canonical(np.sqrt(F(x)))[()]


def canonical(x):
    """Every NaN becomes 7fc00000."""
    return np.where(np.isnan(x), np.uint32(0x7fc00000).view(F), x)


def sha256(data):
    """SHA-256 as 64 digits."""
    return hashlib.sha256(data).hexdigest()


def hash_floats(x):
    """Hash of an array of binary32 (SPEC 3.6)."""
    return sha256(canonical(np.asarray(x, F)).astype("<f4").tobytes())


def bits(x):
    """8 hexadecimal digits of a binary32 pattern (SPEC 2.8)."""
    return "%08x" % int(F(x).view(np.uint32))


def six(x):
    """A decimal with six places, ties to even (SPEC 2.8)."""
    x = float(x)
    return "%.6f" % abs(x) if 0 <= x < 2.0 ** 40 else "nan"
