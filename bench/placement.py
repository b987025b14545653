"""Which CPU is whose: the server's, the load's, and the harness's own.

A server can be found to be slow only if the load could have asked it for more.
So the load has twice as many CPUs as the server where they are there, and as
many threads that ask. What shares a core with the server works for nobody, but
for the harness where it has no other place.
"""

import dataclasses

LOAD_TO_SERVER = 2
TOO_FEW = "the load has no more CPUs than the server"
SHARED = "server and load share their CPUs"
IN_DOUBT = (
    ": where it is the load that limits, a rate is a lower bound (>=), and which "
    "of two servers that both reach it could do more cannot be known"
)


@dataclasses.dataclass(frozen=True)
class Cpus:
    """Each a frozenset, or None for whichever the kernel likes. `own` are those
    of the harness, which sleeps while the load measures, but for two looks."""

    server: frozenset | None = None
    load: frozenset | None = None
    own: frozenset | None = None
    load_threads: int = 1  # that ask

    def __str__(self):
        if self.server is None:
            return "server and load on any CPU"
        threads = f" ({self.load_threads} threads)"
        said = f"server on CPU {listed(self.server)}, load on "
        said += listed(self.load)
        said += threads if self.load_threads > 1 else ""
        return said + (f", harness on {listed(self.own)}" if self.own else "")

    @property
    def doubt(self):
        """What cannot be known of capacity here; "" if all can."""
        if not self.server:
            return SHARED + IN_DOUBT
        asking = min(self.load_threads, len(self.load))
        return "" if asking > len(self.server) else TOO_FEW + IN_DOUBT


def listed(cpus):
    return ", ".join(str(cpu) for cpu in sorted(cpus))


def place(allowed, siblings, server_threads=1, load_threads=None):
    """The Cpus, of those in `allowed`. `siblings(cpu)` are those of its core,
    itself among them; `load_threads` is None for as many as it takes."""
    if len(allowed) < 2:
        return Cpus(load_threads=load_threads or 1)
    by_core = spread(allowed, siblings)
    server = frozenset(by_core[: min(server_threads, len(allowed) // 2)])
    shared = frozenset().union(*map(siblings, server)) & allowed - server
    free = [cpu for cpu in by_core if cpu not in server | shared]
    # On one core alone the load has to take the other half of it.
    if not free:
        free, shared = sorted(shared), frozenset()
    threads = load_threads or LOAD_TO_SERVER * len(server)
    load = frozenset(free[:threads])
    return Cpus(
        server,
        load,
        frozenset(free[threads:][:1] or sorted(shared)[:1]) or None,
        load_threads or len(load),
    )


def spread(allowed, siblings):
    """One CPU of each core, then the second of each, and so on."""
    turn = {cpu: sorted(siblings(cpu) & allowed).index(cpu) for cpu in allowed}
    return sorted(allowed, key=lambda cpu: (turn[cpu], cpu))
