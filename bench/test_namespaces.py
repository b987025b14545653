"""Three network namespaces in the place of three hosts, where we may make
some."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import comparison  # noqa: E402  (after the line that keeps the tree clean)
import contestants  # noqa: E402
import lab  # noqa: E402
import load_run  # noqa: E402
import measure  # noqa: E402
import scenarios  # noqa: E402
from plan import Cell, Plan  # noqa: E402
from test_hosts import GIVE_UP, SERVER, ask, wait_for  # noqa: E402
from test_hosts import why_not_together  # noqa: E402

COMPARE = pathlib.Path(__file__).resolve().parent / "compare"


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True, capture_output=True)


def why_no_namespaces():
    if why_not_together():
        return why_not_together()
    if os.geteuid() != 0 or not shutil.which("ip"):
        return "only root with iproute2 makes network namespaces"
    name = f"try{os.getpid()}"
    try:
        ip("netns", "add", name)
        ip("link", "add", name, "type", "bridge")
        ip("link", "del", name)
    except subprocess.CalledProcessError as error:
        return f"no network namespaces: {error.stderr.decode().strip()}"
    finally:
        subprocess.run(["ip", "netns", "del", name], capture_output=True)
    return ""



class Namespaces:
    """Three hosts and a network, which are gone when the `with` block is
    left; `names` are the namespaces, `lines` those of a hosts.txt."""

    def __init__(self):
        number = os.getpid()
        self.bridge = f"br{number}"
        self.names = [f"bench{number}-{i}" for i in range(3)]
        net = f"10.{200 + number % 50}.{number // 50 % 256}"
        self.addresses = [f"{net}.{i + 1}" for i in range(3)]
        self._here = f"{net}.254/24"
        roles = ("server", "load", "load")
        self.lines = [
            f"{role} {address} ip netns exec {name}"
            for role, address, name in zip(roles, self.addresses, self.names)
        ] + [f"network {net}.0/24"]

    def __enter__(self):
        try:
            ip("link", "add", self.bridge, "type", "bridge")
            ip("addr", "add", self._here, "dev", self.bridge)
            ip("link", "set", self.bridge, "up")
            for number, name in enumerate(self.names):
                self._add(name, f"{self.bridge}-{number}", number)
        except subprocess.CalledProcessError:
            self.__exit__()
            raise
        return self

    def _add(self, name, device, number):
        ip("netns", "add", name)
        ip("link", "add", device, "type", "veth",
           "peer", "name", "eth0", "netns", name)  # fmt: skip
        ip("link", "set", device, "master", self.bridge, "up")
        ip("-n", name, "addr", "add", f"{self.addresses[number]}/24",
           "dev", "eth0")  # fmt: skip
        for each in ("eth0", "lo"):
            ip("-n", name, "link", "set", each, "up")

    def __exit__(self, *_):
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        subprocess.run(["ip", "link", "del", self.bridge], capture_output=True)

    def processes(self, names=None):
        found = []
        for name in names or self.names:
            done = subprocess.run(
                ["ip", "netns", "pids", name], capture_output=True, text=True
            )
            found += map(int, done.stdout.split())
        return found

    def loads(self):
        """Processes of the load, by host."""
        return [
            [pid for pid in self.processes([name])
             if b"--duration" in command_of(pid)]
            for name in self.names[1:]
        ]  # fmt: skip


def command_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""  # it has just ended


def setUpModule():
    if reason := why_no_namespaces():
        raise unittest.SkipTest(reason)


class ThreeHosts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.net = Namespaces()
        cls.net.__enter__()
        cls.addClassCleanup(cls.net.__exit__)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def compare(self, *arguments, lines=None):
        path = self.folder / "hosts.txt"
        path.write_text("\n".join(lines or self.net.lines))
        process = subprocess.Popen(
            [COMPARE, "--hosts", path, "--models", SERVER, "--scenario", "S2",
             "--client", SERVER, "--blocks", "1", "--results",
             self.folder / "results", *map(str, arguments)],
            env=os.environ | {"SERVERS": SERVER},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )  # fmt: skip
        self.addCleanup(process.stdout.close)
        self.addCleanup(load_run.end, process)
        return process

    def results(self):
        lines = (self.folder / "results").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def measure(self, *what):
        """mpirun dies now and then while it starts: then once more."""
        try:
            return measure.measure(*what)
        except contestants.Failed as failed:
            if "ORTE was unable" not in str(failed):
                raise
            return measure.measure(*what)

    def test_measure_a_cell(self):
        there = lab.Lab(self.net.lines, pinned=True)
        load = lab.load_program(SERVER)
        there.look_around(load, [contestants.program_of(SERVER)])
        self.assertEqual(
            sorted(there.describe()["machines"]), self.net.addresses
        )
        plan = Plan((SERVER,), ("S2",), 1, 0.5, 7, hosts=self.net.lines)
        cell = Cell(0, 0, "S2", plan.reference)
        fields = self.measure(cell, plan, there, load)
        self.assertEqual(fields["errors"], 0, fields["reason"])
        self.assertEqual(
            [rank["connections"] for rank in fields["load"]["ranks"]],
            [32, 32],
        )
        address = self.net.addresses[0]
        self.assertEqual(
            fields["load"]["target"].partition(":")[0], address
        )
        # Counted on the server's host; a request is a recv and a send.
        self.assertAlmostEqual(fields["calls_per_request"]["send"], 1, 1)
        self.assertGreater(fields["server_cpu_us"], 0)
        self.assertGreater(fields["peak_bytes"], 0)
        wait_for(lambda: not self.net.processes())

    def test_measure_lookups_in_a_ring(self):
        lines = list(self.net.lines)
        lines[0] = lines[0].replace(self.net.addresses[0],
                                    f"{self.net.addresses[0]}:7000")  # fmt: skip
        there = lab.Lab(lines, pinned=False)
        address = self.net.addresses[0]
        with there.serving(SERVER, scenarios.find("S8")):
            nodes = ask(address, 7000, "CLUSTER", "NODES")
        for port in range(7000, 7008):  # which a firewall has to let through
            self.assertEqual(nodes.count(f" {address}:{port}@"), 1, nodes)
        plan = Plan((SERVER,), ("S8",), 1, 0.5, 7, hosts=lines)
        cell = Cell(0, 0, "S8", plan.reference)
        fields = measure.measure(cell, plan, there, lab.load_program(SERVER))
        self.assertEqual(fields["errors"], 0, fields["reason"])
        self.assertEqual(fields["load"]["target"], f"{address}:7000")
        # They ask each other.
        self.assertGreater(fields["commands"], fields["load"]["requests"])

    def test_of_which_one_loads_a_single_connection(self):
        there = lab.Lab(self.net.lines, pinned=False)
        scenario = scenarios.find("S1")
        with there.serving(SERVER, scenario) as served:
            command = [lab.load_program(SERVER), served.address,
                       *scenario.arguments(0.1, 7)]  # fmt: skip
            found = there.run_load(command, scenario, 0.1, None)
        self.assertEqual(found["connections"], 1)
        self.assertNotIn("ranks", found)

    def test_are_left_without_a_process_by_ctrl_c(self):
        process = self.compare("--seconds", GIVE_UP)
        wait_for(lambda: all(self.net.loads()))
        # A terminal tells all in the foreground.
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=GIVE_UP / 2)
        self.assertEqual(process.returncode, 128 + signal.SIGINT, said)
        self.assertEqual(self.net.processes(), [])
        self.assertEqual(
            self.results()[0]["plan"]["hosts"], self.net.lines
        )

    def test_end_a_cell_if_a_load_dies_and_all_if_compare_does(self):
        process = self.compare("--seconds", GIVE_UP)
        wait_for(lambda: all(self.net.loads()))
        for pid in self.net.loads()[1]:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: len(self.results()) > 1)
        self.assertIn("signal 9", self.results()[1]["failed"])
        wait_for(lambda: all(self.net.loads()))  # of the next cell
        process.kill()
        wait_for(lambda: not self.net.processes())

    def test_that_cannot_be_reached_are_named_before_anything_is_done(self):
        lines = [*self.net.lines[:2], "load 10.0.0.9 ip netns exec no-such"]
        process = self.compare(lines=lines)
        said, _ = process.communicate(timeout=GIVE_UP / 2)
        self.assertEqual(process.returncode, comparison.WRONG_ARGUMENTS)
        self.assertIn("10.0.0.9: Cannot open network namespace", said)
        self.assertFalse((self.folder / "results").exists())


if __name__ == "__main__":
    unittest.main()
