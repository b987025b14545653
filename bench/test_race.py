"""What a race shows and concludes, with answers known beforehand; and races of
real servers, on a terminal and without one."""

import contextlib
import fcntl
import io
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
from unittest import mock

sys.dont_write_bytecode = True
import contestants  # noqa: E402  (after the line that keeps the tree clean)
import lanes  # noqa: E402
import observe  # noqa: E402
import racing  # noqa: E402
import ranking  # noqa: E402
import test_compare  # noqa: E402
import test_comparison  # noqa: E402
import verdicts  # noqa: E402
from lanes import Lane, Style, View  # noqa: E402
from plan import Plan  # noqa: E402
from results import Results  # noqa: E402

RACE = pathlib.Path(__file__).resolve().parent / "race"
ESCAPE = "\x1b"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
PLAIN = Style(colour=False, blocks=False)
FULL = Style(colour=True, blocks=True)
ONE, OTHER, THIRD = "epoll-level", "iouring-multishot", "blocking-thread"


def view(lane_count=3, running=1, **more):
    known = [
        Lane(ONE, 1000, 36_714.0, 12.16, 3.0, "..!."),
        Lane("iouring-multishot again", 900, 33_655.0, 13.15, 2.0, "...."),
        Lane(THIRD, note="skipped: no threads are left on this machine at all"),
        *(Lane(f"model{n}-variant") for n in range(20)),
    ]
    chosen = [
        lanes.dataclasses.replace(lane, running=number == running)
        for number, lane in enumerate(known[:lane_count])
    ]
    shown = View("S1: 1 connection, which waits for each answer", racing.RULE,
                 tuple(chosen), 7, 24, 11.2, 2000.0)  # fmt: skip
    return lanes.dataclasses.replace(shown, **more)


class Bar(unittest.TestCase):
    def test_is_as_long_as_its_share(self):
        for share, drawn in (
            (0, "    "), (0.25, "#   "), (0.49, "#   "), (1, "####"),
            (1.5, "####"), (-1, "    "),
        ):  # fmt: skip
            self.assertEqual(lanes.bar(share, 4, PLAIN), drawn, share)

    def test_is_drawn_by_eighths_where_that_can_be(self):
        for eighths, drawn in ((0, "  "), (3, "▍ "), (8, "█ "), (15, "█▉")):
            self.assertEqual(lanes.bar(eighths / 16, 2, FULL), drawn, eighths)


class Frame(unittest.TestCase):
    def test_is_what_it_was_when_it_was_looked_at(self):
        self.assertEqual(lanes.frame(view(2), 80, 24, PLAIN), [
            "S1: 1 connection, which waits for each answer"
            "                      turn 7 of 24",
            "One at a time: two at once would race the scheduler."
            "                  11 s left",
            "",
            "                                              per s CPU us"
            "  calls  turns",
            "  epoll-level             #######        |    36714   12.2"
            "   3.00  ..!.",
            "> iouring-multishot again ######         |    33655   13.2"
            "   2.00  ....",
            "",
            lanes.HINT,
            lanes.MARKS,
        ])  # fmt: skip

    def test_at_40_columns_has_bars_and_no_costs(self):
        lines = lanes.frame(view(2), 40, 24, PLAIN)
        text = "\n".join(lines)
        self.assertIn("###", text)
        self.assertIn("36714", text)
        self.assertNotIn("12.2", text)

    def test_fits_on_every_terminal(self):
        for style in (PLAIN, FULL):
            for count in (1, 3, 8, 22):
                for columns in (1, 2, 9, 20, 30, 39, 40, 41, 60, 80, 200):
                    for rows in (1, 2, 5, 8, 24):
                        self.fits(view(count), columns, rows, style)

    def fits(self, shown, columns, rows, style):
        lines = lanes.frame(shown, columns, rows, style)
        self.assertLessEqual(len(lines), rows)
        for line in lines:
            text = COLOURS.sub("", line)
            self.assertNotIn(ESCAPE, text)
            self.assertLessEqual(len(text), max(columns - 1, 1))

    def test_who_runs_is_seen_in_the_last_line_that_there_is(self):
        lines = lanes.frame(view(22, running=20), 80, 1, PLAIN)
        self.assertEqual(len(lines), 1)
        self.assertTrue(lines[0].startswith("> model17-variant"), lines)

    def test_without_colours_nothing_is_lost(self):
        with_colours = lanes.frame(view(), 80, 24, Style(True, True))
        without = lanes.frame(view(), 80, 24, Style(False, True))
        self.assertEqual([COLOURS.sub("", x) for x in with_colours], without)
        self.assertNotEqual(with_colours, without)
        self.assertNotIn(ESCAPE, "".join(without))

    def test_says_who_takes_no_part(self):
        lines = lanes.frame(view(), 80, 24, PLAIN)
        self.assertTrue(any("skipped: no threads are" in x for x in lines))


