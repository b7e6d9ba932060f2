# SPDX-License-Identifier: MIT
"""Sums of products, both profiles, elementary functions and hashes (SPEC 2 and 3)."""

import decimal
import hashlib

import numpy as np

F = np.float32
BLOCK = 256
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


def total(a, b):
    """c[i, j] = total over k of a[k, i] * b[k, j] in the profile (SPEC 2.3, 2.5, 5.1)."""
    if arith == "fma":
        a, b = a.astype(np.float64), b.astype(np.float64)
    a, b = blocks(a)[:, :, :, None], blocks(b)[:, :, None, :]
    s = np.zeros((a.shape[0], a.shape[2], b.shape[3]), F)
    for k in range(a.shape[1]):
        s = fma(a[:, k], b[:, k], s) if arith == "fma" else s + a[:, k] * b[:, k]
    return in_order(s)


def plain_sum(x):
    """Plain sum over the first axis (SPEC 2.4)."""
    x = blocks(x)
    s = np.zeros((x.shape[0],) + x.shape[2:], F)
    for k in range(x.shape[1]):
        np.add(s, x[:, k], out=s)
    return in_order(s)


def fma(a, b, c):
    """a*b + c rounded once; a and b are binary32 values held as binary64 (SPEC 2.5.1).

    The product is exact in binary64. Where the rounded sum lies on the middle of two binary32
    numbers, or its result is subnormal, it is first rounded to odd.
    """
    p = a * b
    s = p + c
    low = s.view(np.int64) & 0x1fffffff
    doubt = (low == 0x10000000) | (np.abs(s) < 2.0 ** -126)
    if doubt.any():
        s[doubt] = odd(p[doubt], np.broadcast_to(c, s.shape)[doubt].astype(np.float64), s[doubt])
    return s.astype(F)


def odd(p, c, s):
    """p + c in binary64 rounded to odd; s is the sum rounded to nearest."""
    z = s - p
    e = (p - (s - z)) + (c - z)
    bits = s.view(np.int64)
    move = np.where((e > 0) == (s > 0), 1, -1)
    return (bits + np.where((e != 0) & (bits & 1 == 0), move, 0)).view(np.float64)


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
