"""Which hosts take part, and how a program is started on one of them.

hosts.txt has a line for each of them, its fields between blanks:

  server 192.168.1.10:7000 ssh student@lab10
  load 192.168.1.11
  load 192.168.1.12 ip netns exec bench-2
  network 192.168.1.0/24

What it is; its address, by which the others reach it, of the server perhaps
with the port that it takes (otherwise any); and what to put in front of a
command for it to run there: by default ssh and the address, `here` for nothing.
`network`, if it stands there, is the one through which the loads talk.
"""

import collections
import dataclasses
import ipaddress
import pathlib
import re
import shlex

SERVER, LOAD, NETWORK = "server", "load", "network"
HERE = "here"
# Who would be asked for a password waits for ever.
SSH_OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10")
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


@dataclasses.dataclass(frozen=True)
class Host:
    address: str
    launch: tuple  # what stands in front of a command
    port: int = 0  # of the server; 0: any

    def command(self, words):
        """The words of a command that runs these there."""
        words = [str(word) for word in words]
        if self.launch == (HERE,):
            return words
        if self._is_ssh:
            return self.shell_command(shlex.join(words))
        return [*self._launch(), *words]

    def shell_command(self, line):
        """The same for the line of a shell, as which ssh takes all that it
        gets."""
        if self._is_ssh:
            return [*self._launch(), line]
        return self.command(["sh", "-c", line])

    @property
    def _is_ssh(self):
        return pathlib.PurePath(self.launch[0]).name == "ssh"

    def _launch(self):
        first, *rest = self.launch
        return [first, *(SSH_OPTIONS if self._is_ssh else ()), *rest]


@dataclasses.dataclass(frozen=True)
class Hosts:
    server: Host
    loads: tuple
    network: str | None = None

    def everybody(self):
        """Each once, the server first."""
        return tuple(dict.fromkeys(
            dataclasses.replace(host, port=0)
            for host in (self.server, *self.loads)
        ))  # fmt: skip

    def find(self, address):
        """The load's host of that address. Raises KeyError."""
        found = {host.address: host for host in self.loads}
        return found[address]

    def slots(self, count):
        """As mpirun's --host wants it, for so many loads: a:1,b:2."""
        loads = [host.address for host in self.loads[:count]]
        ranks = collections.Counter(loads)
        return ",".join(f"{address}:{n}" for address, n in ranks.items())


class Wrong(ValueError):
    """What a line should not be."""


def read(path):
    """The lines that count of a file, as they go into a plan. Raises
    ValueError, with the file and the line's number, and OSError."""
    lines = pathlib.Path(path).read_text("utf-8").splitlines()
    parse(lines, path)
    return tuple(text for line in lines if (text := without_comment(line)))


def parse(lines, name="hosts"):
    """Hosts. Raises ValueError."""
    servers, loads, networks = [], [], []
    for number, line in enumerate(lines, 1):
        try:
            words = shlex.split(without_comment(line))
            if words:
                sort_in(words, servers, loads, networks)
        except ValueError as error:
            raise ValueError(f"{name}:{number}: {error}") from None
    if not servers or not loads:
        missing = LOAD if servers else SERVER
        raise ValueError(f"{name}: there is no line '{missing} ADDRESS'")
    return Hosts(servers[0], tuple(loads), *networks)


def without_comment(line):
    return line.partition("#")[0].strip()


def sort_in(words, servers, loads, networks):
    role, *rest = words
    if role not in (SERVER, LOAD, NETWORK):
        raise Wrong(f"'{role}' is none of {SERVER}, {LOAD}, {NETWORK}")
    if not rest:
        raise Wrong(f"{role} wants an address")
    if role == NETWORK:
        only_one(networks, role)
        networks.append(parse_network(rest))
    elif role == SERVER:
        only_one(servers, role)
        servers.append(parse_host(*rest, may_have_port=True))
    else:
        loads.append(parse_host(*rest, may_have_port=False))
        same_way(loads)


def only_one(there, role):
    if there:
        raise Wrong(f"there is a {role} already")


def same_way(loads):
    """A host is reached in one way only, however many loads run on it."""
    last = loads[-1]
    if any(h.address == last.address and h != last for h in loads):
        raise Wrong(f"{last.address} is launched in another way above")


def parse_network(words):
    if len(words) > 1:
        raise Wrong(f"'{words[1]}' behind the network")
    try:
        return str(ipaddress.IPv4Network(words[0]))
    except ValueError as error:
        raise Wrong(f"no network: {error}") from None


def parse_host(place, *launch, may_have_port):
    address, colon, port = place.partition(":")
    if not is_number(address):
        if not NAME.fullmatch(address) or re.fullmatch("[0-9.]+", address):
            raise Wrong(f"'{address}' is no IPv4 address and no name of a host")
        # A host's own name often means 127.0.1.1 to itself.
        if may_have_port:
            raise Wrong(f"'{address}': the server wants an IPv4 address")
    if colon and not may_have_port:
        raise Wrong(f"{place}: only the server has a port")
    if colon and not (port.isdecimal() and 0 < int(port) < 1 << 16):
        raise Wrong(f"'{port}' is no port")
    if HERE in launch and len(launch) > 1:
        raise Wrong(f"nothing else stands beside '{HERE}'")
    return Host(address, launch or ("ssh", address), int(port or 0))


def is_number(address):
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        return False
    return True
