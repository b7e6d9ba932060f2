#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Are tests/vectors what SPEC 19.2 says? Schema (python3-jsonschema; without it that part is skipped),
ids, clauses, words of deviations, tensors beside, hashes, manifest, root. An own reading of the files:
nothing of the C reader. With FILE as argument only that file of vectors (`ddome probe write` makes one)."""
import hashlib
import json
import math
import os
import re
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, "vectors")
SIZES = {"F32": 4, "F64": 8, "U32": 4}
totals = {"ok": 0, "FAIL": 0, "skipped": 0}


def say(word, text):
    totals[word] += 1
    print(f"{word} vectors: {text}")


def check(name, findings):
    for finding in findings[:5]:
        print(f"  {finding}")
    say("FAIL" if findings else "ok", name)


def load(name, folder=None):
    def once(pairs):
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError(f"{name}: a member stands twice")
        return members

    with open(os.path.join(folder or FOLDER, name), encoding="utf-8") as file:
        return json.load(file, object_pairs_hook=once)


def tensors(name, cache={}):
    if name not in cache:
        with open(os.path.join(FOLDER, name), "rb") as file:
            data = file.read()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        cache[name] = header, data[8 + length :]
    return cache[name]


def elements(value):
    """Its little-endian bytes; None when they are not given."""
    dtype, size = value["dtype"], SIZES[value["dtype"]]
    if "words" in value:
        base = 10 if dtype == "U32" else 16
        return b"".join(int(w, base).to_bytes(size, "little") for w in value["words"].split())
    if "file" not in value:
        return None
    header, data = tensors(value["file"])
    entry = header[value["tensor"]]
    if entry["dtype"] != dtype or entry["shape"] != value["shape"]:
        raise ValueError(f"{value['tensor']}: another dtype or shape in {value['file']}")
    begin, end = entry["data_offsets"]
    return data[begin:end]


def canonical(value, data):
    """As they are hashed: each NaN the same."""
    if value["dtype"] == "U32":
        return data
    size = SIZES[value["dtype"]]
    top, nan = (0x7F800000, 0x7FC00000) if size == 4 else (0x7FF << 52, 0x7FF8 << 48)
    out = []
    for at in range(0, len(data), size):
        bits = int.from_bytes(data[at : at + size], "little")
        bits = nan if bits & ~(1 << 8 * size - 1) > top else bits
        out.append(bits.to_bytes(size, "little"))
    return b"".join(out)


def value_findings(where, value):
    data = elements(value)
    if data is None:
        return []
    findings = []
    if len(data) != math.prod(value["shape"]) * SIZES[value["dtype"]]:
        findings.append(f"{where}: its shape has another number of elements")
    if "sha256" in value and hashlib.sha256(canonical(value, data)).hexdigest() != value["sha256"]:
        findings.append(f"{where}: another sha256")
    return findings


def used_tensors(vectors):
    return {
        (value["file"], value["tensor"])
        for vector in vectors
        for side in ("inputs", "expected")
        for value in vector[side].values()
        if "file" in value
    }


def level_findings(level, clauses, words):
    findings = []
    for vector in level["vectors"]:
        if vector["clause"] not in clauses:
            findings.append(f"{vector['id']}: SPEC.md has no clause {vector['clause']}")
        findings += [
            f"{vector['id']}: {flag} is no deviation of SPEC 19.5"
            for flag in vector["flags"]
            if words and flag not in words
        ]
        for side in ("inputs", "expected"):
            for name, value in vector[side].items():
                findings += value_findings(f"{vector['id']} {side} {name}", value)
    return findings


def manifest_findings(manifest, names):
    findings, lines = [], ""
    listed = [entry["name"] for entry in manifest["files"]]
    if listed != sorted(names):
        findings.append("it lists other files than there are, or not by name")
    for entry in manifest["files"]:
        with open(os.path.join(FOLDER, entry["name"]), "rb") as file:
            data = file.read()
        if len(data) != entry["bytes"] or hashlib.sha256(data).hexdigest() != entry["sha256"]:
            findings.append(f"{entry['name']}: another size or sha256")
        lines += f"{entry['sha256']}  {entry['name']}\n"
    if hashlib.sha256(lines.encode()).hexdigest() != manifest["root"]:
        findings.append("another root")
    return findings


def schema_findings(names, folder=None):
    import jsonschema

    validator = jsonschema.Draft202012Validator(load("schema.json"))
    return [
        f"{name}: {'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for name in names
        for error in validator.iter_errors(load(name, folder))
    ]


def check_one(path):
    folder, name = os.path.split(os.path.abspath(path))
    try:
        check(f"{name} keeps schema.json", schema_findings([name], folder))
    except ImportError:
        say("skipped", "schema.json: python3-jsonschema is missing")
    print(f"{totals['ok']} passed, {totals['FAIL']} failed, {totals['skipped']} skipped")
    return 1 if totals["FAIL"] else 0


def main():
    if len(sys.argv) > 1:
        return check_one(sys.argv[1])
    names = sorted(n for n in os.listdir(FOLDER) if re.match(r"\d\d_.*\.(json|safetensors)$", n))
    levels = {n: load(n) for n in names if n.endswith(".json")}
    with open(os.path.join(HERE, "..", "SPEC.md"), encoding="utf-8") as file:
        spec = file.read()
    clauses = set(re.findall(r"^(?:#+ )?(?:\*\*)?(\d+(?:\.\d+)*)", spec, re.M))
    table = spec[spec.index("### 19.5") : spec.index("### 19.6")]
    words = set(re.findall(r"`([a-z0-9-]+)`", table)) - {"compare"}
    words = words if "`reversed-order`" in table else set()
    try:
        check("every file keeps schema.json", schema_findings([*levels, "manifest.json"]))
    except ImportError:
        say("skipped", "schema.json: python3-jsonschema is missing")
    seen, twice = set(), []
    for level in levels.values():
        for vector in level["vectors"]:
            twice += [vector["id"]] if vector["id"] in seen else []
            seen.add(vector["id"])
    check(f"{len(seen)} ids, each once", twice)
    for name, level in levels.items():
        check(f"{name}: clauses, flags, shapes, hashes", level_findings(level, clauses, words))
    used = set().union(*(used_tensors(level["vectors"]) for level in levels.values()))
    beside = {(n, t) for n in names if n.endswith(".safetensors") for t in tensors(n)[0]}
    check("each tensor is used, and no other named", sorted(map(str, used ^ beside)))
    check("manifest.json and its root", manifest_findings(load("manifest.json"), names))
    print(f"{totals['ok']} passed, {totals['FAIL']} failed, {totals['skipped']} skipped")
    return 1 if totals["FAIL"] else 0


if __name__ == "__main__":
    sys.exit(main())
