#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A state dict of torch.save (zip form) as safetensors: pth2safetensors.py IN.pth OUT.safetensors

Python's standard library alone. A .pth file is a zip of storages and a pickle that says how to make
tensors of them; a pickle can ask for anything to be run. Here nothing is: the pickle's opcodes are
read one by one by a machine that knows dictionaries, lists, plain values, storages and tensors, and
everything else is refused. Layout and refusals: SPEC 17.4.9.
"""
import argparse
import errno
import io
import os
import pickletools
import re
import struct
import sys
import zipfile

USAGE, DATA, IO, MEMORY = 2, 3, 5, 6  # exit codes, SPEC 18.1
HEADER_MAX = 100_000_000  # SPEC 17.4.1; a pickle that describes so many tensors is refused as well
LOCAL_HEADER = 30  # bytes before a member's name, at least
MAX_RANK = 64
U64_MAX = 2**64 - 1
NAME = "pth2safetensors"

# Storage class of torch -> dtype (SPEC 17.4.4), bytes of an element.
STORAGES = {
    "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2),
    "FloatStorage": ("F32", 4),
    "DoubleStorage": ("F64", 8),
    "LongStorage": ("I64", 8),
    "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2),
    "CharStorage": ("I8", 1),
    "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1),
}
STORAGE_MODULES = ("torch", "torch.storage")
ORDERED_DICT = ("collections", "OrderedDict")
REBUILD = ("torch._utils", "_rebuild_tensor_v2")

# How a file of torch before 1.6 begins: pickled, the number that it has instead of a zip.
LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."


class Refusal(Exception):
    """The file is not what this program takes; the text is one line."""


def shown(text):
    """A name of the file, safe to print."""
    cut = text if len(text) <= 60 else text[:60] + "..."
    return ascii(cut)[1:-1]


# ---- the zip ----


class Archive:
    """The members of a torch zip: stored, each there once, all in one folder."""

    def __init__(self, file):
        self.size = file.seek(0, os.SEEK_END)
        file.seek(0)
        start = file.read(max(4, len(LEGACY)))
        file.seek(0)
        if start.startswith(LEGACY):
            raise Refusal("a file of torch before 1.6, a bare pickle; load it in torch with "
                          "weights_only=True and torch.save the result again")
        if not start.startswith(b"PK\x03\x04"):
            raise Refusal("expected the zip form of torch.save; load the file in torch with "
                          "weights_only=True and torch.save the result again")
        try:
            self.zip = zipfile.ZipFile(file)
        except OSError as error:  # a negative place in the end record reaches seek()
            if error.errno != errno.EINVAL:
                raise
            raise Refusal("damaged zip: its directory lies outside") from None
        self.members, end = {}, 0
        for info in sorted(self.zip.infolist(), key=lambda info: info.header_offset):
            self.check(info, end)
            self.members[info.filename] = info
            end = info.header_offset + LOCAL_HEADER + info.file_size
        folders = [name[: -len("data.pkl")] for name in self.members if name.count("/") == 1
                   and name.endswith("/data.pkl")]
        if len(folders) != 1:
            raise Refusal(f"expected one FOLDER/data.pkl in the zip, found {len(folders)}")
        self.folder = folders[0]
        for name in self.members:
            if not name.startswith(self.folder):
                raise Refusal(f"member {shown(name)}: expected it in {shown(self.folder)}")
        if self.has("byteorder") and self.read("byteorder", 100) != b"little":
            raise Refusal("byteorder: expected little; save the file on a little-endian machine")

    def check(self, info, end):
        """`end`: the place before which this member cannot begin."""
        # orig_filename, because zipfile cuts a name at a NUL.
        name = info.orig_filename
        parts = name.split("/")
        if "\0" in name or "\\" in name or any(part in ("", ".", "..") for part in parts):
            raise Refusal(f"member {shown(name)}: not a name that torch gives")
        if name in self.members:
            raise Refusal(f"member {shown(name)} is there twice")
        if info.compress_type != zipfile.ZIP_STORED:
            raise Refusal(f"member {shown(name)} is compressed; torch stores")
        if info.flag_bits & 1:
            raise Refusal(f"member {shown(name)} is encrypted")
        if info.file_size != info.compress_size:
            raise Refusal(f"member {shown(name)}: {info.file_size} bytes, {info.compress_size} of "
                          "them stored")
        if not end <= info.header_offset <= self.size - LOCAL_HEADER - info.file_size:
            raise Refusal(f"member {shown(name)} lies outside the file or in another member")

    def has(self, name):
        return self.folder + name in self.members

    def member_size(self, name):
        return self.members[self.folder + name].file_size

    def read(self, name, most):
        """The whole member; its CRC is checked."""
        if self.member_size(name) > most:
            raise Refusal(f"member {name}: expected at most {most} bytes, found "
                          f"{self.member_size(name)}")
        return self.zip.read(self.members[self.folder + name])


# ---- the pickle ----


class Global:
    """A name that the pickle asks for and that is allowed; it stays a name."""

    def __init__(self, module, name):
        self.key = (module, name)
        self.storage = STORAGES.get(name) if module in STORAGE_MODULES else None
        if self.storage is None and self.key not in (ORDERED_DICT, REBUILD):
            raise Refusal(f"asks for {shown(module)}.{shown(name)}; only plain tensors are taken")


class Storage:
    def __init__(self, archive, reference):
        if not (isinstance(reference, tuple) and len(reference) == 5 and reference[0] == "storage"
                and isinstance(reference[1], Global) and reference[1].storage is not None
                and isinstance(reference[2], str) and re.fullmatch("[0-9]{1,18}", reference[2])
                and isinstance(reference[3], str) and is_size(reference[4])):
            raise Refusal("a reference to something that is no storage")
        self.dtype, self.width = reference[1].storage
        self.count = reference[4]
        self.member = "data/" + reference[2]
        if not archive.has(self.member):
            raise Refusal(f"storage {self.member} is missing")
        if archive.member_size(self.member) != self.count * self.width:
            raise Refusal(f"storage {self.member}: expected {self.count} of {self.dtype}, found "
                          f"{archive.member_size(self.member)} bytes")


class Tensor:
    def __init__(self, storage, offset, shape, stride, _grad, hooks, metadata=None):
        """A view; every element of it is proved to lie in the storage."""
        if not (isinstance(storage, Storage) and is_size(offset) and is_sizes(shape)
                and is_sizes(stride) and len(shape) == len(stride)):
            raise Refusal("a tensor whose storage, offset, shape or stride is none")
        if len(shape) > MAX_RANK:
            raise Refusal(f"a tensor of rank {len(shape)}; at most {MAX_RANK} is taken")
        if hooks or metadata:  # metadata: the values stand for others, negated or conjugated
            raise Refusal("a tensor with hooks or metadata; save a plain one")
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride
        self.count = 1
        for size in (8 * storage.width, *shape):  # as SPEC 17.4.4, but the bits come first
            self.count *= size
            if self.count > U64_MAX:
                raise Refusal("a tensor of 2^64 bits or more")
        self.count //= 8 * storage.width
        last = sum((size - 1) * step for size, step in zip(shape, stride))
        if self.count > 0 and offset + last >= storage.count or offset > storage.count:
            raise Refusal(f"a tensor that reaches beyond its storage of {storage.count} elements")
        # What repeats elements would let a few bytes ask for any amount of output.
        if self.count > storage.count:
            raise Refusal("a tensor of more elements than its storage has (expanded); save a copy "
                          "made by contiguous()")


def is_size(value):
    return type(value) is int and 0 <= value < 2**63


def is_sizes(value):
    return isinstance(value, (tuple, list)) and all(is_size(size) for size in value)


MARK = object()


class Machine:
    """The opcodes that torch.save writes for a state dict, and no others; nothing is imported or
    called. Containers are never walked, so one that holds itself does no harm."""

    def __init__(self, archive):
        self.archive, self.stack, self.memo = archive, [], {}

    def run(self, data):
        """The value that the pickle describes."""
        at = 0
        try:
            for opcode, argument, at in pickletools.genops(io.BytesIO(data)):
                if opcode.name == "STOP":
                    if len(self.stack) != 1 or at != len(data) - 1:
                        raise Refusal("STOP before the end")
                    return self.pop()
                if opcode.name in PLAIN:
                    self.stack.append(argument)
                elif opcode.name in ACTIONS:
                    ACTIONS[opcode.name](self, argument)
                else:
                    raise Refusal(f"opcode {opcode.name}, which no state dict needs")
            raise Refusal("no STOP")
        except Refusal as refusal:
            raise Refusal(f"data.pkl, byte {at}: {refusal}") from None
        except (ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError,
                struct.error) as error:
            raise Refusal(f"data.pkl, after byte {at}: damaged: {shown(str(error))}") from None

    def pop(self):
        if not self.stack or self.stack[-1] is MARK:
            raise Refusal("the stack is empty")
        return self.stack.pop()

    def pop_to_mark(self):
        items = []
        while self.stack and self.stack[-1] is not MARK:
            items.append(self.stack.pop())
        if not self.stack:
            raise Refusal("no mark on the stack")
        self.stack.pop()
        return items[::-1]

    def push_tuple(self, count):
        self.stack.append(tuple([self.pop() for _ in range(count)][::-1]))

    def top(self, kind):
        if not self.stack or type(self.stack[-1]) is not kind:
            raise Refusal(f"no {kind.__name__} on the stack")
        return self.stack[-1]

    def append(self, items):
        self.top(list).extend(items)

    def set_items(self, items):
        into = self.top(dict)
        if len(items) % 2 != 0:
            raise Refusal("a key without a value")
        for key, value in zip(items[::2], items[1::2]):
            if type(key) not in (str, int):  # others may be costly to hash
                raise Refusal(f"a key that is a {type(key).__name__}")
            if key in into:
                raise Refusal(f"key {shown(str(key))} is there twice")
            into[key] = value

    def remember(self, index):
        if not self.stack or self.stack[-1] is MARK:
            raise Refusal("nothing to remember")
        self.memo[index] = self.stack[-1]

    def recall(self, index):
        if index not in self.memo:
            raise Refusal(f"memo {index} is empty")
        self.stack.append(self.memo[index])

    def stack_global(self):
        name, module = self.pop(), self.pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise Refusal("a global whose name is no text")
        self.stack.append(Global(module, name))

    def reduce(self):
        arguments, function = self.pop(), self.pop()
        key = function.key if isinstance(function, Global) else None
        if key == ORDERED_DICT and arguments == ():
            self.stack.append({})
        elif key == REBUILD and isinstance(arguments, tuple) and len(arguments) in (6, 7):
            self.stack.append(Tensor(*arguments))
        else:
            raise Refusal("a call that makes neither a tensor nor an empty OrderedDict")

    def build(self):
        """Attributes of a dictionary: torch notes versions of modules there. They are dropped."""
        if not isinstance(self.pop(), dict):
            raise Refusal("attributes that are no dictionary")
        self.top(dict)


PLAIN = ("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
         "BINFLOAT")
ACTIONS = {
    "PROTO": lambda m, _: None,
    "FRAME": lambda m, _: None,
    "NONE": lambda m, _: m.stack.append(None),
    "NEWTRUE": lambda m, _: m.stack.append(True),
    "NEWFALSE": lambda m, _: m.stack.append(False),
    "MARK": lambda m, _: m.stack.append(MARK),
    "EMPTY_DICT": lambda m, _: m.stack.append({}),
    "EMPTY_LIST": lambda m, _: m.stack.append([]),
    "EMPTY_TUPLE": lambda m, _: m.stack.append(()),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.pop_to_mark())),
    "TUPLE1": lambda m, _: m.push_tuple(1),
    "TUPLE2": lambda m, _: m.push_tuple(2),
    "TUPLE3": lambda m, _: m.push_tuple(3),
    "APPEND": lambda m, _: m.append([m.pop()]),
    "APPENDS": lambda m, _: m.append(m.pop_to_mark()),
    "SETITEM": lambda m, _: m.set_items([m.pop(), m.pop()][::-1]),
    "SETITEMS": lambda m, _: m.set_items(m.pop_to_mark()),
    "BINPUT": Machine.remember,
    "LONG_BINPUT": Machine.remember,
    "MEMOIZE": lambda m, _: m.remember(len(m.memo)),
    "BINGET": Machine.recall,
    "LONG_BINGET": Machine.recall,
    "GLOBAL": lambda m, names: m.stack.append(Global(*names.split(" ", 1))),
    "STACK_GLOBAL": lambda m, _: m.stack_global(),
    "BINPERSID": lambda m, _: m.stack.append(Storage(m.archive, m.pop())),
    "REDUCE": lambda m, _: m.reduce(),
    "BUILD": lambda m, _: m.build(),
}


def find_tensors(value, key):
    """(name in UTF-8, tensor), sorted by the bytes of the names. Without a key the top dictionary
    is meant, or its member state_dict where there is one."""
    if type(value) is not dict:
        raise Refusal(f"expected a state dict, found a {type(value).__name__.lower()}")
    if key is None and type(value.get("state_dict")) is dict:
        key = "state_dict"
    if key is not None:
        value = value.get(key)
        if type(value) is not dict:
            raise Refusal(f"expected a state dict under the key {shown(key)}")
    found = []
    for name, tensor in value.items():
        if not isinstance(tensor, Tensor):
            raise Refusal(f"{shown(str(name))}: expected a tensor, found a "
                          f"{type(tensor).__name__.lower()}; is the state dict under another key?")
        if not isinstance(name, str) or "\0" in name or name == "__metadata__":
            raise Refusal(f"{shown(str(name))}: not a name of a tensor (SPEC 17.4.3)")
        try:
            found.append((name.encode("utf-8"), tensor))
        except UnicodeEncodeError:
            raise Refusal(f"{shown(name)}: half of a surrogate pair in a name") from None
    return sorted(found, key=lambda pair: pair[0])


# ---- the safetensors file, SPEC 17.4.6 ----


def escaped(match):
    byte = match.group()
    return b"\\" + byte if byte in b'"\\' else b"\\u%04x" % byte[0]


def quoted(name):
    return b'"' + re.sub(rb'[\x00-\x1f"\\]', escaped, name) + b'"'


def make_header(tensors):
    at, entries = 0, []
    for name, tensor in tensors:
        end = at + tensor.count * tensor.storage.width
        shape = ",".join(str(size) for size in tensor.shape)
        entries.append(quoted(name) + b':{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}' % (
            tensor.storage.dtype.encode(), shape.encode(), at, end))
        at = end
    if at > U64_MAX:
        raise Refusal("2^64 bytes of data or more")
    header = b"{" + b",".join(entries) + b"}"
    header += b" " * (-len(header) % 8)
    if len(header) > HEADER_MAX:
        raise Refusal(f"a header of {len(header)} bytes; at most {HEADER_MAX} are allowed")
    return struct.pack("<Q", len(header)) + header


def is_contiguous(tensor):
    step = 1
    for size, stride in zip(tensor.shape[::-1], tensor.stride[::-1]):
        if size != 1 and stride != step:
            return False
        step *= size
    return True


def chunks(tensor, data):
    """The elements in the order of the indices, last one fastest, moved as they are in units of
    their width: none is looked at, so the machine's byte order does not matter."""
    begin = tensor.offset * tensor.storage.width
    if tensor.count == 0:
        return
    if is_contiguous(tensor):
        yield data[begin : begin + tensor.count * tensor.storage.width]
        return
    units = memoryview(data).cast({1: "B", 2: "H", 4: "I", 8: "Q"}[tensor.storage.width])
    *outer, (size, stride) = zip(tensor.shape, tensor.stride)
    index, at = [0] * len(outer), tensor.offset
    while True:
        if stride == 0:
            yield units[at : at + 1].tobytes() * size
        else:
            yield units[at : at + (size - 1) * stride + 1 : stride].tobytes()
        for axis in reversed(range(len(outer))):
            index[axis] += 1
            at += outer[axis][1]
            if index[axis] < outer[axis][0]:
                break
            at -= outer[axis][0] * outer[axis][1]
            index[axis] = 0
        else:
            return


