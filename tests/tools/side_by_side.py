#!/usr/bin/env python3
"""Two models side by side, step beside step, in the width of the terminal:
side_by_side.py LEFT RIGHT.

A model's file is taken apart where functions begin; one whose comment names a
step (`// 5. RECEIVE. ...`) is called by it. Those of the same name stand beside
each other, a step below its name. Between the sides a mark says what differs:
`|` another line, `<` on the left alone, `>` on the right alone. Comments are
filled anew, and code that is longer than its side goes on in the next row.

The width is COLUMNS, or the terminal's, or 80.
"""

import dataclasses
import difflib
import os
import pathlib
import re
import shutil
import sys
import textwrap

STEP = re.compile(r"\s*// (\d\. [A-Z ]+[A-Z])\b")
COMMENT = re.compile(r"(\s*)// ?(.*)")
FUNCTION = re.compile(r"(?:  )?(?! )[\w:<>*&, ~]*?(~?[\w:]+)\((.*)")
HEAD = "head"
WIDTH_MIN = 40


@dataclasses.dataclass(frozen=True)
class Block:
    """A line of code, or a comment of any number of lines."""

    text: str
    indent: int
    is_comment: bool = False

    def is_trivial(self):
        """Nothing by which two places could be told to be the same."""
        return self.text in ("", "}", "};", "})", "});")

    def rows(self, width):
        """In lines that fit."""
        indent = " " * min(self.indent, width // 3)
        if self.is_comment:
            mark = indent + "// "
            return textwrap.wrap(self.text, width, initial_indent=mark,
                                 subsequent_indent=mark)  # fmt: skip
        return folded(indent + self.text, indent + "    ", width)


def folded(line, indent, width):
    """Code, broken behind a blank or a parenthesis, or where it must."""
    parts = []
    while len(line) > width:
        for signs in (" (", ".:", "_"):
            at = max(line.rfind(s, len(indent), width) for s in signs) + 1
            if at:
                break
        at = at or width
        parts.append(line[:at].rstrip())
        line = indent + line[at:].lstrip()
    return [*parts, line]


def blocks(lines):
    """The lines of a piece; comments that follow each other are one."""
    found = []
    for line in lines:
        comment = COMMENT.fullmatch(line)
        if not comment:
            text = line.strip()
            found.append(Block(text, len(line) - len(line.lstrip())))
            continue
        indent, text = len(comment[1]), comment[2]
        last = found[-1] if found else None
        if text and last and last.is_comment and last.text:
            found[-1] = Block(f"{last.text} {text}", indent, True)
        else:
            found.append(Block(text, indent, bool(text)))
    return found


def pieces(lines):
    """[(name, lines)] in the order of the file. A comment belongs to what it
    stands before."""
    found, comment = [(HEAD, [])], []
    for line in lines:
        if COMMENT.fullmatch(line):
            comment.append(line)
            continue
        name = name_of(line, comment)
        # What is asked and what is done, if it is a model of completion.
        if name and (name != found[-1][0] or not is_step(name)):
            found.append((name, []))
        found[-1][1].extend([*comment, line])
        comment = []
    found[-1][1].extend(comment)
    return found


def is_step(name):
    return name[0].isdigit()


def name_of(line, comment):
    """What is called so begins here; None if nothing begins."""
    function = FUNCTION.fullmatch(line)
    if not function or line.rstrip().endswith(";"):
        return None
    steps = (STEP.match(text) for text in comment)
    step = next(filter(None, steps), None)
    return step[1] if step else function[1]


def aligned(left, right):
    """[(name, left's lines, right's lines)] in the order of both files. What
    one side alone has stands where it stands there."""
    names = [[name for name, _ in side] for side in (left, right)]
    for kind, a, b, c, d in opcodes(*names):
        if kind == "equal":
            for (name, one), (_, other) in zip(left[a:b], right[c:d]):
                yield name, one, other
            continue
        yield from ((name, lines, []) for name, lines in left[a:b])
        yield from ((name, [], lines) for name, lines in right[c:d])


def opcodes(left, right):
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=False)
    return matcher.get_opcodes()


def rows(left, right):
    """(left's block or None, mark, right's block or None) of two pieces."""
    for kind, a, b, c, d in joined(opcodes(left, right), left):
        if kind == "equal":
            yield from ((one, " ", other)
                        for one, other in zip(left[a:b], right[c:d]))
        else:
            yield from beside(left[a:b], right[c:d])


def joined(found, left):
    """A brace that both have between lines that differ is no place where they
    meet."""
    whole = []
    for kind, a, b, c, d in found:
        alike = kind == "equal" and not all(x.is_trivial() for x in left[a:b])
        kind = "equal" if alike else "other"
        if whole and whole[-1][0] == kind == "other":
            whole[-1] = (kind, whole[-1][1], b, whole[-1][3], d)
        else:
            whole.append((kind, a, b, c, d))
    return whole


def beside(left, right):
    """Comments beside comments, code beside code, in order."""
    left, right = list(left), list(right)
    while left or right:
        one, other = left[:1], right[:1]
        if one and other and one[0].is_comment != other[0].is_comment:
            if one[0].is_comment:
                other = []
            else:
                one = []
        del left[: len(one)], right[: len(other)]
        a, b = one[0] if one else None, other[0] if other else None
        yield a, " " if a == b else "|" if a and b else "<" if a else ">", b


def paint(left, right, width):
    """The lines of the whole picture."""
    half = (width - 3) // 2
    for name, one, other in aligned(left, right):
        if is_step(name):
            yield f"== {name} ".ljust(width, "=")
        for a, mark, b in rows(blocks(one), blocks(other)):
            sides = [x.rows(half) if x else [] for x in (a, b)]
            for i in range(max(1, *map(len, sides))):
                shown = [side[i] if i < len(side) else "" for side in sides]
                yield f"{shown[0]:<{half}} {mark} {shown[1]}".rstrip()


def main(paths):
    sys.stdout.reconfigure(errors="replace")
    if len(paths) != 2:
        print("usage: side_by_side.py LEFT RIGHT", file=sys.stderr)
        return 2
    texts = [
        pathlib.Path(path).read_text("utf-8").expandtabs().splitlines()
        for path in paths
    ]
    width = max(shutil.get_terminal_size((80, 24)).columns, WIDTH_MIN)
    head = f"{paths[0]:<{(width - 3) // 2}}   {paths[1]}\n"
    try:
        print(head, *paint(*map(pieces, texts), width), sep="\n", flush=True)
    except BrokenPipeError:  # who reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
