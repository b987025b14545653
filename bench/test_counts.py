"""bench/counts: the difference of two INFOs, what is held to the ideal, the
rows between the markers, and a server that ends meanwhile."""

import contextlib
import io
import json
import os
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.dont_write_bytecode = True
import contestants  # noqa: E402  (after the line that keeps the tree clean)
import counting  # noqa: E402
import load_run  # noqa: E402
import measure  # noqa: E402
import observe  # noqa: E402
import scenarios  # noqa: E402
import served  # noqa: E402
from contestants import Failed  # noqa: E402
from counting import BEGIN, END, Ideal  # noqa: E402

SERVER = "epoll-level"
ENDS_AFTER = 37
# Keeps as much of the contract as is asked of it, and ends in the middle.
MORTAL = f"""#!{sys.executable}
import socket, sys
if "--traits" in sys.argv:
    sys.exit(print("concurrent=1"))
fd = sys.argv[sys.argv.index("--listen-fd") + 1]
listener = socket.socket(fileno=int(fd))
listener.listen()
print("ready mortal", flush=True)
peer, left = listener.accept()[0], {ENDS_AFTER}
while left:
    asked = peer.recv(4096)
    left -= b"ECHO" in asked
    text = b"# Stats\\r\\ntotal_commands_processed:1\\r\\n"
    if b"ECHO" in asked:
        text = b"x" * 32
    peer.sendall(b"$%d\\r\\n%s\\r\\n" % (len(text), text))
"""


def info(commands, waits, own=0, ideal="ideal_"):
    """As a server tells it, after so many commands and waits."""
    return "\r\n".join([
        "# Stats", f"total_commands_processed:{commands}",
        "# Syscalls", f"syscall_epoll_wait:{waits}",
        f"syscall_recv:{commands}", f"syscall_send:{commands - 1}",
        f"{ideal}epoll_wait:1.00", "ideal_recv:1.00", "ideal_send:1.00",
        "# Model", f"empty_recv:{own}", "# Keyspace", "db0:5", "",
    ])  # fmt: skip


def look(text, switches, threads=2, processes=1):
    return {"info": text, "switches": switches, "threads": threads,
            "processes": processes}  # fmt: skip


def cell(connections=1, requests=99, waits=99 + 1, own=0, name=SERVER):
    before = look(info(5, 8), {1: (10, 0), 2: (1, 1)})
    after = look(
        info(5 + requests + 1, 8 + waits, own), {1: (60, 0), 2: (51, 11)}
    )
    return counting.cell(name, connections, requests, before, after)


def quietly(call, *arguments):
    """What it returns, and what it printed. It goes to the load's CPU for good;
    the next test does not."""
    said, cpus = io.StringIO(), os.sched_getaffinity(0)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            return call(*arguments), said.getvalue()
    finally:
        os.sched_setaffinity(0, cpus)


class Differences(unittest.TestCase):
    def test_are_what_lies_between_two_infos(self):
        found = counting.between(info(5, 8, 1), info(105, 58, 11))
        self.assertEqual(found["commands"], 100)
        self.assertEqual(
            found["calls"], {"epoll_wait": 50, "recv": 100, "send": 100}
        )
        self.assertEqual(found["model"], {"empty_recv": 10})

    def test_a_call_that_is_new_counts_from_nothing(self):
        found = counting.between("# Syscalls\n", "# Syscalls\nsyscall_recv:3\n")
        self.assertEqual(found["calls"], {"recv": 3})

    def test_calls_of_a_library_are_calls(self):
        text = "# Syscalls\nsyscall_read:3\nlibrary_aio_read:2\nunseen_read:1\n"
        found = counting.between("# Syscalls\n", text)
        self.assertEqual(found["calls"], {"read": 3, "aio_read": 2})

    def test_a_cell_is_per_request(self):
        found = cell(requests=99, waits=50, own=200)
        self.assertEqual(
            found["calls"], {"epoll_wait": 0.5, "recv": 1.0, "send": 1.0}
        )
        self.assertEqual(found["model"], {"empty_recv": 2.0})
        self.assertEqual(found["switches"],
                         {"voluntary": 1.0, "involuntary": 0.1})  # fmt: skip
        self.assertEqual((found["wait"], found["requests_per_wait"]),
                         ("epoll_wait", 2.0))  # fmt: skip

    def test_who_counts_other_commands_than_were_made_is_not_believed(self):
        """As of a process that knows only what it has done itself."""
        before, after = look(info(5, 8), {}), look(info(55, 58), {})
        with self.assertRaisesRegex(Failed, "50 commands, not 100"):
            counting.cell(SERVER, 10, 99, before, after)

    def test_of_tasks_that_have_ended_the_switches_are_not_known(self):
        before = look(info(5, 8), {1: (10, 0), 2: (1, 1)})
        after = look(info(105, 108), {1: (20, 0)})
        found = counting.cell(SERVER, 1, 99, before, after)
        self.assertIsNone(found["switches"])
        self.assertIn(" - ", " ".join(counting.lines(found)))