class Where(unittest.TestCase):
    """A terminal, and what its environment says of it."""

    def setUp(self):
        self.out = mock.Mock()
        self.out.isatty.return_value = True

    def test_no_color_is_honoured(self):
        here = {"TERM": "xterm", "LANG": "C.UTF-8"}
        self.assertEqual(lanes.style_of(self.out, here), FULL)
        for value, colour in (("1", False), ("0", False), ("", True)):
            found = lanes.style_of(self.out, here | {"NO_COLOR": value})
            self.assertEqual(found.colour, colour, value)

    def test_blocks_are_for_who_can_show_them(self):
        for names, blocks in (
            ({"LANG": "en_GB.utf8"}, True),
            ({"LANG": "C"}, False),
            ({}, False),
            ({"LC_ALL": "C", "LANG": "C.UTF-8"}, False),
            ({"LC_ALL": "", "LC_CTYPE": "C.UTF-8", "LANG": "C"}, True),
        ):
            found = lanes.style_of(self.out, names)
            self.assertEqual(found.blocks, blocks, names)

    def test_a_dumb_terminal_gets_lines(self):
        for term, moves in (("xterm", True), ("dumb", False), ("", False)):
            self.assertEqual(lanes.repaints(self.out, {"TERM": term}), moves)
        self.assertFalse(lanes.repaints(self.out, {}))
        self.assertFalse(lanes.repaints(io.StringIO(), {"TERM": "xterm"}))

    def test_lines_have_no_escapes(self):
        out = io.StringIO()
        with lanes.shown_on(out) as shown:
            shown.show(view())
            shown.say("turn 1 of 24: epoll-level 36714/s")
        self.assertEqual(out.getvalue(), "turn 1 of 24: epoll-level 36714/s\n")

    def test_the_screen_comes_back_whatever_happens(self):
        out = io.StringIO()
        with self.assertRaises(KeyError), lanes.Terminal(out) as shown:
            shown.show(view())
            raise KeyError
        text = out.getvalue()
        self.assertTrue(text.startswith(lanes.ENTER + lanes.HOME))
        self.assertTrue(text.endswith(lanes.REST_OF_SCREEN + lanes.LEAVE))


def ranked(rates, cell=None):
    """The Ranking of {name: rate}; `cell(cell)` says what else is in a line.
    Each visit has a speed of its own, as a busy machine gives it; the first
    one's second lane is 1 % faster, so that it stands for 1.005 of its rate."""
    plan = Plan(tuple(rates), ("S1",), 4, seconds=0.3, seed=1, visits=2)

    def make(at):
        weather = 1 + 0.2 * ((at.block + at.visit) % 3)
        twin = 1.01 if at.contestant == plan.twin else 1
        rate = rates[at.contestant.name] * weather * twin
        return {"rate": rate, **(cell(at) if cell else {})}

    return ranking.Ranking(Results(test_comparison.lines_of(plan, make)))


def places(found):
    return [(one.label, one.place) for one in found.standings]


