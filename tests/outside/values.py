# SPDX-License-Identifier: MIT
"""Values of SPEC 19.1 as numpy arrays: JSON words, safetensors, traces; lines for the test log."""

import json
import os
import struct
import sys

import numpy

DTYPES = {"F32": numpy.dtype("<f4"), "F64": numpy.dtype("<f8"), "U32": numpy.dtype("<u4"),
          "I64": numpy.dtype("<i8")}


def load_safetensors(path):
    """{name: array} of a file that ddome wrote."""
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    arrays = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        begin, end = entry["data_offsets"]
        raw = data[8 + size + begin:8 + size + end]
        arrays[name] = numpy.frombuffer(raw, DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays


def to_json(array):
    """The value object of an array."""
    array = numpy.asarray(array)
    if array.dtype.kind == "f":
        words = ["%08x" % word for word in array.astype("<f4").view("<u4").ravel()]
        dtype = "F32"
    else:
        words = ["%d" % word for word in array.ravel()]
        dtype = "U32"
    return {"dtype": dtype, "shape": list(array.shape), "words": " ".join(words)}


def from_json(value):
    """The array of a value object whose words are given."""
    words = value["words"].split()
    if value["dtype"] == "U32":
        array = numpy.array([int(word) for word in words], "<u4")
    else:
        size = {"F32": "<u4", "F64": "<u8"}[value["dtype"]]
        bits = numpy.array([int(word, 16) for word in words], size)
        array = bits.view(DTYPES[value["dtype"]])
    return array.reshape(value["shape"])


class Trace:
    """A trace and its tensors (SPEC 19.3): events in order, values by key."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        self.header, self.events = lines[0], lines[1:]
        self.tensors = load_safetensors(path + ".safetensors")

    def under(self, prefix):
        """{rest of the key: array} of every value whose key begins so."""
        return {key[len(prefix):]: array for key, array in self.tensors.items()
                if key.startswith(prefix)}


class Log:
    """One line a case, as every test of the project prints them."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, name, good, reason=""):
        if good:
            self.passed += 1
            print("ok %s%s" % (name, ": " + reason if reason else ""))
        else:
            self.failed += 1
            print("FAIL %s: %s" % (name, reason))

    def skip(self, name, reason):
        self.skipped += 1
        print("skipped %s: %s" % (name, reason))

    def end(self):
        print("%d passed, %d failed, %d skipped" % (self.passed, self.failed, self.skipped))
        sys.stdout.flush()
        return 1 if self.failed else 0


def close(got, want, relative, absolute):
    """(all within, the worst |got - want| over its bound)."""
    got, want = numpy.float64(got), numpy.float64(want)
    if got.shape != want.shape:
        return False, "shape %s, expected %s" % (got.shape, want.shape)
    bound = absolute + relative * numpy.abs(want)
    same = (got == want) | (numpy.isnan(got) & numpy.isnan(want))
    with numpy.errstate(invalid="ignore"):
        worst = float(numpy.max(numpy.where(same, 0.0, numpy.abs(got - want) / bound), initial=0))
    return worst <= 1, "%.2g of the tolerance" % worst


def scratch(name):
    """A path in the folder that tests may write to."""
    folder = os.environ.get("DDOME_TEST_DIR") or os.path.join("build", "outside")
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, name)
