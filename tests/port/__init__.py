# SPDX-License-Identifier: MIT
"""A second implementation of SPEC.md in Python and numpy."""
