# SPDX-License-Identifier: MIT
"""tools/pth2safetensors.py against files that mean harm, are damaged, or are not what it takes:
every one is refused with one line and status 3, nothing is run or left behind. SPEC 17.4.9.

Pickles are put together from opcodes, so this part needs no torch. tests/outside/interop.py runs it.
"""
import contextlib
import importlib.util
import io
import os
import pickle
import random
import stat
import struct
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOOL = os.path.join(HERE, os.pardir, os.pardir, "tools", "pth2safetensors.py")
CANARY = "canary"

spec = importlib.util.spec_from_file_location("pth2safetensors", TOOL)
tool = importlib.util.module_from_spec(spec)
sys.dont_write_bytecode = True
spec.loader.exec_module(tool)


# ---- what a file is made of ----


def number(value):
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def sizes(values):
    return b"(" + b"".join(number(value) for value in values) + b"t"


def name(module, attribute):
    return b"c%s\n%s\n" % (module.encode(), attribute.encode())


ORDERED_DICT = name("collections", "OrderedDict") + b")R"


def storage(key="0", count=6, kind="FloatStorage", word="storage"):
    return b"(" + text(word) + name("torch", kind) + text(key) + text("cpu") + number(count) + b"tQ"


def tensor(shape=(2, 3), stride=(3, 1), offset=0, held=None, tail=b"\x89" + ORDERED_DICT):
    return (name("torch._utils", "_rebuild_tensor_v2") + b"(" + (held or storage()) + number(offset)
            + sizes(shape) + sizes(stride) + tail + b"tR")


def state(**values):
    return b"\x80\x02}(" + b"".join(text(key) + value for key, value in values.items()) + b"u."