class Ranks(unittest.TestCase):
    def test_the_faster_one_is_before_the_slower_one(self):
        found = ranked({ONE: 1000, OTHER: 2000, THIRD: 500})
        self.assertEqual(places(found), [(OTHER, 1), (ONE, 2), (THIRD, 3)])
        self.assertEqual(found.sentences(), [
            f"{OTHER} is faster than {ONE}: 1.990 [1.990 1.990] times",
            f"{ONE} is faster than {THIRD}: 2.010 [2.010 2.010] times",
        ])  # fmt: skip

    def test_what_is_below_the_noise_floor_shares_a_place(self):
        found = ranked({ONE: 1000, OTHER: 1007, THIRD: 500})
        self.assertEqual(places(found), [(OTHER, 1), (ONE, 1), (THIRD, 3)])
        self.assertEqual(
            found.sentences()[0],
            f"{OTHER} and {ONE}: within the noise floor, 1.002 [1.002 1.002]",
        )
        self.assertIn("nothing below a factor of 1.010 is ranked",
                      found.noise())  # fmt: skip

    def test_a_place_says_how_many_are_measurably_faster(self):
        # The middle one differs from neither of its neighbours.
        found = ranked({ONE: 1000, OTHER: 1011, THIRD: 998})
        self.assertEqual(places(found), [(OTHER, 1), (ONE, 1), (THIRD, 2)])

    def test_what_strays_more_than_it_differs_is_not_ranked(self):
        def strays(at):
            up = (at.block + at.visit) % 2
            return {"rate": 1200.0 if up else 900.0} if (
                at.contestant.name == OTHER) else {}  # fmt: skip

        found = ranked({ONE: 1000, OTHER: 0}, strays)
        self.assertEqual([place for _, place in places(found)], [1, 1])
        self.assertIn("no measurable difference", found.sentences()[0])

    def test_invalid_turns_do_not_count_and_are_told_of(self):
        def held(at):
            invalid = at.contestant.name == OTHER and at.block > 0
            cost = {"server_cpu_us": 5.0 if at.contestant.name == OTHER
                    else 10.0}  # fmt: skip
            if invalid:
                return cost | {"verdict": "INVALID", "reason": "held up"}
            return cost

        found = ranked({ONE: 1000, OTHER: 2000}, held)
        self.assertEqual(places(found), [(OTHER, None), (ONE, None)])
        # The CPU time holds in INVALID turns, too.
        self.assertEqual(found.sentences(), [
            f"{OTHER} and {ONE}: {ranking.CANNOT_TELL}",
            f"{ONE} takes more CPU than {OTHER}: 2.000 [2.000 2.000] times",
        ])  # fmt: skip
        self.assertEqual(list(found.apart()), [
            f"{OTHER}: 6 of 8 turns do not count, INVALID: held up",
            "What a request costs, CPU and calls, holds all the same.",
        ])  # fmt: skip

    def test_a_rate_that_the_load_limited_is_a_bound_and_decides(self):
        def limited(at):
            return {"load": {"limited_by": "load"}, "verdict": "INVALID"} if (
                at.contestant.name == OTHER) else {}  # fmt: skip

        found = ranked({ONE: 1000, OTHER: 2000}, limited)
        self.assertEqual(places(found), [(OTHER, 1), (ONE, 2)])
        self.assertEqual(found.sentences(), [
            f"{OTHER} is faster than {ONE}: >=1.990 [1.990 ..] times",
        ])  # fmt: skip
        self.assertRegex(ranking.render(found, 80, PLAIN)[1], " >=2400 ")
        self.assertIn(f"{OTHER}: 8 of 8 turns count as lower bounds at most, ",
                      "\n".join(found.apart()))  # fmt: skip

    def test_turns_that_are_all_invalid_are_marked_and_last(self):
        def held(at):
            return {"verdict": "INVALID", "reason": "held up"} if (
                at.contestant.name == OTHER) else {}  # fmt: skip

        found = ranked({ONE: 1000, OTHER: 2000, THIRD: 3000}, held)
        self.assertEqual(places(found), [(THIRD, 1), (ONE, 2), (OTHER, None)])
        rows = ranking.render(found, 80, PLAIN)
        self.assertRegex(rows[3], rf"^  - {OTHER} .* ~[0-9]+ ")

    def test_many_that_cannot_be_told_apart_are_counted(self):
        def few(at):
            return {"errors": 1} if at.block else {}

        found = ranked({ONE: 1000, OTHER: 2000, THIRD: 3000}, few)
        self.assertEqual(found.sentences(), [
            f"2 pairs: {ranking.CANNOT_TELL}",
            f"2 pairs, CPU: {ranking.CANNOT_TELL}",
        ])  # fmt: skip

    def test_one_alone_is_compared_with_itself(self):
        found = ranked({ONE: 1000})
        self.assertEqual(places(found), [(ONE, None)])
        self.assertIn(f"{ONE} against itself: 1.010", found.noise())

    def test_the_table_fits_any_width(self):
        found = ranked({ONE: 1000, OTHER: 2000, THIRD: 500})
        for columns in (21, 40, 60, 80, 200):
            for line in ranking.render(found, columns, FULL):
                self.assertLess(len(line), columns, line)
        self.assertEqual(ranking.render(found, 80, PLAIN)[:2], [
            " " * 56 + "per s CPU us  calls",
            f" 1. {OTHER} {'#' * 30}     2400   10.0   1.50",
        ])  # fmt: skip


