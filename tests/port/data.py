# SPDX-License-Identifier: MIT
"""The generated data set, normalisation, augmentation, batches (SPEC 7)."""

import numpy as np

from . import rng

F = np.float32
COLOURS = ((190, 80, 70), (80, 165, 90), (80, 95, 190), (190, 180, 85),
           (80, 180, 185), (180, 85, 175), (85, 85, 85), (185, 185, 185))


class Split:
    """Images as bytes [n, h, w, 3] and labels [n] (SPEC 7)."""

    def __init__(self, images, labels):
        self.images, self.labels = images, labels


def split(c, stream):
    """The train or the test split, by its stream (SPEC 7.4)."""
    n = c.synth_train if stream == rng.SYNTH_TRAIN else c.synth_test
    labels = np.arange(n) % (c.synth_domains * c.synth_shapes)
    images = [image(c, int(labels[i]), rng.Stream(c.seed, stream, client=i)) for i in range(n)]
    return Split(np.stack(images), labels)


def colour(g, entry):
    """Draw a colour of an entry (SPEC 7.4.3)."""
    return np.array([v + rng.below(g, 49) - 24 for v in COLOURS[entry]])


def inside(shape, dx, dy, r):
    """Mask of the pixels inside a shape (SPEC 7.4.4)."""
    box = (abs(dx) <= r) & (abs(dy) <= r)
    square = dx * dx + dy * dy
    q = r - r // 4
    return (square <= r * r,
            box & ((3 * abs(dx) <= r) | (3 * abs(dy) <= r)),
            (abs(dx) <= q) & (abs(dy) <= q),
            box & (3 * abs(dy) <= r),
            box & (2 * abs(dx) <= dy + r),
            (square <= r * r) & (2 * square > r * r),
            box & (2 * abs(dx - dy) <= r),
            box & ((3 * dx < -r) | (3 * dy > r)))[shape]


def texture(t, x, y, f, size):
    """Level of the pixels (SPEC 7.4.5)."""
    p = size // 8
    return (8 * ((y + f) // p % 2) + 0 * x,
            8 * ((x + f) // p % 2) + 0 * y,
            8 * (((x + f) // p + (y + f) // p) % 2),
            8 * ((x + y + f) // p % 2),
            9 * y // size + 0 * x)[t]


def image(c, label, g):
    """One image [size, size, 3] of bytes (SPEC 7.4.6, 7.4.7)."""
    size, shapes, noise = c.synth_size, c.synth_shapes, c.synth_noise
    d, s = label // shapes, label % shapes
    ink_entry = (d + 4 + d // 40) % 8
    ground = colour(g, d % 8)
    f = rng.below(g, 2 * (size // 8))
    ink = colour(g, ink_entry)
    r = max(2, 3 * size // 16) + rng.below(g, size // 8 + 1)
    cx = r + rng.below(g, size - 2 * r)
    cy = r + rng.below(g, size - 2 * r)
    a, b = rng.below(g, shapes - 1), rng.below(g, 7)
    other = colour(g, (ink_entry + 1 + b) % 8)
    ox, oy = rng.below(g, size), rng.below(g, size)
    y, x = np.mgrid[0:size, 0:size]
    level = texture((d + d // 8) % 5, x, y, f, size)
    pixels = ground - 6 * level[:, :, None]
    pixels[inside((s + d + 1 + a) % shapes, x - ox, y - oy, size // 8)] = other
    pixels[inside((s + d) % shapes, x - cx, y - cy, r)] = ink
    pixels = pixels + rng.belows(g, 2 * noise + 1, size * size * 3).reshape(pixels.shape) - noise
    return np.clip(pixels, 0, 255).astype(np.uint8)


def normalise(c, images):
    """Bytes to binary32 (SPEC 7.3)."""
    mean, deviation = (F(0.5), F(0.25)) if c.normalize == "dataset" else (F(0), F(1))
    return normal(images, mean, deviation)


def normal(b, mean, deviation):
    """Bytes of a channel, or of channels of the same constants, to binary32 (SPEC 7.3.1)."""
    return ((b.astype(F) / F(255)) - mean) / deviation


def records(split):
    """The bytes of a split's records, whose SHA-256 is its hash (SPEC 7.5)."""
    return b"".join(bytes([label]) + image.tobytes()
                    for label, image in zip(split.labels, split.images))


def augment(c, images, g):
    """Crop and flip of a batch of normalised images [n, h, w, 3] (SPEC 7.6)."""
    n, h, w, _ = images.shape
    border = normalise(c, np.zeros(3, np.uint8))
    padded = np.empty((n, h + 8, w + 8, 3), F)
    padded[:] = border
    padded[:, 4:4 + h, 4:4 + w] = images
    result = np.empty_like(images)
    for k in range(n):
        i, j, m = rng.below(g, 9), rng.below(g, 9), rng.below(g, 2)
        cut = padded[k, i:i + h, j:j + w]
        result[k] = cut[:, ::-1] if m else cut
    return result


def batches(c, split, samples, client, round, epoch):
    """Batches of a client's epoch: sample indices, images, labels (SPEC 7.7)."""
    g = rng.Stream(c.seed, rng.AUGMENT, round, client, epoch)
    order = rng.shuffle(rng.Stream(c.seed, rng.SHUFFLE, round, client, epoch), range(len(samples)))
    if c.last_batch == "drop" and len(order) > c.batch:
        order = order[:len(order) // c.batch * c.batch]
    for start in range(0, len(order), c.batch):
        chosen = [samples[i] for i in order[start:start + c.batch]]
        images = normalise(c, split.images[chosen])
        if c.augment:
            images = augment(c, images, g)
        yield chosen, images, split.labels[chosen]