class Ideals(unittest.TestCase):
    def test_are_told_in_the_order_of_the_model(self):
        ideal = Ideal.parse(info(1, 1, ideal="least_"))
        self.assertEqual(list(ideal.calls), ["epoll_wait", "recv", "send"])
        self.assertEqual(ideal.least, {"epoll_wait"})
        self.assertEqual(ideal.total, 3)

    def test_what_is_exact_may_stray_by_a_fiftieth(self):
        ideal = Ideal({"recv": 1.0, "send": 1.0})
        self.assertEqual(ideal.misses({"recv": 1.019, "send": 0.981}), [])
        self.assertEqual(ideal.misses({"recv": 1.03, "send": 1.0}),
                         ["recv 1.030, not 1"])  # fmt: skip
        self.assertEqual(ideal.misses({"send": 1.0}), ["recv 0.000, not 1"])

    def test_what_is_a_least_number_may_be_any_more(self):
        ideal = Ideal({"recv": 1.0}, frozenset({"recv"}))
        self.assertEqual(ideal.misses({"recv": 900.0}), [])
        self.assertEqual(ideal.misses({"recv": 0.5}),
                         ["recv 0.500, not at least 1"])  # fmt: skip

    def test_a_call_that_none_names_is_one_too_many(self):
        self.assertEqual(Ideal({"recv": 1.0}).misses({"recv": 1, "poll": 1}),
                         ["poll 1.000, not 0"])  # fmt: skip

    def test_who_says_none_misses_none(self):
        self.assertEqual(Ideal().misses({"recv": 7}), [])

    def test_hold_with_one_connection(self):
        self.assertEqual(counting.misses(cell(1)), [])
        self.assertEqual(len(counting.misses(cell(1, waits=50))), 1)
        self.assertEqual(counting.misses(cell(10, waits=50)), [])


class Rows(unittest.TestCase):
    def test_have_one_column_for_each_heading(self):
        cells = [cell(n, waits=w) for n, w in ((1, 100), (10, 50), (100, 20))]
        for text in (counting.table(cells), counting.short_table(cells)):
            columns = {row.count("|") for row in text.splitlines()}
            self.assertEqual(len(columns), 1, text)
        self.assertIn("| `level` |", counting.table(cells))
        self.assertIn("| 1 / 10 / 100 | 3.00 / 2.50 / 2.20 |",
                      counting.table(cells))  # fmt: skip
        self.assertIn("| `epoll-level` | 3.00 | 3 | 2.20 |",
                      counting.short_table(cells))  # fmt: skip

    def test_who_serves_fewer_says_how_many(self):
        cells = [cell(1), cell(100), cell(1, name="blocking-iterative")]
        self.assertIn("| `blocking-iterative` | 3.00 | 3 | 3.00 (1) |",
                      counting.short_table(cells))  # fmt: skip
        self.assertTrue(cells[-1]["all_it_serves"])
        self.assertIn("1*", next(counting.lines(cells[-1])))

    def test_processes_are_told_where_they_are_several(self):
        found = cell() | {"threads": 102, "processes": 101}
        self.assertIn("| 102 in 101 |", counting.row([found]))

    def test_counters_of_its_own_that_are_zero_are_left_out(self):
        self.assertIn("| – |", counting.row([cell(own=0)]))
        self.assertIn("empty_recv 2.00 |", counting.row([cell(own=200)]))

    def test_fit_a_terminal(self):
        found = cell(own=12345) | {"threads": 102, "processes": 101}
        found["calls"] = {f"a_long_name_of_a_call_{i}": 9.0 for i in range(9)}
        for line in counting.lines(found):
            self.assertLessEqual(len(line), counting.WIDTH, line)

    def test_no_more_connections_than_it_serves(self):
        self.assertEqual(counting.sizes_for("blocking-iterative"), [1])
        self.assertEqual(counting.sizes_for(SERVER), [1, 10, 100])


