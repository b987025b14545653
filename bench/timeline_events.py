"""What the traces of a client and a server tell: threads, calls, requests.

Each program writes its own calls with --trace, in the trace-event format, on
the monotonic clock that all processes of a machine share. There is one
connection and one request at a time, so a request needs no number of its own:
the bytes that go out on one side come in on the other, in the same order, and
each time the direction turns a request or an answer has ended.
"""

import bisect
import dataclasses
import json
import statistics

from contestants import Failed

SENDS = {"send", "sendto", "sendmsg", "write", "writev", "aio_write"}
RECEIVES = {"recv", "recvfrom", "recvmsg", "read", "readv", "aio_read"}
OPENS = {"accept", "accept4", "connect"}
EVENTS_MAX = 65_536  # of a thread: what came before is not in the file
CLIENT, SERVER = "client", "server"
RUNS = "runs"  # no call, but all that the scheduler tells of a thread


class TooLong(Failed):
    """More has happened than a trace has room for."""


@dataclasses.dataclass
class Call:
    """A system call of a thread, in microseconds. `asleep` is how much of it
    the thread was off the CPU, `asleep_before` how much since the call before
    it, in calls that nobody counts; None: nobody has looked."""

    name: str
    begin: float
    end: float
    result: int = 0
    fd: int | None = None
    asleep: float | None = 0
    asleep_before: float | None = 0

    @property
    def took(self):
        return self.end - self.begin

    def __str__(self):
        on = "" if self.fd is None else self.fd
        return f"{self.name}({on}) = {self.result}"


@dataclasses.dataclass
class Asked:
    """A request that the kernel was left with. `results` are (time, result),
    more than one where it stays; `end` is None as long as it does."""

    name: str
    begin: float
    fd: int | None
    results: list = dataclasses.field(default_factory=list)
    end: float | None = None


@dataclasses.dataclass
class Thread:
    role: str
    pid: int
    tid: int
    name: str = ""
    calls: list = dataclasses.field(default_factory=list)
    asked: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Transfer:
    """Bytes that one side has sent or received: by a call, or by a request to
    the kernel, which took from `begin` to `end`."""

    thread: Thread
    name: str
    begin: float
    end: float
    size: int
    outward: bool


@dataclasses.dataclass
class Request:
    """From the client's send to its having the answer. It is `known` if it is
    known of all threads whether they slept, until the next one begins."""

    number: int
    client_out: list
    server_in: list
    server_out: list
    client_in: list
    known: bool = True

    @property
    def begin(self):
        return self.client_out[0].begin

    @property
    def end(self):
        return self.client_in[-1].end

    @property
    def took(self):
        return self.end - self.begin

    @property
    def transfers(self):
        return [
            *self.client_out, *self.server_in, *self.server_out, *self.client_in
        ]  # fmt: skip


def read(path, role):
    """A trace's events and its threads. Raises Failed if it is not whole."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        events = json.loads(text)["traceEvents"]
    except OSError as error:
        raise Failed(f"the {role} left no trace: {error}") from None
    except (ValueError, KeyError, TypeError):
        why = "is cut off: is the disk full?"
        if not text:
            why = "is empty: it was killed before its end"
        raise Failed(f"the {role}'s trace {path} {why}") from None
    return events, threads_of(events, role)


def threads_of(events, role):
    """In the order in which the system made them, as far as it tells."""
    threads, open_requests = {}, {}
    for event in events:
        if event["ph"] == "M" and event["name"] != "thread_name":
            continue
        tid = event["tid"]
        thread = threads.setdefault(tid, Thread(role, event["pid"], tid))
        fields = event.get("args", {})
        if event["ph"] == "M":
            thread.name = fields["name"]
        elif event["ph"] == "X":
            thread.calls.append(read_call(event))
        elif event["ph"] == "b":
            asked = Asked(event["name"], event["ts"], fields["fd"])
            open_requests[event["id"]] = asked
            thread.asked.append(asked)
        elif event["ph"] in "ne":
            asked = open_requests[event["id"]]
            asked.results.append((event["ts"], fields["result"]))
            if event["ph"] == "e":
                asked.end = event["ts"]
    for thread in threads.values():
        thread.calls.sort(key=lambda call: call.begin)
    ordered = sorted(threads.values(), key=lambda thread: thread.tid)
    return tell_apart(ordered)


def read_call(event):
    fields = event["args"]
    return Call(
        event["name"],
        event["ts"],
        event["ts"] + event["dur"],
        fields["result"],
        fields.get("fd"),
        fields.get("asleep_us", 0),
        fields.get("asleep_before_us", 0),
    )


def tell_apart(threads):
    """A thread has its maker's name until it gets one of its own."""
    seen = {}
    for thread in threads:
        count = seen[thread.name] = seen.get(thread.name, 0) + 1
        if count > 1:
            thread.name += f" #{count}"
    return threads


def count_calls(threads):
    """{name: how many}, as the program's own counters have it."""
    counts = {}
    for thread in threads:
        for call in thread.calls:
            counts[call.name] = counts.get(call.name, 0) + 1
    return counts


# ---- Requests ----------------------------------------------------------------