class Runs:
    """Pickled by the pickle module itself: a call that would make the canary."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def make_zip(members, compression=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        for member, data in members:
            file.writestr(zipfile.ZipInfo(member), data, compression)
    return out.getvalue()


FLOATS = struct.pack("<6f", *range(6))


def pth(pickled, *more, floats=FLOATS):
    """A file as torch writes it, of one storage of six floats unless told otherwise."""
    return make_zip([("a/data.pkl", pickled), ("a/data/0", floats), ("a/version", b"3\n"), *more])


def patched(data, find, replace, count=-1):
    assert find in data and len(find) == len(replace)
    return data.replace(find, replace, count)


# ---- what is refused, and a word of the line that says so ----

COMMAND = f"echo run > {CANARY}"
GOOD = state(t=tensor())
CALLS = {
    "os.system": Runs(os.system, (COMMAND,)),
    "eval": Runs(eval, (f"open('{CANARY}', 'w')",)),
    "exec": Runs(exec, (f"open('{CANARY}', 'w')",)),
    "open": Runs(open, (CANARY, "w")),
    "getattr": Runs(getattr, ("", "join")),
    "subprocess.Popen": Runs(subprocess.Popen, (["touch", CANARY],)),
    "an own class": Runs(Runs, (1,)),
}


def called(module, attribute, arguments=text(COMMAND)):
    return b"\x80\x02" + name(module, attribute) + b"(" + arguments + b"tR."


PICKLES = {
    "posix.system": (called("posix", "system"), "posix.system"),
    "a dotted name": (called("torch", "FloatStorage.__class__"), "FloatStorage.__class__"),
    "torch's own loader of pickles": (called("torch.storage", "_load_from_bytes"), "asks for"),
    "a parameter": (called("torch._utils", "_rebuild_parameter"), "asks for"),
    "numpy": (called("numpy.core.multiarray", "_reconstruct"), "asks for"),
    "a storage class of another module": (called("os", "FloatStorage"), "os.FloatStorage"),
    "a storage that is called": (called("torch", "FloatStorage"), "a call"),
    "an OrderedDict of something": (called("collections", "OrderedDict"), "a call"),
    "harm in text form": (b"cos\nsystem\n(S'%s'\ntR." % COMMAND.encode(), "os.system"),
    "INST": (b"(S'%s'\nios\nsystem\n." % COMMAND.encode(), "opcode"),
    "OBJ": (b"(cos\nsystem\nS'%s'\no." % COMMAND.encode(), "os.system"),
    "NEWOBJ": (b"\x80\x02" + name("torch", "FloatStorage") + b")\x81.", "opcode NEWOBJ"),
    "NEWOBJ_EX": (b"\x80\x04" + name("torch", "FloatStorage") + b")}\x92.", "opcode NEWOBJ_EX"),
    "STACK_GLOBAL": (b"\x80\x04\x8c\x02os\x8c\x06system\x93" + text(COMMAND) + b"\x85R.",
                     "os.system"),
    "STACK_GLOBAL of numbers": (b"\x80\x04K\x01K\x02\x93.", "no text"),
    "EXT1": (b"\x80\x02\x82\x01.", "opcode EXT1"),
    "PERSID": (b"P0\n.", "opcode PERSID"),
    "harm beside the state dict": (b"\x80\x02}(" + text("state_dict") + GOOD[2:-1] + text("x")
                                   + called("os", "system")[2:-1] + b"u.", "os.system"),
    "a reference to a module": (state(t=tensor(held=storage(word="module"))), "no storage"),
    "a reference that is a number": (b"\x80\x02K\x01Q.", "no storage"),
    "a storage that is a path": (state(t=tensor(held=storage("../../0"))), "no storage"),
    "a storage that is not there": (state(t=tensor(held=storage("1"))), "data/1 is missing"),
    "a storage of another size": (state(t=tensor(held=storage(count=5))), "expected 5 of F32"),
    "a huge storage": (state(t=tensor(held=storage(count=2**62))), "expected 46116"),
    "a storage beyond 63 bits": (state(t=tensor(held=storage(count=2**63))), "no storage"),
    "a negative storage": (state(t=tensor(held=storage(count=-6))), "no storage"),
    "a storage of a strange type": (state(t=tensor(held=storage(kind="QInt8Storage"))), "asks for"),
    "a view beyond its storage": (state(t=tensor((2, 3), (4, 1))), "beyond its storage"),
    "an offset beyond the storage": (state(t=tensor(offset=1)), "beyond its storage"),
    "an empty view beyond the storage": (state(t=tensor((0,), (1,), 7)), "beyond its storage"),
    "a huge stride": (state(t=tensor((2, 3), (2**62, 1))), "beyond its storage"),
    "a negative stride": (state(t=tensor((2, 3), (-3, 1), 3)), "shape or stride"),
    "a size that overflows": (state(t=tensor((2**40, 2**40), (0, 0))), "2^64 bits"),
    "an expanded tensor": (state(t=tensor((2**40,), (0,))), "expanded"),
    "more strides than sizes": (state(t=tensor((2,), (1, 1))), "shape or stride"),
    "rank 65": (state(t=tensor((1,) * 65, (1,) * 65)), "rank 65"),
    "hooks": (state(t=tensor(tail=b"\x89}" + text("h") + text("h") + b"s")), "hooks"),
    "a negated view": (state(t=tensor(tail=b"\x89" + ORDERED_DICT + b"}" + text("neg") + b"\x88s")),
                       "metadata"),
    "a tensor of nothing": (state(t=name("torch._utils", "_rebuild_tensor_v2") + b")R"), "a call"),
    "a tensor without storage": (state(t=tensor(held=b"N")), "a tensor whose storage"),
    "a tensor with attributes": (state(t=tensor() + b"}b"), "no dict on the stack"),
    "no tensor": (state(t=b"K\x01"), "expected a tensor, found a int"),
    "a list of tensors": (b"\x80\x02](" + tensor() + b"e.", "expected a state dict"),
    "a dict that holds itself": (b"\x80\x02}q\x00" + text("state_dict") + b"h\x00s.",
                                 "found a dict"),
    "a list that holds itself": (b"\x80\x02}" + text("t") + b"]q\x00h\x00as.", "found a list"),
    "a million lists in one another": (b"\x80\x02" + b"]" * 10**6 + b"a" * (10**6 - 1) + b".",
                                       "expected a state dict"),
    "a million tuples in one another": (b"\x80\x02)" + b"\x85" * 10**6 + b".",
                                        "expected a state dict"),
    "a key that is a tuple": (b"\x80\x02})K\x01s.", "a key that is a tuple"),
    "a name twice": (b"\x80\x02}(" + (text("t") + tensor()) * 2 + b"u.", "is there twice"),
    "a name with NUL": (b"\x80\x02}" + text("a\0b") + tensor() + b"s.", "not a name"),
    "a name that is a number": (b"\x80\x02}K\x01" + tensor() + b"s.", "not a name"),
    "half a surrogate pair": (b"\x80\x02}" + text(b"\xed\xa0\x80") + tensor() + b"s.", "surrogate"),
    "the name __metadata__": (state(__metadata__=tensor()), "not a name"),
    "a text of 2^60 bytes": (b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b".", "damaged"),
    "a frame of 2^60 bytes": (b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b".", "STOP"),
    "bytes of 2^60": (b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b".", "damaged"),
    "a recall of nothing": (b"\x80\x02h\x00.", "memo 0 is empty"),
    "an empty stack": (b"\x80\x02R.", "the stack is empty"),
    "a mark where a value belongs": (b"\x80\x02(R.", "the stack is empty"),
    "no mark": (b"\x80\x02}u.", "no mark"),
    "a key without a value": (b"\x80\x02}(K\x01u.", "a key without a value"),
    "no STOP": (GOOD[:-1], "damaged"),
    "bytes behind STOP": (GOOD + b"x", "STOP before the end"),
    "two values": (b"\x80\x02}}.", "STOP before the end"),
    "no pickle": (b"\xff\xff", "damaged"),
    "an empty pickle": (b"", "damaged"),
}
PLAIN = pth(GOOD)
FILES = {
    "an empty file": (b"", "expected the zip form"),
    "a text": (b"hello\n", "expected the zip form"),
    "a safetensors file": (b"\x08\0\0\0\0\0\0\0{}      ", "expected the zip form"),
    "a file of torch before 1.6": (tool.LEGACY + GOOD, "torch.save the result again"),
    "a bare pickle": (pickle.dumps(CALLS["os.system"], 2), "expected the zip form"),
    "bytes before the zip": (b"x" + PLAIN, "expected the zip form"),
    "compressed members": (make_zip([("a/data.pkl", GOOD), ("a/data/0", FLOATS)],
                                    zipfile.ZIP_DEFLATED), "compressed"),
    "encrypted members": (patched(PLAIN, b"PK\1\2\x14\x03\x14\0\0", b"PK\1\2\x14\x03\x14\0\1"),
                          "encrypted"),
    "big-endian values": (pth(GOOD, ("a/byteorder", b"big")), "byteorder: expected little"),
    "an unknown byte order": (pth(GOOD, ("a/byteorder", b"little\0")), "byteorder"),
    "a name that climbs": (pth(GOOD, ("a/../../etc/x", b"")), "not a name that torch gives"),
    "a name that starts above": (pth(GOOD, ("../x", b"")), "not a name that torch gives"),
    "a name from the root": (pth(GOOD, ("/etc/x", b"")), "not a name that torch gives"),
    "a name with a backslash": (pth(GOOD, ("a/..\\x", b"")), "not a name that torch gives"),
    "a name with NUL": (patched(pth(GOOD, ("a/x~y", b"")), b"a/x~y", b"a/x\0y"),
                        "not a name that torch gives"),
    "a folder": (pth(GOOD, ("a/b/", b"")), "not a name that torch gives"),
    "a member of another folder": (pth(GOOD, ("b/x", b"")), "expected it in a/"),
    "two pickles": (pth(GOOD, ("b/data.pkl", GOOD)), "found 2"),
    "no pickle at all": (make_zip([("a/data/0", FLOATS)]), "found 0"),
    "a member twice": (patched(pth(GOOD, ("a/data/1", FLOATS)), b"a/data/1", b"a/data/0"),
                       "is there twice"),
    "a name of its own in each directory": (patched(PLAIN, b"a/data/0", b"a/data/1", 1), "damaged"),
    "a byte that the CRC denies": (patched(PLAIN, FLOATS, FLOATS[:-1] + b"\1"), "CRC"),
    "a size beyond the file": (PLAIN.replace(struct.pack("<II", 24, 24),
                                             struct.pack("<II", 2**31, 2**31)), "outside the file"),
    "sizes that differ": (patched(PLAIN, struct.pack("<II", 24, 24), struct.pack("<II", 24, 25)),
                          "25 bytes, 24 of them stored"),
    "a directory that lies outside": (PLAIN[:-10] + struct.pack("<II", 2**31, 0) + PLAIN[-2:],
                                      "damaged zip"),
}


class HostileFiles(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder.name)

    def convert(self, data, *options):
        """(status, output, errors) of a conversion of these bytes to out.safetensors."""
        with open("in.pth", "wb") as file:
            file.write(data)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = tool.main(["in.pth", "out.safetensors", *options])
        return status, out.getvalue(), err.getvalue()

    def refused(self, data, part):
        status, out, err = self.convert(data)
        self.assertEqual((status, out), (3, ""), err)
        self.assertTrue(err.startswith("pth2safetensors: in.pth: ") and err.isascii(), err)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertIn(part, err)
        self.assertEqual(os.listdir("."), ["in.pth"])

    def test_special_target(self):
        """pth: a pipe in the place of the output is not replaced"""
        os.mkfifo("out.safetensors")
        status, out, err = self.convert(pth(pickle.dumps({})))
        self.assertEqual((status, out), (5, ""), err)
        self.assertIn("found a folder, a pipe or a device", err)
        self.assertTrue(stat.S_ISFIFO(os.lstat("out.safetensors").st_mode))

    def test_special_temporary(self):
        """pth: what has the temporary name is replaced, not written through or waited for"""
        for make in (lambda: os.mkfifo("out.safetensors.tmp"),
                     lambda: os.symlink("victim", "out.safetensors.tmp")):
            make()
            status, _, err = self.convert(pth(pickle.dumps({})))
            self.assertEqual(status, 0, err)
            self.assertTrue(stat.S_ISREG(os.lstat("out.safetensors").st_mode))
            self.assertFalse(os.path.lexists("victim"))

    def test_calls(self):
        """pth: a pickle that calls something is refused, and nothing runs"""
        pickle.loads(pickle.dumps(CALLS["os.system"], 2))  # the harm is real where pickle is used
        self.assertTrue(os.path.exists(CANARY))
        os.unlink(CANARY)
        for what, harm in CALLS.items():
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                with self.subTest(f"{what}, protocol {protocol}"):
                    self.refused(pth(pickle.dumps(harm, protocol)), "data.pkl, ")
                    self.refused(pth(pickle.dumps({"t": harm}, protocol)), "data.pkl, ")

    def test_pickles(self):
        """pth: pickles that are no plain state dict are refused"""
        for what, (data, part) in PICKLES.items():
            with self.subTest(what):
                self.refused(pth(data), part)

    def test_files(self):
        """pth: files that are no plain torch zip are refused"""
        for what, (data, part) in FILES.items():
            with self.subTest(what):
                self.refused(data, part)

    def test_cuts(self):
        """pth: a file cut at any byte is refused"""
        for end in range(len(PLAIN)):
            with self.subTest(end):
                self.refused(PLAIN[:end], "")

    def test_mutations(self):
        """pth: random bytes changed: status 0 or 3, no exception, nothing left behind"""
        rng = random.Random(1)
        slow = unittest.mock.patch.object(tool.os, "fsync")  # what is written is thrown away
        slow.start()
        self.addCleanup(slow.stop)
        for turn in range(1000):
            data = bytearray(PLAIN)
            for _ in range(rng.randint(1, 3)):
                data[rng.randrange(len(data))] = rng.choice(b"\0\1\2}(]tRQX.cubh\x80\x8a\x85\xff")
            with self.subTest(turn):
                status, _, err = self.convert(bytes(data))
                self.assertIn(status, (0, 3), err)
                left = set(os.listdir(".")) - {"in.pth", "out.safetensors"}
                self.assertEqual(left, set())
                if status == 0:
                    os.unlink("out.safetensors")
                else:
                    self.assertFalse(os.path.exists("out.safetensors"))

    def test_canonical(self):
        """pth: the bytes of SPEC 17.4.6, names in any order, strides, offsets, shared storage"""
        data = state(z=tensor((3, 2), (1, 3)), a=tensor((2,), (2,), 1), e=tensor((4, 0), (1, 1)),
                     **{'"\\\n\x7f\u00e9': tensor((), (), 5), "": tensor((1, 2), (9, 1), 4)})
        self.assertEqual(self.convert(pth(data))[0], 0)
        entry = '"%s":{"dtype":"F32","shape":[%s],"data_offsets":[%d,%d]}'
        header = "{" + ",".join([
            entry % ("", "1,2", 0, 8), entry % ('\\"\\\\\\u000a\x7f\u00e9', "", 8, 12),
            entry % ("a", "2", 12, 20), entry % ("e", "4,0", 20, 20),
            entry % ("z", "3,2", 20, 44)]) + "}"
        header = header.encode() + b" " * (-len(header.encode()) % 8)
        values = struct.pack("<11f", 4, 5, 5, 1, 3, 0, 3, 1, 4, 2, 5)
        with open("out.safetensors", "rb") as file:
            self.assertEqual(file.read(), struct.pack("<Q", len(header)) + header + values)

    def test_forms(self):
        """pth: nested state dict, attributes, newer members, a memo index far up, no tensor"""
        nested = b"\x80\x02}(" + text("epoch") + b"K\x01" + text("state_dict") + GOOD[2:-1] + b"u."
        forms = {
            "nested": pth(nested),
            "attributes": pth(GOOD[:-1] + b"}" + text("_metadata") + ORDERED_DICT + b"sb."),
            "byteorder": pth(GOOD, ("a/byteorder", b"little"), ("a/.data/serialization_id", b"1")),
            "memo": pth(GOOD[:-1] + b"r\xff\xff\xff\x7f."),
        }
        results = set()
        for what, data in forms.items():
            with self.subTest(what):
                self.assertEqual(self.convert(data)[0], 0)
                with open("out.safetensors", "rb") as file:
                    results.add(file.read())
        self.assertEqual(len(results), 1)
        self.assertEqual(self.convert(pth(nested), "--key", "state_dict")[0], 0)
        self.assertEqual(self.convert(pth(nested), "--key", "model")[0], 3)
        self.assertEqual(self.convert(pth(b"\x80\x02}."))[0], 0)
        with open("out.safetensors", "rb") as file:
            self.assertEqual(file.read(), b"\x08\0\0\0\0\0\0\0{}      ")

    def test_exit_codes(self):
        """pth: --help 0, usage 2, refusal 3, files 5; an old target survives a failure"""
        def call(*words):
            return subprocess.run([sys.executable, TOOL, *words], capture_output=True, text=True)
        with open("in.pth", "wb") as file:
            file.write(PLAIN)
        with open("bad.pth", "wb") as file:
            file.write(pth(state(z=tensor()), floats=FLOATS[:-1] + b"\1")[:-30])
        with open("old", "w") as file:
            file.write("old")
        self.assertIn("usage: ", call("--help").stdout)
        for status, words in ((0, ["--help"]), (0, ["in.pth", "out"]), (2, []), (2, ["in.pth"]),
                              (2, ["in.pth", "in.pth"]), (2, ["in.pth", "out", "--no"]),
                              (3, ["bad.pth", "old"]), (5, ["none.pth", "old"]), (5, [".", "old"]),
                              (5, ["in.pth", "none/out"]), (5, ["in.pth", "."])):
            with self.subTest(words):
                done = call(*words)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertNotIn("Traceback", done.stderr)
        with open("old") as file:
            self.assertEqual(file.read(), "old")
        self.assertEqual(sorted(os.listdir(".")), ["bad.pth", "in.pth", "old", "out"])

    def test_write_fails(self):
        """pth: a storage whose CRC is wrong, met while writing, leaves the old target"""
        with open("out.safetensors", "w") as file:
            file.write("old")
        status, _, err = self.convert(FILES["a byte that the CRC denies"][0])
        self.assertEqual(status, 3, err)
        with open("out.safetensors") as file:
            self.assertEqual(file.read(), "old")
        self.assertEqual(sorted(os.listdir(".")), ["in.pth", "out.safetensors"])