def write_tensors(out, archive, tensors):
    """One storage in memory at a time."""
    out.write(make_header(tensors))
    held, data = None, b""
    for _, tensor in tensors:
        if tensor.storage.member != held:
            data = archive.read(tensor.storage.member, archive.size)
            held = tensor.storage.member
        for chunk in chunks(tensor, data):
            out.write(chunk)


def is_special(path):
    """A folder, a pipe, a device: renaming would put a file in its place."""
    return os.path.lexists(path) and not (os.path.isfile(path) or os.path.islink(path))


def write_atomically(path, write):
    """PATH.tmp, flushed to disk, then renamed: a reader sees the old file, the new one, or none."""
    temporary = path + ".tmp"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    try:
        with open(temporary, "xb") as out:
            write(out)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def convert(source, target, key):
    """The number of tensors and of bytes written."""
    with open(source, "rb") as file:
        try:
            archive = Archive(file)
            value = Machine(archive).run(archive.read("data.pkl", HEADER_MAX))
            tensors = find_tensors(value, key)
            write_atomically(target, lambda out: write_tensors(out, archive, tensors))
        except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, OverflowError,
                struct.error) as error:
            raise Refusal(f"damaged zip: {shown(str(error))}") from None
    return len(tensors), os.path.getsize(target)


