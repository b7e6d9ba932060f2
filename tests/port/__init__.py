# SPDX-License-Identifier: MIT
"""A second implementation of the specification, from its text alone: Python and numpy.

numbers, rng, ops, models, data, partition, federation and config are the port; vectors, computations
and larger answer the test vectors with it, wrong.py makes it wrong on purpose.
"""