def socket_of(threads, role):
    """The descriptor of the one connection: what accept(2) returned, or what
    connect(2) was called on."""
    found = []
    for thread in threads:
        for call in thread.calls:
            if call.name in OPENS:
                found.append(call.fd if role == CLIENT else call.result)
        for asked in thread.asked:
            if asked.name in OPENS and role == CLIENT:
                found.append(asked.fd)
            elif asked.name in OPENS:
                found += [result for _, result in asked.results]
    found = {fd for fd in found if fd >= 0}
    # It may be only the first events that are not there, or those of a thread
    # that notes more than its calls.
    full = max((len(t.calls) for t in threads), default=0)
    if full >= EVENTS_MAX or (not found and full >= EVENTS_MAX // 2):
        raise TooLong(f"the {role}'s trace is too long to have its beginning")
    if len(found) != 1:
        raise Failed(f"the {role} has {len(found)} connections in its trace")
    return found.pop()


def transfers_of(threads, fd):
    """All that moved bytes over this descriptor, in the order in which they
    followed from each other: a receive by its end, for it may have been asked
    for long before; a send by its beginning, for the other side may have
    answered before its end is seen."""
    found = []
    for thread in threads:
        for name, begin, end, result, on in done_by(thread):
            if on == fd and result > 0 and name in SENDS | RECEIVES:
                outward = name in SENDS
                found.append(
                    Transfer(thread, name, begin, end, result, outward)
                )
    return sorted(found, key=lambda t: t.begin if t.outward else t.end)


def done_by(thread):
    for call in thread.calls:
        yield call.name, call.begin, call.end, call.result, call.fd
    for asked in thread.asked:
        begin = asked.begin
        for end, result in asked.results:
            yield asked.name, begin, end, result, asked.fd
            begin = end


def turns_of(transfers):
    """Runs of the same direction."""
    turns = []
    for transfer in transfers:
        if not turns or turns[-1][0].outward != transfer.outward:
            turns.append([])
        turns[-1].append(transfer)
    return turns


def size_of(turn):
    return sum(transfer.size for transfer in turn)


def requests_of(client, server):
    """All requests that both sides tell of. Raises Failed where the two do not
    tell of the same bytes."""
    asks = turns_of(transfers_of(client, socket_of(client, CLIENT)))
    answers = turns_of(transfers_of(server, socket_of(server, SERVER)))
    requests = []
    for number, (out, into, back, home) in enumerate(
        zip(asks[::2], answers[::2], answers[1::2], asks[1::2])
    ):
        sizes = [size_of(turn) for turn in (out, into, back, home)]
        if sizes[0] != sizes[1] or sizes[2] != sizes[3]:
            raise Failed(
                f"request {number}: {sizes[0]} bytes were sent and {sizes[1]} "
                f"received, {sizes[2]} answered and {sizes[3]} received"
            )
        requests.append(Request(number + 1, out, into, back, home))
    for thread in [*client, *server]:
        mark_unknown(requests, thread)
    return requests


def mark_unknown(requests, thread):
    """Those during which nobody has looked whether this thread slept."""
    begins = [request.begin for request in requests]
    for before, call in zip([None, *thread.calls], thread.calls):
        begin = call.begin
        if before and call.asleep_before is None:
            begin = before.end
        elif call.asleep is not None:
            continue
        first = max(bisect.bisect(begins, begin) - 1, 0)
        for request in requests[first : bisect.bisect(begins, call.end)]:
            request.known = False


def median_us(requests):
    return statistics.median(request.took for request in requests)


def typical(requests, count):
    """So many in a row, which are nearest to the median: known ones, nearest to
    that of their like (to look takes time), if there are such. The first ones
    are left out: caches are cold, and memory is touched for the first time."""
    if len(requests) < 4 * count:
        raise Failed(f"{len(requests)} requests are too few for a picture")
    starts = range(len(requests) // 4, len(requests) - count)
    known = [
        start
        for start in starts
        if all(r.known for r in requests[start : start + count])
    ]
    median = median_us([r for r in requests if r.known] if known else requests)
    pause = statistics.median(
        after.begin - before.begin
        for before, after in zip(requests, requests[1:])
    )

    def distance(start):
        row = requests[start : start + count]
        return sum(
            abs(request.took - median)
            + abs(after.begin - request.begin - pause)
            for request, after in zip(row, requests[start + 1 :])
        )

    start = min(known or starts, key=distance)
    return requests[start : start + count]


# ---- One file for viewers ----------------------------------------------------


def merge(client_events, server_events, requests):
    """Both traces and, for each request, the arrows between its four calls and
    a line of its own."""
    events = client_events + server_events
    for order, process in enumerate((client_events, server_events)):
        events.append(
            {
                "name": "process_sort_index",
                "ph": "M",
                "pid": process[0]["pid"],
                "args": {"sort_index": order},
            }
        )
    for request in requests:
        events += arrows(request)
    return {"displayTimeUnit": "ns", "traceEvents": events}


def arrows(request):
    thread = request.client_out[0].thread
    fields = {
        "name": f"request {request.number}",
        "cat": "request",
        "id": f"request.{request.number}",
        "pid": thread.pid,
        "tid": thread.tid,
    }
    yield fields | {"ph": "b", "ts": request.begin, "args": {}}
    yield fields | {"ph": "e", "ts": request.end, "args": {}}
    parts = [
        request.client_out[0],
        request.server_in[-1],
        request.server_out[0],
        request.client_in[-1],
    ]
    for phase, part in zip("sttf", parts):
        yield {
            "name": "request",
            "cat": "flow",
            "id": request.number,
            "ph": phase,
            "pid": part.thread.pid,
            "tid": part.thread.tid,
            "ts": (part.begin + part.end) / 2,
        } | ({"bp": "e"} if phase == "f" else {})