def fail(status, text):
    print(f"{NAME}: {text}", file=sys.stderr)
    return status


def main(arguments):
    parser = argparse.ArgumentParser(
        prog=NAME, description="Converts a state dict written by torch.save to safetensors. Runs "
        "nothing of what is in the file: tensors are taken, anything else is refused.",
        epilog="Exit: 0 done, 2 usage, 3 the file is refused, 5 reading or writing failed, "
        "6 out of memory.")
    parser.add_argument("source", metavar="IN.pth")
    parser.add_argument("target", metavar="OUT.safetensors")
    parser.add_argument("--key", help="take the state dict under this key of the file's dictionary "
                        "(without: the dictionary itself, or its state_dict)")
    options = parser.parse_args(arguments)
    try:
        if os.path.exists(options.target) and os.path.samefile(options.source, options.target):
            return fail(USAGE, "IN.pth and OUT.safetensors are one file")
        if is_special(options.target):
            return fail(IO, f"{shown(options.target)}: expected a file there, or nothing, found a "
                        "folder, a pipe or a device")
        tensors, size = convert(options.source, options.target, options.key)
    except Refusal as refusal:
        return fail(DATA, f"{shown(options.source)}: {refusal}")
    except OSError as error:
        return fail(IO, f"{shown(str(error.filename or options.target))}: {error.strerror}")
    except MemoryError:
        return fail(MEMORY, f"{shown(options.source)}: out of memory")
    print(f"{tensors} tensors, {size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
