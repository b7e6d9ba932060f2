# SPDX-License-Identifier: MIT
"""The places of a C file where one small change makes a mutant, for tests/mutate.py.

Only function bodies and the values of enumerators are changed: never a comment, a string, a preprocessor
line, an assertion, a constant table, a declaration without a value.
"""

import hashlib
import re

TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/|\#(?:[^\n]*\\\n)*[^\n]*)
    |(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<number>0[xX][0-9a-fA-F]+[uUlL]*|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[uUlLfF]*)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<mark>\.\.\.|->|<<=|>>=|\+\+|--|&&|\|\||[-+*/%&|^=!<>]=|<<|>>|.)""",
    re.S | re.X,
)
SWAPS = {
    "boundary": {"<": "<=", "<=": "<", ">": ">=", ">=": ">"},
    "relation": {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="},
    "logic": {"&&": "||", "||": "&&"},
    "sum": {"+": "-", "-": "+"},
    "product": {"*": "+", "/": "*", "%": "/"},
    "bits": {"&": "|", "|": "&", "^": "&", "<<": ">>", ">>": "<<"},
    "update": {"+=": "-=", "-=": "+=", "*=": "+=", "/=": "*=", "|=": "&=", "&=": "|=", "^=": "|="},
}
BINARY = ("sum", "product", "bits")
ASSIGNMENTS = {"=", "+=", "-=", "*=", "/=", "%=", "|=", "&=", "^=", "<<=", ">>="}
CONTROL = {"if", "while", "for", "switch"}
KEYWORDS = CONTROL | {"return", "sizeof", "case", "else", "do", "goto", "continue", "break", "default"}
TYPES = {"double", "float", "int", "unsigned", "size_t", "uint8_t", "uint32_t", "uint64_t", "int64_t"}
UNTOUCHED = {"assert", "NN_ASSUME", "va_start", "va_arg", "va_end", "offsetof"}
OPENING, CLOSING = {"(": ")", "[": "]", "{": "}"}, {")", "]", "}"}


class Site:
    """One change: text[start:end] becomes new."""

    def __init__(self, kind, start, end, new):
        self.kind, self.start, self.end, self.new = kind, start, end, new
        self.path = self.line = self.id = None

    def name_it(self, path, text, seen):
        """Its id survives changes elsewhere in the file: the line's words and which of such lines."""
        self.path = path
        self.line = text.count("\n", 0, self.start) + 1
        head = text.rfind("\n", 0, self.start) + 1
        tail = text.find("\n", self.start)
        words = " ".join(text[head:tail].split())
        column = len("".join(text[head : self.start].split()))
        what = f"{path}|{words}|{column}|{self.kind}|{self.new}"
        count = seen.setdefault((words, head), sum(1 for w, h in seen if w == words))
        self.id = hashlib.sha256(f"{what}|{count}".encode()).hexdigest()[:8]
        self.change = f"{' '.join(text[self.start : self.end].split())} -> {self.new.strip() or 'nothing'}"
        self.words = words

    def apply(self, text):
        return text[: self.start] + self.new + text[self.end :]

    def draw(self, seed):
        return hashlib.sha256(f"{seed}|{self.id}".encode()).digest()


class Source:
    """The tokens of a file, its brackets and where a change may be."""

    def __init__(self, text):
        self.text = text
        found = [(m.lastgroup, m.group(), m.start(), m.end()) for m in TOKEN.finditer(text)]
        self.tokens = [t for t in found if t[0] != "skip"]
        self.kinds = [t[0] for t in self.tokens]
        self.words = [t[1] for t in self.tokens]
        self.other = self._match()
        self.body, self.enum = self._regions()

    def _match(self):
        other, stack = {}, []
        for i, word in enumerate(self.words):
            if self.kinds[i] != "mark":
                continue
            if word in OPENING:
                stack.append(i)
            elif word in CLOSING:
                other[i] = stack.pop()
                other[other[i]] = i
        return other

    def _regions(self):
        """Which tokens lie in function bodies, less assertions and constant tables; which in enums."""
        body, enum = set(), set()
        i = 0
        while i < len(self.words):
            if self.words[i] == "{" and i in self.other:
                inside = range(i + 1, self.other[i])
                if self.words[i - 1] == ")":
                    body.update(inside)
                elif "enum" in self.words[max(i - 2, 0) : i]:
                    enum.update(inside)
                i = self.other[i]
            i += 1
        for i in sorted(body):
            if self.words[i] in UNTOUCHED and self.words[i + 1] == "(":
                body.difference_update(range(i, self.other[i + 1] + 1))
            elif self.words[i] == "static":
                body.difference_update(range(i, self.end_of(i)))
        return body, enum

    def word(self, i):
        return self.words[i] if 0 <= i < len(self.words) else ""

    def end_of(self, i):
        """The index of the semicolon that ends a statement, or of the bracket around it."""
        while i < len(self.words) and self.words[i] != ";" and self.words[i] not in CLOSING:
            i = self.other[i] + 1 if self.words[i] in OPENING else i + 1
        return i

    def site(self, kind, first, last, new):
        return Site(kind, self.tokens[first][2], self.tokens[last][3], new)

    def between(self, first, last):
        return self.text[self.tokens[first][2] : self.tokens[last][3]]

    def operand_before(self, i):
        word = self.word(i - 1)
        return self.kinds[i - 1] in ("name", "number") and word not in KEYWORDS or word in (")", "]")

    def after_control(self, i):
        """Is token i the first behind if (...), for (...) and the like?"""
        return self.word(i - 1) == ")" and self.word(self.other[i - 1] - 1) in CONTROL

    def starts(self, i):
        """Does a statement start here?"""
        before = self.word(i - 1)
        if before == ":":
            return self.word(i - 2) == "default" or self.word(i - 3) == "case"
        return before in (";", "{", "}", "else", "do") or self.after_control(i)


