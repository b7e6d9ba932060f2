# SPDX-License-Identifier: MIT
"""Operations forward and backward (SPEC 5). Images are [n, h, w, c], rows [n, c]."""

import numpy as np

from . import numbers

F = np.float32
EPS = np.uint32(0x3727c5ac).view(F)
beats = np.greater  # a later value replaces the best so far (SPEC 2.7)
KEEP_NEW = np.uint32(0x3dcccccd).view(F)


def linear(x, w, b):
    """y[n, o] = (total over i of x[n, i] * w[o, i]) + b[o] (SPEC 5.2)."""
    return numbers.total(x.T, w.T) + b


def linear_dx(dy, w):
    """dx[n, i] = total over o of dy[n, o] * w[o, i]."""
    return numbers.total(dy.T, w)


def linear_dw(dy, x):
    """dw[o, i] = total over n of dy[n, o] * x[n, i]; db[o] = plain sum of dy."""
    return numbers.total(dy, x), numbers.plain_sum(dy)


def rows_forward(size, kernel, stride, pad):
    """[kernel, out]: input row of a tap and an output row, -1 outside (SPEC 5.3)."""
    out = (size + 2 * pad - kernel) // stride + 1
    at = np.arange(out)[None] * stride + np.arange(kernel)[:, None] - pad
    return np.where((at >= 0) & (at < size), at, -1)


