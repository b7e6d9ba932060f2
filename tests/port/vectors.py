# SPDX-License-Identifier: MIT
"""python3 -m port vectors DIR [--answers OUT] [--level NAME] [--wrong WORD]

Computes the test vectors of DIR and compares bits (SPEC 19.1, 19.2).
"""

import hashlib
import json
import os
import struct

import numpy as np

from . import computations, larger, numbers, wrong

DTYPES = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "U32": np.dtype("<u4")}
PATTERNS = {"F32": ("<u4", "%08x"), "F64": ("<u8", "%016x"), "U32": ("<u4", "%d")}
FEW = 1024  # values of larger computations are answered with at most so many elements


class Refused(Exception):
    """A file that is not as SPEC 17.4, 19.1 or 19.2 says."""


def need(holds, what):
    """Refuses what does not hold."""
    if not holds:
        raise Refused(what)


def read(path):
    """The bytes of a file."""
    with open(path, "rb") as file:
        return file.read()


def tensors(path):
    """Name -> array of a safetensors file (SPEC 17.4)."""
    data = read(path)
    start = 8 + struct.unpack("<Q", data[:8])[0]
    need(start <= len(data), path + ": the header is longer than the file")
    result = {}
    for name, one in json.loads(data[8:start]).items():
        if name != "__metadata__":
            begin, end = one["data_offsets"]
            flat = np.frombuffer(data[start + begin:start + end], DTYPES[one["dtype"]])
            result[name] = flat.reshape(one["shape"])
    return result


def canonical(x):
    """One NaN for all (SPEC 19.1.1)."""
    return np.where(np.isnan(x), x.dtype.type(np.nan), x) if x.dtype.kind == "f" else x


def digest(x):
    """Hash of a value (SPEC 19.1.1)."""
    return hashlib.sha256(np.ascontiguousarray(canonical(x)).tobytes()).hexdigest()


def patterns(x, dtype):
    """The bit patterns of a value's elements, flat."""
    return np.ascontiguousarray(canonical(x)).reshape(-1).view(PATTERNS[dtype][0])


class Level:
    """A level file and the tensors beside it."""

    def __init__(self, folder, name):
        self.folder, self.files = folder, {}
        text = json.loads(read(os.path.join(folder, name)))
        need(text["schema"] == "ddome-vectors-1", name + ": another schema")
        need(text["specification"] == 1, name + ": another specification")
        self.name, self.level, self.vectors = name, text["level"], text["vectors"]
        ids = [v["id"] for v in self.vectors]
        need(len(set(ids)) == len(ids), name + ": an id stands twice")

    def tensor(self, file, name):
        """A tensor of a file in the folder."""
        need(os.path.basename(file) == file, file + ": not a plain name")
        if file not in self.files:
            self.files[file] = tensors(os.path.join(self.folder, file))
        return self.files[file][name]

    def value(self, v):
        """A value's elements, or nothing where it has only its hash (SPEC 19.1.1)."""
        if "words" in v:
            base = 10 if v["dtype"] == "U32" else 16
            words = [int(word, base) for word in v["words"].split()]
            x = np.array(words, PATTERNS[v["dtype"]][0]).view(DTYPES[v["dtype"]])
            x = x.reshape(v["shape"])
        elif "file" in v:
            x = self.tensor(v["file"], v["tensor"])
            need(x.dtype == DTYPES[v["dtype"]] and list(x.shape) == v["shape"],
                 v["tensor"] + ": another dtype or shape")
        else:
            return None
        need(v.get("sha256", "") in ("", digest(x)), "elements do not have their sha256")
        return x

    def values(self, vector, member):
        """The inputs or expected values of a vector."""
        return {name: self.value(v) for name, v in vector[member].items()}


def manifest(folder):
    """Names of the level files, after all of manifest.json is found to hold (SPEC 19.2.3)."""
    text = json.loads(read(os.path.join(folder, "manifest.json")))
    lines, names = "", [one["name"] for one in text["files"]]
    need(names == sorted(names), "manifest.json: not sorted by name")
    for one in text["files"]:
        data = read(os.path.join(folder, one["name"]))
        found = hashlib.sha256(data).hexdigest()
        need(found == one["sha256"] and len(data) == one["bytes"],
             one["name"] + ": not the file of manifest.json")
        lines += "%s  %s\n" % (found, one["name"])
    need(hashlib.sha256(lines.encode()).hexdigest() == text["root"], "manifest.json: root")
    return [name for name in names if name.endswith(".json")]


def compute(vector, inputs, profile):
    """The outputs of a vector in a profile."""
    numbers.arith = profile
    attributes = vector.get("attributes", {})
    if vector["op"] in computations.TABLE:
        return computations.TABLE[vector["op"]](attributes, inputs)
    return larger.TABLE[vector["op"]](vector.get("config", {}), attributes, inputs)


def profiles(vector):
    """The profiles that a vector is computed in (SPEC 19.2.2)."""
    return ("ma", "fma") if vector["profile"] == "any" else (vector["profile"],)


def shaped(x, v):
    """A computed value as the dtype of the expected one; its shape has to be that already."""
    x = np.asarray(x)
    if v["dtype"] == "U32":
        return x.astype(DTYPES["U32"])
    need(x.dtype == DTYPES[v["dtype"]], "computed as %s, not %s" % (x.dtype, v["dtype"]))
    return x