class Turns(unittest.TestCase):
    """Time is made up here."""

    def total(self, contestant_count, overhead):
        """How long a race takes whose turns take so much more than they
        measure."""
        now = [0.0]
        blocks = racing.blocks_for(contestant_count)
        turns = contestant_count * blocks
        watch = racing.Watch(turns, racing.SECONDS, lambda: now[0])
        for _ in range(blocks):
            watch.begin_block()
            for _ in range(contestant_count):
                if not watch.begin_turn():
                    return now[0]
                now[0] += watch.measured + overhead
                watch.end_turn(ran=True)
        self.assertGreaterEqual(watch.measured, racing.TURN_SECONDS_MIN)
        return now[0]

    def test_fill_their_time_and_no_more(self):
        for contestant_count in range(2, 9):
            for overhead in (0.1, 0.25, 0.3):
                total = self.total(contestant_count, overhead)
                self.assertLess(total, racing.SECONDS + 0.5)
                self.assertGreater(total, racing.SECONDS - 2)

    def test_that_take_too_long_are_fewer(self):
        self.assertLess(self.total(8, 2.0), racing.SECONDS + 2.5)

    def test_there_are_enough_for_an_interval(self):
        for contestant_count in range(2, 30):
            blocks = racing.blocks_for(contestant_count)
            self.assertGreaterEqual(blocks, verdicts.BLOCKS_MIN)

    def test_nobody_may_be_left(self):
        watch = racing.Watch(3, 10, lambda: 0.0)
        watch.drop(3)
        watch.begin_block()
        self.assertEqual(watch.measured, 0)

    def test_those_of_who_is_out_are_shared(self):
        watch = racing.Watch(10, 10, lambda: 0.0)
        watch.begin_block()
        before = watch.measured
        watch.drop(5)
        watch.begin_block()
        self.assertAlmostEqual(watch.measured, before + 1)

    def test_one_that_hangs_is_given_up(self):
        with self.assertRaisesRegex(contestants.Failed, "more than"):
            with racing.at_most(0.01):
                time.sleep(60)
        self.assertEqual(signal.getitimer(signal.ITIMER_REAL)[0], 0)