def rows_backward(size, out, kernel, stride, pad):
    """[kernel, size]: output row of a tap and an input row, -1 where there is none (SPEC 5.4)."""
    at = np.arange(size)[None] + pad - np.arange(kernel)[:, None]
    good = (at >= 0) & (at % stride == 0) & (at // stride < out)
    return np.where(good, at // stride, -1)


def gather(x, rows, cols, other):
    """[n, kh, kw, oh, ow, c] of x at rows [kh, oh] and cols [kw, ow], +0 at -1.

    Also which of them are at -1, where `other`, their factor, is not finite (SPEC 2.3).
    """
    at = rows[:, None, :, None], cols[None, :, None, :]
    n, h, w, c = x.shape
    padded = np.zeros((n, h + 1, w + 1, c), F)
    padded[:, :h, :w] = x
    taps = padded[:, at[0], at[1]]
    if np.isfinite(other).all():
        return taps, None
    outside = ((at[0] < 0) | (at[1] < 0))[None, ..., None]
    return taps, np.broadcast_to(outside, taps.shape)


def windows(x, kh, kw, stride, pad, other):
    """The taps of a convolution [n, kh, kw, oh, ow, ic], and those outside."""
    return gather(x, rows_forward(x.shape[1], kh, stride, pad),
                  rows_forward(x.shape[2], kw, stride, pad), other)


def columns(t, axes, count):
    """Taps with their axes in a new order, the first `count` of them as k, all others as one."""
    if t is None:
        return None
    t = np.ascontiguousarray(t.transpose(axes))
    return t.reshape(int(np.prod(t.shape[:count])), -1)


def conv(x, w, stride, pad):
    """y[n, oh, ow, oc], weights OIHW; k = (kh*KW + kw)*C + ic (SPEC 5.3)."""
    taps = windows(x, w.shape[2], w.shape[3], stride, pad, w)
    n, kh, kw, oh, ow, c = taps[0].shape
    taps = [columns(t, (1, 2, 5, 0, 3, 4), 3) for t in taps]
    y = numbers.total(w.transpose(2, 3, 1, 0).reshape(kh * kw * c, -1), *taps)
    return np.ascontiguousarray(y.reshape(-1, n, oh, ow).transpose(1, 2, 3, 0))


def conv_dx(dy, w, shape, stride, pad):
    """dx[n, ih, iw, ic]; k = (kh*KW + kw)*OC + oc (SPEC 5.4)."""
    n, height, width, ic = shape
    oc, _, kh, kw = w.shape
    taps = gather(dy, rows_backward(height, dy.shape[1], kh, stride, pad),
                  rows_backward(width, dy.shape[2], kw, stride, pad), w)
    taps = [columns(t, (1, 2, 5, 0, 3, 4), 3) for t in taps]
    dx = numbers.total(w.transpose(2, 3, 0, 1).reshape(kh * kw * oc, ic), *taps)
    return np.ascontiguousarray(dx.reshape(ic, n, height, width).transpose(1, 2, 3, 0))


def conv_dw(dy, x, shape, stride, pad):
    """dw[oc, ic, kh, kw]; k = (n*OH + oh)*OW + ow (SPEC 5.5)."""
    taps = windows(x, shape[2], shape[3], stride, pad, dy)
    taps = [columns(t, (0, 3, 4, 5, 1, 2), 3) for t in taps]
    return numbers.total(dy.reshape(-1, shape[0]), *taps).reshape(shape)


def batch_norm(x, gamma, beta, mean_run, var_run):
    """Training: y, what backward needs, and the new running statistics (SPEC 5.6)."""
    flat = x.reshape(-1, x.shape[-1])
    n = len(flat)
    mean = numbers.divided(numbers.plain_sum(flat), F(n))
    d = flat - mean
    q = numbers.plain_sum(d * d)
    r = numbers.rsqrt(numbers.divided(q, F(n)) + EPS)
    xhat = d * r
    y = (gamma * xhat) + beta
    mean_run = moved(mean_run, mean)
    var_run = running_variance(var_run, q, n)
    return y.reshape(x.shape), (xhat, r), mean_run, var_run


def moved(running, stat):
    """A running statistic after a batch (SPEC 5.6)."""
    return ((F(1) - KEEP_NEW) * running) + (KEEP_NEW * stat)


def running_variance(running, q, n):
    """The running variance; it stays where n = 1 (SPEC 5.6)."""
    return moved(running, numbers.divided(q, F(n - 1))) if n > 1 else running


def batch_norm_evaluation(x, gamma, beta, mean_run, var_run):
    """Evaluation (SPEC 5.7)."""
    return (gamma * ((x - mean_run) * numbers.rsqrt(var_run + EPS))) + beta


def batch_norm_backward(dy, gamma, saved):
    """dx, dgamma, dbeta (SPEC 5.8)."""
    xhat, r = saved
    flat = dy.reshape(xhat.shape)
    n = F(len(flat))
    dbeta = numbers.plain_sum(flat)
    dgamma = numbers.plain_sum(flat * xhat)
    dx = (gamma * r) * ((flat - numbers.divided(dbeta, n)) - (xhat * numbers.divided(dgamma, n)))
    return dx.reshape(dy.shape), dgamma, dbeta


def grouped(x, groups):
    """[n, h, w, c] -> [h*w*c/groups, n, groups], (h, w, channel) in order (SPEC 5.9)."""
    n, h, w, c = x.shape
    x = x.reshape(n, h * w, groups, c // groups).transpose(1, 3, 0, 2)
    return np.ascontiguousarray(x).reshape(-1, n, groups)


def ungrouped(x, shape):
    """The inverse of grouped."""
    n, h, w, c = shape
    x = x.reshape(h * w, -1, n, x.shape[-1]).transpose(2, 0, 3, 1)
    return np.ascontiguousarray(x).reshape(shape)


def group_norm(x, gamma, beta, groups):
    """y and what backward needs (SPEC 5.9)."""
    values = grouped(x, groups)
    n = F(len(values))
    d = values - numbers.divided(numbers.plain_sum(values), n)
    r = numbers.rsqrt(numbers.divided(numbers.plain_sum(d * d), n) + EPS)
    xhat = d * r
    full = ungrouped(xhat, x.shape)
    return (gamma * full) + beta, (xhat, full, r)


def group_norm_backward(dy, gamma, saved):
    """dx, dgamma, dbeta (SPEC 5.9)."""
    xhat, full, r = saved
    g = grouped(dy * gamma, r.shape[1])
    n = F(len(g))
    a = numbers.divided(numbers.plain_sum(g), n)
    b = numbers.divided(numbers.plain_sum(g * xhat), n)
    dx = ungrouped(r * ((g - a) - (xhat * b)), dy.shape)
    flat = dy.reshape(-1, dy.shape[-1])
    return dx, numbers.plain_sum(flat * full.reshape(flat.shape)), numbers.plain_sum(flat)


def relu(x):
    """x if x > 0, else +0 (SPEC 5.10)."""
    return np.where(x > 0, x, F(0))


def relu_backward(dy, y):
    """dy where y > 0, else +0."""
    return np.where(y > 0, dy, F(0))


def largest(z, taken=None):
    """Index of the first largest over the first axis, among those taken (SPEC 2.7)."""
    taken = np.ones(z.shape, bool) if taken is None else taken
    best, index, found = z[0], np.zeros(z.shape[1:], int), taken[0]
    for j in range(1, len(z)):
        wins = taken[j] & (~found | beats(z[j], best))
        best, index = np.where(wins, z[j], best), np.where(wins, j, index)
        found = found | taken[j]
    return index


def max_pool(x, kernel, stride, pad):
    """y and the flat index of each first maximum (SPEC 5.11)."""
    n, h, w, c = x.shape
    rows, cols = rows_forward(h, kernel, stride, pad), rows_forward(w, kernel, stride, pad)
    t, outside = gather(x, rows, cols, F(np.inf))
    t, outside = (columns(v, (1, 2, 0, 3, 4, 5), 2) for v in (t, outside))
    best = largest(t, ~outside).reshape(n, rows.shape[1], cols.shape[1], c)
    place = (rows[:, None, :, None] * w + cols[None, :, None, :])
    place = place.reshape(kernel * kernel, *place.shape[2:])
    image, oh, ow, channel = np.indices(best.shape)
    choice = (image * h * w + place[best, oh, ow]) * c + channel
    return x.reshape(-1)[choice], choice


def max_pool_backward(dy, choice, shape):
    """For outputs ascending dx[choice] = dx[choice] + dy."""
    dx = np.zeros(int(np.prod(shape)), F)
    np.add.at(dx, choice.reshape(-1), dy.reshape(-1))
    return dx.reshape(shape)


def average_pool(x):
    """y[n, c] = plain sum over (h, w) / (float)(h*w) (SPEC 5.12)."""
    n, h, w, c = x.shape
    return numbers.divided(numbers.plain_sum(x.reshape(n, h * w, c).transpose(1, 0, 2)), F(h * w))


def average_pool_backward(dy, shape):
    """dx = dy / (float)(h*w)."""
    n, h, w, c = shape
    return np.broadcast_to(numbers.divided(dy, F(h * w))[:, None, None, :], shape).copy()


def add(a, b):
    """Residual addition (SPEC 5.13)."""
    return a + b


def softmax(z):
    """p, m, s of rows [n, c] (SPEC 5.14)."""
    m = z[np.arange(len(z)), largest(z.T)]
    e = numbers.exp(z - m[:, None])
    s = numbers.plain_sum(np.ascontiguousarray(e.T))
    return e / s[:, None], m, s


def row_losses(z, labels):
    """log(s) - (z_y - m) of each row."""
    _, m, s = softmax(z)
    return numbers.log(s) - (z[np.arange(len(z)), labels] - m)


def cross_entropy(z, labels, scale=F(1)):
    """Batch loss and dz (SPEC 5.14)."""
    n = F(len(z))
    p, _, _ = softmax(z)
    loss = numbers.divided(numbers.plain_sum(row_losses(z, labels)), n)
    p[np.arange(len(z)), labels] -= F(1)
    return loss, scale * numbers.divided(p, n)


def mixture_logits(u, z):
    """z_j = total over i of w_i * z_ij; u [n, K], z [n, K, c] (SPEC 5.15 a)."""
    w, _, _ = softmax(u)
    return numbers.plain_sum((w[:, :, None] * z).transpose(1, 0, 2)), w


def mixture_logits_backward(dz, z, w):
    """du [n, K] and dz_i [n, K, c]."""
    dzi = w[:, :, None] * dz[:, None, :]
    dw = numbers.plain_sum((dz[:, None, :] * z).transpose(2, 0, 1))
    q = numbers.plain_sum((w * dw).T)
    return w * (dw - q[:, None]), dzi


def log_sum(v):
    """L(v) = log(s) + m of rows."""
    _, m, s = softmax(v)
    return numbers.log(s) + m


def log_sums(z):
    """L over the last axis of [n, K, c]."""
    return log_sum(z.reshape(-1, z.shape[-1])).reshape(z.shape[:-1])


def mixture_probs(u, z):
    """z_j = L over i of t_ij (SPEC 5.15 b)."""
    offset = (u - log_sum(u)[:, None]) - log_sums(z)
    t = z + offset[:, :, None]
    return log_sums(t.transpose(0, 2, 1)), t


def mixture_probs_backward(dz, mixed, u, z, t):
    """du [n, K] and dz_i [n, K, c]."""
    dt = dz[:, None, :] * numbers.exp(t - mixed[:, None, :])
    f = numbers.plain_sum(dt.transpose(2, 0, 1))
    dzi = dt - (numbers.exp(z - log_sums(z)[:, :, None]) * f[:, :, None])
    w, _, _ = softmax(u)
    total = numbers.plain_sum(f.T)
    return f - (w * total[:, None]), dzi


def score(logits):
    """Score of a client [M] from the gate's logits [n, M] (SPEC 10.1)."""
    return numbers.divided(numbers.plain_sum(softmax(logits)[0]), F(len(logits)))


def top_k(scores, k):
    """The k best experts, ascending (SPEC 10.2)."""
    left = np.ones(len(scores), bool)
    for _ in range(k):
        left[largest(scores, left)] = False
    return [int(j) for j in np.flatnonzero(~left)]


def average(copies, weights):
    """Average of copies [k, n] by whole weights, in binary64, divided once (SPEC 11.5)."""
    acc, whole = np.zeros(copies[0].shape), np.float64(0)
    for weight, one in zip(weights, copies):
        acc = acc + (np.float64(weight) * one.astype(np.float64))
        whole = whole + np.float64(weight)
    return F(numbers.divided(acc, whole))


def sgd(w, g, v, first, lr, momentum, weight_decay):
    """One step of trained values; new w and v (SPEC 6.7)."""
    if weight_decay != 0:
        g = g + (weight_decay * w)
    if momentum != 0:
        v = velocity(g, v, first, momentum)
        g = v
    return w - (lr * g), v


def velocity(g, v, first, momentum):
    """The new velocity (SPEC 6.7)."""
    return g if first else (momentum * v) + g