def difference(mine, v, theirs):
    """What differs first between a computed and an expected value, or nothing."""
    if list(mine.shape) != v["shape"]:
        return "shape %s, not %s" % (list(mine.shape), v["shape"])
    if theirs is None:
        found = digest(mine)
        return "" if found == v["sha256"] else "sha256 port %s, vector %s" % (found, v["sha256"])
    a, b = patterns(mine, v["dtype"]), patterns(theirs, v["dtype"])
    at = np.flatnonzero(a != b)
    if not len(at):
        return ""
    return "%d of %d, first at %d: port %0*x, vector %0*x" % (
        len(at), len(a), at[0], 2 * a.itemsize, a[at[0]], 2 * a.itemsize, b[at[0]])


def answer(x, v, few):
    """A value of an answer file; many elements are their hash alone (SPEC 19.2.4)."""
    result = {"dtype": v["dtype"], "shape": list(x.shape)}
    if few and x.size > FEW:
        result["sha256"] = digest(x)
    else:
        result["words"] = " ".join(PATTERNS[v["dtype"]][1] % word
                                   for word in patterns(x, v["dtype"]))
    return result


def outcome(level, vector, profile):
    """Outputs of a vector, and (value, difference) of those that differ."""
    found = compute(vector, level.values(vector, "inputs"), profile)
    outputs, differ = {}, []
    for name, v in vector["expected"].items():
        need(name in found, name + " is not computed")
        outputs[name] = shaped(found[name], v)
        text = difference(outputs[name], v, level.value(v))
        differ += [(name, text)] if text else []
    return outputs, differ


def write(folder, level, outputs):
    """The answer file of a level, under the name of the level file (SPEC 19.2.4)."""
    vectors = [{"id": v["id"],
                "expected": {name: answer(x, v["expected"][name], v["op"] in larger.TABLE)
                             for name, x in outputs[v["id"]].items()}}
               for v in level.vectors if v["id"] in outputs]
    text = {"schema": "ddome-vectors-1", "specification": 1, "level": level.level,
            "vectors": vectors}
    with open(os.path.join(folder, level.name), "w", encoding="utf-8") as file:
        file.write(json.dumps(text, indent=0) + "\n")


def check(level, out):
    """Computes a level, prints its lines; numbers of vectors that pass and fail."""
    outputs, failed = {}, 0
    for vector in level.vectors:
        bad = []
        for profile in profiles(vector):
            found, differ = outcome(level, vector, profile)
            outputs.setdefault(vector["id"], found)
            bad += [one for one in differ if one not in bad]
        for name, text in bad:
            print("FAIL port %s %s: %s" % (vector["id"], name, text))
        failed += bool(bad)
    if out:
        write(out, level, outputs)
    if not failed:
        print("ok port %s: %d vectors" % (level.level, len(level.vectors)), flush=True)
    return len(level.vectors) - failed, failed


def check_wrong(level, out, word):
    """The same by a wrong port: which vectors differ, and whether these are those flagged."""
    outputs, differ, flagged = {}, set(), set()
    for vector in level.vectors:
        if word in vector["flags"]:
            flagged.add(vector["id"])
        with wrong.TABLE[word]():
            outputs[vector["id"]], found = outcome(level, vector, profiles(vector)[0])
        if found:
            differ.add(vector["id"])
    if out:
        write(out, level, outputs)
    print("wrong port %s %s: %d of %d vectors differ, %d have the flag"
          % (word, level.level, len(differ), len(level.vectors), len(flagged)), flush=True)
    for name in sorted(flagged - differ):
        print("FAIL wrong port %s %s: has the flag, does not differ" % (word, name))
    for name in sorted(differ - flagged):
        print("FAIL wrong port %s %s: differs, has no flag" % (word, name))
    return len(differ & flagged), len(differ ^ flagged)


def option(words, name):
    """Takes an option with its value out of the words."""
    if name not in words[:-1]:
        return None
    at = words.index(name)
    result = words[at + 1]
    del words[at:at + 2]
    return result


def main(words):
    """The command; 1 on a difference, 2 on wrong words, 3 on files that are refused."""
    words = list(words)
    out, only, word = (option(words, name) for name in ("--answers", "--level", "--wrong"))
    if len(words) != 1 or words[0].startswith("-") or (word and word not in wrong.TABLE):
        print(__doc__ + "WORD is one of: " + " ".join(wrong.TABLE))
        return 2
    if out:
        os.makedirs(out, exist_ok=True)
    try:
        with np.errstate(all="ignore"):
            return run(words[0], out, only, word)
    except (Refused, OSError, KeyError, ValueError) as error:
        print("FAIL port %s: %s: %s" % (words[0], type(error).__name__, error))
        return 3


def run(folder, out, only, word):
    """All levels, and the line of totals."""
    passed = failed = 0
    levels = [Level(folder, name) for name in manifest(folder)]
    need(only is None or only in [level.level for level in levels], "no level %s" % only)
    for level in levels:
        small = all(v["op"] in computations.TABLE for v in level.vectors)
        if only not in (None, level.level) or (word and not small):
            continue
        good, bad = check_wrong(level, out, word) if word else check(level, out)
        passed, failed = passed + good, failed + bad
    if word:
        print("wrong port %s: %d flagged vectors differ, %d contradict their flags"
              % (word, passed, failed))
        return int(failed > 0 or passed == 0)
    print("%d passed, %d failed" % (passed, failed))
    return int(failed > 0)
