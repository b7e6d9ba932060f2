# SPDX-License-Identifier: MIT
"""A second implementation of the specification, from its text alone: Python and numpy."""
