"""make diff: two models side by side."""

import io
import os
import pathlib
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
import side_by_side  # noqa: E402  (after the line that keeps the tree clean)

ROOT = pathlib.Path(side_by_side.__file__).parents[2]
STEPS = ("1. LISTEN", "5. RECEIVE", "7. SEND", "8. CLOSE")

LEFT = """\
// # A server

class Server {
  // 5. RECEIVE. It sleeps until there is
  // something.
  bool receive() {
    return read();
  }

  // 7. SEND. All of it.
  bool send() {
    return write();
  }
};
"""
RIGHT = """\
// # Another

class Server {
  void more() {
  }

  // 5. RECEIVE, asked. Once.
  void ask_receive() {
    ask();
  }

  // 5. RECEIVE, done.
  void received() {
    take();
  }

  // 7. SEND. All of it.
  bool send() {
    return write();
  }
};
"""


def picture(left, right, width=80):
    texts = (text.splitlines() for text in (left, right))
    return list(side_by_side.paint(*map(side_by_side.pieces, texts), width))


def surroundings():
    """Not those of the make that runs this, which has a jobserver to offer."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "MFLAGS"))
    }


def make(*words, columns=80):
    return subprocess.run(
        ["make", "--no-print-directory", "-C", ROOT, "diff", *words],
        capture_output=True,
        encoding="utf-8",
        env=surroundings() | {"COLUMNS": str(columns)},
    )


class Picture(unittest.TestCase):
    def test_steps_of_the_same_name_stand_beside_each_other(self):
        lines = picture(LEFT, RIGHT)
        for name in ("5. RECEIVE", "7. SEND"):
            at = lines.index(f"== {name} ".ljust(80, "="))
            left, mark, right = lines[at + 1].partition(" | ")
            if not mark:
                left, right = lines[at + 1][:38], lines[at + 1][41:]
            self.assertIn(name, left)
            self.assertIn(name, right)

    def test_what_is_asked_and_what_is_done_are_one_step(self):
        found = [name for name, _ in side_by_side.pieces(RIGHT.splitlines())]
        self.assertEqual(found, ["head", "more", "5. RECEIVE", "7. SEND"])

    def test_nothing_is_lost(self):
        words = " ".join(line[41:].strip() for line in picture(LEFT, RIGHT))
        for line in RIGHT.split():
            self.assertIn(line, words)

    def test_one_side_against_itself_has_no_marks(self):
        for line in picture(LEFT, LEFT):
            if not line.startswith("=="):
                self.assertEqual(line[:38].rstrip(), line[41:])
                self.assertEqual(line[38:41].strip(), "")

    def test_a_brace_is_no_place_where_two_meet(self):
        marks = [mark for _, mark, _ in side_by_side.rows(
            side_by_side.blocks(["a;", "}", "b;"]),
            side_by_side.blocks(["c;", "}", "d;"]),
        )]  # fmt: skip
        self.assertEqual(marks, ["|", " ", "|"])

    def test_a_comment_never_stands_beside_code(self):
        for a, _, b in side_by_side.rows(
            side_by_side.blocks(["// one", "x;", "y;"]),
            side_by_side.blocks(["p;", "// two", "q;"]),
        ):
            if a and b:
                self.assertEqual(a.is_comment, b.is_comment)


class Diff(unittest.TestCase):
    """As the Makefile calls it, on the models that are there."""

    def pairs(self):
        models = sorted(p.parent.name for p in ROOT.glob("*/server.cpp")
                        if p.parent.name != "program")  # fmt: skip
        return [(models[0], other) for other in models[1:]]

    def test_fits_the_terminal_and_has_every_step(self):
        for a, b in self.pairs():
            for columns in (60, 80, 166):
                done = make(f"A={a}", f"B={b}", columns=columns)
                self.assertEqual(done.returncode, 0, done.stderr)
                lines = done.stdout.splitlines()
                self.assertLessEqual(max(map(len, lines)), columns)
                for step in STEPS:
                    self.assertIn(f"== {step} ".ljust(columns, "="), lines)

    def test_two_names_are_wanted_that_are_there(self):
        model = self.pairs()[0][0]
        for words, said in (
            (("B=foo",), "foo?"),
            ((f"A={model}", "B=foo"), "foo?"),
            ((f"A={model}",), "two names?"),
        ):
            done = make(*words)
            self.assertEqual(done.returncode, 2)
            self.assertIn(said, done.stderr)
            self.assertIn(f"There are: {model} ", done.stderr)

    def test_half_read_is_no_error(self):
        command = f"make -C {ROOT} diff A={self.pairs()[0][0]} B={self.pairs()[0][1]}"
        done = subprocess.run(
            ["sh", "-c", f"{command} | head -n 1"],
            capture_output=True,
            encoding="utf-8",
            env=surroundings(),
        )
        self.assertEqual(done.stderr, "")


if __name__ == "__main__":
    unittest.main()