def operators(s, i):
    if s.kinds[i] != "mark":
        return
    for kind, swaps in SWAPS.items():
        if s.words[i] in swaps and (kind not in BINARY or s.operand_before(i)):
            yield s.site(kind, i, i, swaps[s.words[i]])
    if s.words[i] == "!":
        yield s.site("condition", i, i, "")
    if s.words[i] == "?":
        yield s.site("choice", i, i, "&& 0 ?")
        yield s.site("choice", i, i, "|| 1 ?")


def constants(s, i):
    word = s.words[i]
    if word in ("true", "false"):
        yield s.site("constant", i, i, "false" if word == "true" else "true")
    if s.kinds[i] != "number":
        return
    digits = re.match(r"0[xX][0-9a-fA-F]+|[\d.]+(?:[eE][+-]?\d+)?", word).group()
    suffix = word[len(digits) :]
    if any(c in digits for c in ".eE") and digits[:2].lower() != "0x":
        yield s.site("constant", i, i, repr(float(digits) + 1) + suffix)
        return
    value = int(digits, 8 if re.match("0[0-7]", digits) else 0)
    if value > 0:
        yield s.site("constant", i, i, str(value - 1) + suffix)
    if s.word(i - 1) != "[" or value == 0:
        yield s.site("constant", i, i, str(value + 1) + suffix)


def conditions(s, i):
    if s.words[i] in ("if", "while") and s.word(i + 1) == "(":
        inside = s.between(i + 2, s.other[i + 1] - 1)
        yield s.site("condition", i + 2, s.other[i + 1] - 1, f"!({inside})")


def statements(s, i):
    """A removed assignment, call or step; a removed return, continue or break that is not the last."""
    if not s.starts(i):
        return
    end = s.end_of(i)
    if s.word(end) != ";":
        return
    first, second = s.words[i], s.word(i + 1)
    if first in ("return", "continue", "break"):
        if s.word(end + 1) != "}" or s.after_control(i):
            yield s.site("exit", i, end, ";")
        return
    if first in KEYWORDS or s.kinds[i] == "text" or (s.kinds[i] == "name" and s.kinds[i + 1] == "name"):
        return
    if s.kinds[i] == "name" and second == "*":
        return
    depth0, j = [], i
    while j < end:
        depth0.append(s.words[j])
        j = s.other[j] + 1 if s.words[j] in OPENING else j + 1
    call = s.kinds[i] == "name" and second == "(" and s.other[i + 1] == end - 1
    if call or ASSIGNMENTS & set(depth0) or "++" in depth0 or "--" in depth0:
        yield s.site("statement", i, end, ";")


def values(s, i):
    """A result or an assigned value becomes 0 or 1."""
    if s.words[i] not in ("return", "="):
        return
    end = s.end_of(i)
    if s.word(end) != ";" or end == i + 1 or (s.words[i] == "=" and s.word(i + 1) == "{"):
        return
    if end == i + 2 and s.words[i + 1] in ("true", "false", "0", "1", "NULL"):
        return
    kind = "result" if s.words[i] == "return" else "value"
    if "," not in s.words[i:end] or kind == "result" or "(" in s.words[i:end]:
        yield s.site(kind, i + 1, end - 1, "0")
        yield s.site(kind, i + 1, end - 1, "1")


def arguments(s, i):
    if s.kinds[i] != "name" or s.words[i] in KEYWORDS or s.word(i + 1) != "(" or s.kinds[i - 1] == "name":
        if not (s.word(i - 1) == "return" and s.kinds[i] == "name" and s.word(i + 1) == "("):
            return
    close, parts, start, j = s.other[i + 1], [], i + 2, i + 2
    while j <= close:
        if s.words[j] == "," or j == close:
            parts.append((start, j - 1))
            start = j + 1
        j = s.other[j] + 1 if s.words[j] in OPENING and j != close else j + 1
    for (a, b), (c, d) in zip(parts, parts[1:]):
        if a <= b and c <= d and s.between(a, b) != s.between(c, d):
            yield s.site("arguments", a, d, f"{s.between(c, d)}, {s.between(a, b)}")


def indices(s, i):
    if s.words[i] != "[" or not s.operand_before(i):
        return
    inside = range(i + 1, s.other[i])
    if not any(s.kinds[j] == "name" and not s.words[j].isupper() for j in inside):
        return
    if s.kinds[i - 2] == "name" and s.word(i - 2) not in KEYWORDS:
        return
    yield s.site("index", i + 1, s.other[i] - 1, "0")
    yield s.site("index", i + 1, s.other[i] - 1, f"({s.between(i + 1, s.other[i] - 1)}) + 1")


def casts(s, i):
    if s.words[i] != "(" or s.word(i + 1) not in TYPES or s.word(i + 2) != ")" or s.kinds[i - 1] == "name":
        if not (s.words[i] == "(" and s.word(i - 1) == "return" and s.word(i + 1) in TYPES):
            return
    if s.word(i + 2) == ")":
        yield s.site("cast", i, i + 2, "")


def sites(path, text):
    """All places of a file, named; of two changes of one kind at one place the id decides."""
    s = Source(text)
    found = {}
    seen = {}
    for i in range(len(s.words)):
        makers = ()
        if i in s.body:
            makers = (operators, constants, conditions, statements, values, arguments, indices, casts)
        elif i in s.enum:
            makers = (constants,)
        for maker in makers:
            for site in maker(s, i):
                site.name_it(path, text, seen)
                key = (site.kind, site.start, site.end)
                if key not in found or site.id < found[key].id:
                    found[key] = site
    return list(found.values())