class Arguments(unittest.TestCase):
    def refused(self, *arguments):
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            try:
                code = racing.main(arguments)
            except SystemExit as error:
                code = error.code
        self.assertEqual(code, 2, said.getvalue())
        return said.getvalue()

    def test_wrong_ones_are_named(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            (path / "here-one-server").touch(0o755)
            with (
                mock.patch.object(contestants, "BIN", path),
                mock.patch.dict(os.environ, SERVERS="here-one"),
            ):
                for arguments, said in (
                    (["nobody"], "no model nobody; there are here-one"),
                    (["--scenario", "S99"], "no scenario S99"),
                    (["--scenario", "S10"], "S10 is no race"),
                    (["--scenario", "S3"], "S3 is no race"),
                    (["--seconds", "0"], "argument --seconds"),
                    (["--client", "nobody"], "no load"),
                ):
                    with self.subTest(said):
                        self.assertIn(said, self.refused(*arguments))


class MadeUp(unittest.TestCase):
    """Servers and a load that are made up: what becomes of who does wrong."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.write("load", test_compare.LOAD)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)

    def race(self, *names, code=0):
        for name in names:
            if not (self.folder / f"{name}-server").exists():
                self.write(f"{name}-server", test_compare.SERVER)
        done = subprocess.run(
            [RACE, "--seed", "1", "--seconds", "40", *names],
            env=os.environ | {"BIN": str(self.folder),
                              "SERVERS": " ".join(names)},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        self.assertEqual(done.returncode, code, done)
        self.assertNotIn(ESCAPE, done.stdout)
        return done.stdout

    def test_the_faster_one_wins(self):
        text = self.race("here-one", "twice-one")
        self.assertIn("turn 1 of 30: ", text)
        self.assertRegex(text, r"\n 1\. twice-one .* 2000 .* 3\.00\n 2\. here-")
        self.assertIn("twice-one is faster than here-one: 2.000 [2.", text)

    def test_who_does_wrong_is_out_and_the_others_go_on(self):
        self.write("dead-one-server", "#!/bin/sh\necho gone >&2\nexit 3\n")
        text = self.race(
            "here-one", "wrong-one", "refused-one", "dead-one", "held-one",
            code=1,
        )  # fmt: skip
        self.assertEqual(text.count("CONVICTED: another's bytes"), 1, text)
        self.assertIn("refused-one is skipped: no such model here", text)
        self.assertRegex(text, r"dead-one: 1 of 1 turns do not count, dead-one")
        self.assertRegex(text, r"held-one 1000/s.*INVALID: held up")
        self.assertRegex(text, r"\n  - held-one .* ~1000 ")


SERVERS = (ONE, THIRD)
MISSING = [name for name in (f"{SERVERS[0]}-server", f"{SERVERS[1]}-server",
           "load") if not (contestants.BIN / name).exists()]  # fmt: skip


@unittest.skipIf(MISSING, f"not built: {', '.join(MISSING)}")
class Real(unittest.TestCase):
    def test_without_a_terminal_there_is_a_line_for_each_turn(self):
        done = subprocess.run(
            [RACE, "--seconds", "4", *SERVERS],
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(done.returncode, 0, done)
        self.assertNotIn(ESCAPE, done.stdout)
        turns = re.findall(r"^turn \d+ of \d+: (\S+)", done.stdout, re.M)
        self.assertGreaterEqual(len(turns), 2)
        for name in set(turns):
            self.assertRegex(done.stdout, rf"\n( 1\.| 2\.|  -) {name} ")
        self.assertIn(f"\n{ONE} against itself: ", done.stdout)

    def test_on_a_terminal_it_repaints_and_ctrl_c_gives_it_back(self):
        race = Watched([RACE, *SERVERS], columns=80, rows=24)
        self.addCleanup(race.end)
        settings = race.settings()
        race.wait_for("turn 2 of ")
        race.resize(columns=40, rows=6)
        race.wait_for("turn 3 of ")
        race.wait_for("turn 4 of ")
        race.type("\x1a")  # Ctrl-Z: nothing
        race.wait_for("turn 5 of ")
        while not (children := descendants(race.process.pid)):
            race.read()
        race.type("\x03")
        self.assertEqual(race.wait(), 128 + signal.SIGINT)
        left = [p for p in children if pathlib.Path(f"/proc/{p}").exists()]
        self.assertEqual(left, [])
        self.assertEqual(race.settings(), settings)
        text = race.text
        self.assertEqual(text.count(lanes.ENTER), 1)
        self.assertEqual(text.count(lanes.LEAVE), 1)
        screen, after = text.split(lanes.LEAVE)
        self.assertNotIn(ESCAPE, after)
        self.assertIn("SIGINT: ranked is what was measured", after)
        self.assertIn(f"{ONE} against itself: ", after)
        frames = screen.split(lanes.HOME)[1:]
        self.fits(frames[0], 80, 24)
        self.fits(frames[-1], 40, 6)
        # The bar moves while a turn lasts.
        second = [f for f in frames if "turn 2 of " in f]
        self.assertGreater(len(set(second)), 2)

    def fits(self, frame, columns, rows):
        for code in (lanes.REST_OF_LINE, lanes.REST_OF_SCREEN):
            frame = frame.replace(code, "")
        lines = COLOURS.sub("", frame).replace("\r", "").split("\n")
        self.assertLessEqual(len(lines), rows)
        for line in lines:
            self.assertLess(len(line), columns, frame)


def descendants(pid):
    children = observe.children_of(pid)
    return children + [d for c in children for d in descendants(c)]


class Watched:
    """A program on a terminal of its own."""

    def __init__(self, command, columns, rows):
        self._master, terminal = pty.openpty()
        self.resize(columns, rows)
        self.process = subprocess.Popen(
            command,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=os.environ | {"TERM": "xterm", "LC_ALL": "C.UTF-8"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(terminal)
        self._bytes = b""

    @property
    def text(self):
        return self._bytes.decode(errors="replace")

    def resize(self, columns, rows):
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def settings(self):
        """What its keys do."""
        return termios.tcgetattr(self._master)

    def type(self, keys):
        os.write(self._master, keys.encode())

    def read(self):
        """Whether there may be more."""
        if not select.select([self._master], [], [], 60)[0]:
            raise TimeoutError(self.text[-2000:])
        try:
            got = os.read(self._master, 1 << 16)
        except OSError:  # EIO: nobody has the other end any more
            return False
        self._bytes += got
        return bool(got)

    def wait_for(self, said):
        while said not in self.text:
            if not self.read():
                raise AssertionError(f"no {said!r} in {self.text!r}")

    def wait(self):
        while self.read():
            pass
        return self.process.wait(60)

    def end(self):
        self.process.terminate()
        self.process.wait(60)
        os.close(self._master)


if __name__ == "__main__":
    unittest.main()