class Documents(unittest.TestCase):
    OLD = f"before\n{BEGIN}\nold\n{END}\nbehind\n"

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        (self.root / "docs/results").mkdir(parents=True)
        (self.root / "epoll").mkdir()
        self.paths = [self.root / "README.md", self.root / "epoll/README.md"]
        for path in self.paths:
            path.write_text(self.OLD, encoding="utf-8")
        self.results = self.root / "docs/results/counts.jsonl"

    def write(self):
        skipped = [{"server": "iouring-multishot", "skipped": "forbidden"}]
        return counting.write([cell()], skipped, {"commit": "x"}, self.root)

    def test_rows_take_the_place_of_others(self):
        self.assertEqual(self.write(), [*self.paths, self.results])
        for path in self.paths:
            text = path.read_text("utf-8")
            self.assertTrue(text.startswith(f"before\n{BEGIN}\n| "), text)
            self.assertTrue(text.endswith(f" |\n{END}\nbehind\n"), text)
            self.assertNotIn("old", text)
        lines = self.results.read_text("utf-8").splitlines()
        head, found, skipped = map(json.loads, lines)
        self.assertEqual((head["commit"], found["server"], found["threads"],
                          skipped["skipped"]),
                         ("x", SERVER, 2, "forbidden"))  # fmt: skip

    def test_without_markers_nothing_is_written_at_all(self):
        self.paths[1].write_text("nothing of that kind\n", encoding="utf-8")
        with self.assertRaisesRegex(ValueError, "counts: begin"):
            self.write()
        self.assertEqual(self.paths[0].read_text("utf-8"), self.OLD)
        self.assertFalse(self.results.exists())

    def test_every_model_that_can_be_built_has_them(self):
        counting.require_markers(contestants.server_names())

    def test_without_them_nothing_is_measured(self):
        self.paths[1].write_text("nothing of that kind\n", encoding="utf-8")
        with self.assertRaisesRegex(ValueError, "epoll/README.md has no lines"):
            counting.require_markers([SERVER], self.root)


class Servers(unittest.TestCase):
    def test_one_takes_what_it_says_is_ideal(self):
        found = counting.count(SERVER, 1, 500)
        self.assertEqual(counting.misses(found), [])
        self.assertEqual(found["requests"], 500)

    def test_of_some_alone_nothing_is_written(self):
        with mock.patch.object(counting, "write") as write:
            code, said = quietly(
                counting.main, ["--servers", SERVER, "--requests", "200"]
            )
        self.assertEqual(code, 0, said)
        self.assertIn("epoll_wait 1.00, recv 1.00, send 1.00", said)
        write.assert_not_called()

    def test_one_that_ends_in_the_middle_fails_and_nothing_is_written(self):
        with (
            tempfile.TemporaryDirectory() as folder,
            mock.patch.object(counting, "write") as write,
            mock.patch.object(counting, "require_markers"),
        ):
            program = pathlib.Path(folder, "mortal")
            program.write_text(MORTAL, encoding="utf-8")
            program.chmod(0o755)
            with mock.patch.object(
                contestants, "server_names", lambda: [str(program), SERVER]
            ):
                code, said = quietly(counting.main, ["--requests", "100"])
        self.assertEqual(code, 1)
        self.assertRegex(said, "FAILED .*mortal with 1 connection: after "
                         f"{ENDS_AFTER - 1} requests: ")  # fmt: skip
        self.assertIn("nothing was written", said)
        self.assertIn("epoll_wait 1.00", said)  # the others are counted
        write.assert_not_called()

    def test_one_that_misses_its_ideal_fails_and_nothing_is_written(self):
        with (
            mock.patch.object(counting, "write") as write,
            mock.patch.object(
                Ideal, "misses", lambda *_: ["recv 2.000, not 1"]
            ),
            mock.patch.object(contestants, "server_names", lambda: [SERVER]),
        ):
            code, said = quietly(counting.main, ["--requests", "100"])
        self.assertEqual(code, 1)
        self.assertIn("with 1 connection: MISSES its ideal: recv 2.0", said)
        write.assert_not_called()


FORKS = "blocking-fork"


@unittest.skipIf(
    contestants.why_missing(FORKS), contestants.why_missing(FORKS)
)
class Forks(unittest.TestCase):
    """Who has a process for each peer is asked through one of them."""

    PEERS, ROUNDS = 3, 50

    def test_all_of_them_count(self):
        with contextlib.ExitStack() as end:
            scenario = scenarios.find("S2")
            server = end.enter_context(served.serving(FORKS, scenario, None))
            running = server.running
            peers = [running.connect() for _ in range(self.PEERS)]
            for peer in peers:
                end.enter_context(peer)
                running.echo(peer, "first")
            watcher = measure.Watcher(server, 60)
            watcher(load_run.LINE_MEASURING)
            for _ in range(self.ROUNDS):
                for peer in peers:
                    running.echo(peer, "again")
            watcher(load_run.LINE_MEASURED)
            alone = observe.living_cpu_seconds(running.pid)
        found = watcher.found(1000)
        # With the first INFO itself.
        self.assertEqual(found["commands"], self.PEERS * self.ROUNDS + 1)
        self.assertGreaterEqual(found["threads"], 1 + self.PEERS)
        self.assertGreaterEqual(found["calls_per_request"]["recv"], 1)
        # The first process has accepted them, and serves nobody.
        self.assertGreater(watcher.later["server"], alone)


if __name__ == "__main__":
    unittest.main()
