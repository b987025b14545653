"""The timeline: made-up traces whose picture is known, a server whose work is
done by a helper thread, and the servers themselves."""

import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree
from unittest import mock

sys.dont_write_bytecode = True
import contestants  # noqa: E402  (after the line that keeps the tree clean)
import timeline_events as events
import timeline_run
import timeline_svg
import timeline_text as text
import timeline_watch as watch
from contestants import Failed, Skipped
from timeline_events import CLIENT, SERVER, Call, Request, Thread, Transfer

TIMELINE = pathlib.Path(timeline_run.__file__).parent / "timeline"
TRACE_COST = TIMELINE.parent / "trace-cost"


# ---- Made-up traces ----------------------------------------------------------


def event(tid, name, begin, end, result, fd=None, asleep=0, before=0):
    fields = {"result": result}
    if fd is not None:
        fields["fd"] = fd
    if asleep != 0:
        fields["asleep_us"] = asleep
    if before:
        fields["asleep_before_us"] = before
    return {
        "name": name, "ph": "X", "cat": "call", "pid": tid - 1, "tid": tid,
        "ts": begin, "dur": end - begin, "args": fields,
    }  # fmt: skip


def ring_event(tid, phase, name, at, fields):
    return {
        "name": name, "ph": phase, "cat": "asked", "pid": tid - 1, "tid": tid,
        "id": f"{tid}.{name}", "ts": at, "args": fields,
    }  # fmt: skip


def named(tid, name):
    return {
        "name": "thread_name", "ph": "M", "pid": tid - 1, "tid": tid,
        "args": {"name": name},
    }  # fmt: skip


def client_events(count=20):
    made = [named(11, "converse"), event(11, "connect", -60, -50, 0, 5)]
    for at in range(0, 32 * count, 32):
        made += [
            event(11, "send", at, at + 8, 40, 5),
            event(11, "epoll_pwait2", at + 8, at + 28, 1, 4, 14),
            event(11, "recv", at + 28, at + 30, 30, 5),
        ]
    return made


def server_events(count=20):
    made = [named(21, "loop 0"), event(21, "accept4", -50, -45, 9, 3)]
    for at in range(0, 32 * count, 32):
        made += [
            event(21, "epoll_wait", at - 8, at + 12, 1, 8, 16),
            event(21, "recv", at + 12, at + 14, 40, 9),
            event(21, "send", at + 16, at + 24, 30, 9),
        ]
    return made


def ring_events(count=20):
    """A server that leaves its transfers to the kernel."""
    made = [
        named(21, "loop 0"),
        ring_event(21, "b", "accept", -60, {"fd": 3}),
        ring_event(21, "n", "accept", -50, {"result": 9}),
        ring_event(21, "b", "recv", -40, {"fd": 9}),
    ]
    for at in range(0, 32 * count, 32):
        made += [
            ring_event(21, "n", "recv", at + 12, {"result": 40}),
            event(21, "io_uring_enter", at - 8, at + 13, 0, None, 16),
            ring_event(21, "b", "send", at + 15, {"fd": 9}),
            ring_event(21, "e", "send", at + 23, {"result": 30}),
            event(21, "io_uring_enter", at + 15, at + 24, 1),
        ]
    return made


def unlooked(made, begin, end):
    """The same, but nobody has looked whether these calls slept, nor before a
    send."""
    for e in made:
        if e["ph"] == "X" and begin <= e["ts"] < end:
            e["args"]["asleep_us"] = None
            if e["name"] == "send":
                e["args"]["asleep_before_us"] = None
    return made


def exchange(server=None, client=None):
    client = events.threads_of(client or client_events(), CLIENT)
    server = events.threads_of(server or server_events(), SERVER)
    return timeline_run.Exchange(
        "made-up", "load-made-up", client, server,
        events.requests_of(client, server), {}, {}, pathlib.Path("x.json"),
        (0, 1),
    )  # fmt: skip


def drawn(made, colour=False):
    marked = events.typical(made.requests, 3)[1]
    scale = text.scale_for(marked, text.column_for(marked))
    letters = text.Letters()
    lines = text.picture(made, marked, scale, letters)
    rendered = [line.render(colour) for line in lines]
    return rendered, text.legend(letters, lines)


class Reading(unittest.TestCase):
    def read(self, content):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "trace.json"
            path.write_text(content)
            return events.read(path, SERVER)

    def test_a_whole_trace(self):
        _, threads = self.read(json.dumps({"traceEvents": server_events()}))
        (thread,) = threads
        self.assertEqual(thread.name, "loop 0")
        self.assertEqual(thread.calls[0], Call("accept4", -50, -45, 9, 3))
        self.assertEqual(events.count_calls(threads)["recv"], 20)

    def test_a_server_that_was_killed_leaves_an_empty_file(self):
        with self.assertRaisesRegex(Failed, "empty: it was killed"):
            self.read("")

    def test_a_full_disk_leaves_a_part(self):
        whole = json.dumps({"traceEvents": server_events()})
        for end in (1, len(whole) // 2, len(whole) - 1):
            with self.assertRaisesRegex(Failed, "cut off: is the disk full"):
                self.read(whole[:end])

    def test_no_file(self):
        with self.assertRaisesRegex(Failed, "left no trace"):
            events.read("/no/such/file", SERVER)

    def test_threads_of_the_same_name_are_told_apart(self):
        made = [named(tid, "loop 0") for tid in (33, 31, 32)]
        found = [(t.tid, t.name) for t in events.threads_of(made, SERVER)]
        self.assertEqual(
            found, [(31, "loop 0"), (32, "loop 0 #2"), (33, "loop 0 #3")]
        )


class Requests(unittest.TestCase):
    def test_are_followed_there_and_back(self):
        requests = exchange().requests
        self.assertEqual(len(requests), 20)
        second = requests[1]
        self.assertEqual((second.begin, second.end), (32, 62))
        self.assertEqual(
            [(t.thread.role, t.name, t.begin - 32) for t in second.transfers],
            [(CLIENT, "send", 0), (SERVER, "recv", 12), (SERVER, "send", 16),
             (CLIENT, "recv", 28)],
        )  # fmt: skip

    def test_that_come_in_parts_are_one(self):
        server = server_events()
        parts = [e for e in server if e["name"] != "recv"]
        for e in server:
            if e["name"] == "recv":
                for at, size in ((0, 25), (1, 15)):
                    begin = e["ts"] + at
                    parts.append(event(21, "recv", begin, begin + 1, size, 9))
        requests = exchange(parts).requests
        self.assertEqual(len(requests), 20)
        self.assertEqual([t.size for t in requests[3].server_in], [25, 15])

    def test_that_the_kernel_was_left_with(self):
        requests = exchange(ring_events()).requests
        self.assertEqual(len(requests), 20)
        self.assertEqual(requests[4].server_in[0].end, 4 * 32 + 12)
        self.assertEqual(requests[4].server_out[0].begin, 4 * 32 + 15)

    def test_whose_send_is_seen_done_with_the_next_receive(self):
        server = ring_events()
        for e in server:
            if e["ph"] == "e":
                e["ts"] += 21  # when the next n is
        requests = exchange(server).requests
        self.assertEqual(len(requests), 20)
        self.assertEqual([len(t.server_out) for t in requests], [1] * 20)

    def test_what_failed_or_moved_elsewhere_is_none(self):
        server = server_events() + [
            event(21, "recv", 15, 15.5, -11, 9),
            event(21, "read", 31, 31.5, 8, 7),
        ]
        self.assertEqual(len(exchange(server).requests), 20)

    def test_two_that_do_not_tell_of_the_same_bytes(self):
        server = server_events()
        next(e for e in server if e["name"] == "recv")["args"]["result"] = 41
        with self.assertRaisesRegex(Failed, "40 bytes were sent and 41 rec"):
            exchange(server)

    def test_a_trace_that_has_lost_its_beginning(self):
        server = server_events(events.EVENTS_MAX // 3)
        del server[1]
        with self.assertRaisesRegex(Failed, "too long to have its beginning"):
            exchange(server)

    def test_a_trace_that_is_full_has_lost_something(self):
        with self.assertRaises(events.TooLong):
            exchange(server_events(events.EVENTS_MAX // 3 + 1))

    def test_another_connection_is_not_guessed_about(self):
        server = server_events() + [event(21, "accept4", -44, -43, 10, 3)]
        with self.assertRaisesRegex(Failed, "2 connections"):
            exchange(server)

    def test_the_typical_ones_are_late_and_near_the_median(self):
        def request(number, took):
            at = 100.0 * number
            out = Transfer(None, "send", at, at + 1, 1, True)
            back = Transfer(None, "recv", at, at + took, 1, False)
            return Request(number, [out], [], [], [back])

        took = [50, 10, 10, 10] + [30, 90, 31, 11, 29, 30, 31, 70] * 2
        made = [request(n, us) for n, us in enumerate(took)]
        found = events.typical(made, 3)
        self.assertEqual([r.took for r in found], [29, 30, 31])
        self.assertGreaterEqual(found[0].number, len(made) // 4)
        with self.assertRaisesRegex(Failed, "too few"):
            events.typical(made[:11], 3)

        # To look takes time: a known one is compared with its like.
        took = [30] * 20 + [44, 45, 46, 47, 48, 49] + [30] * 10
        made = [request(n, us) for n, us in enumerate(took)]
        for one in made:
            one.known = one.took > 40
        found = events.typical(made, 3)
        self.assertEqual([r.took for r in found], [45, 46, 47])

    def test_is_known_of_which_calls_slept(self):
        made = exchange(unlooked(server_events(), 100, 300)).requests
        unknown = [r.number for r in made if not r.known]
        self.assertEqual(unknown, [4, 5, 6, 7, 8, 9, 10])
        self.assertTrue(all(r.known for r in events.typical(made, 3)))

        # Between two calls, of the client's.
        client = client_events()
        for e in client:
            if e["name"] == "recv" and e["ts"] == 32 * 9 + 28:
                e["ts"], e["dur"] = e["ts"] + 1, 1
                e["args"]["asleep_before_us"] = None
        made = exchange(client=client).requests
        self.assertEqual([r.number for r in made if not r.known], [10])

    def test_where_none_is_known_one_is_drawn_all_the_same(self):
        made = exchange(unlooked(server_events(), -100, 10_000)).requests
        self.assertFalse(any(r.known for r in made))
        self.assertEqual(len(events.typical(made, 3)), 3)


class Merged(unittest.TestCase):
    def setUp(self):
        made = exchange(ring_events())
        self.events = events.merge(
            client_events(), ring_events(), made.requests
        )["traceEvents"]

    def test_has_both_programs(self):
        self.assertEqual({e["pid"] for e in self.events}, {10, 20})

    def test_what_begins_ends_but_for_what_stays(self):
        begun = [e["id"] for e in self.events if e["ph"] == "b"]
        ended = [e["id"] for e in self.events if e["ph"] == "e"]
        staying = {"21.accept", "21.recv"}
        self.assertEqual(set(begun) - set(ended), staying)
        self.assertEqual(len(begun), len(ended) + 2)

    def test_an_arrow_leads_through_each_request(self):
        ways = {}
        for e in self.events:
            if e.get("cat") == "flow":
                ways.setdefault(e["id"], []).append((e["ph"], e["pid"]))
        self.assertEqual(len(ways), 20)
        for way in ways.values():
            self.assertEqual(
                way, [("s", 10), ("t", 20), ("t", 20), ("f", 10)]
            )


# ---- Pictures ----------------------------------------------------------------

EPOLL = """\
us                      -10       0         10        20        30        40
                   -----|---------|---------|---------|---------|---------|----
request 7                         [========= 30.0 us ==========]
client converse    w.......wwwrr--SSSSSSSSWWW..............WWWRR--sssssssswww..
on its way                        >>>>>>>>>>>>>>  <<<<<<<<<<<<<<
server loop 0      sssssssWW................WWRR--SSSSSSSSww................wwr
"""

RING = """\
us                      -10       0         10        20        30        40
                   -----|---------|---------|---------|---------|---------|----
request 7                         [========= 30.0 us ==========]
client converse    w.......wwwrr--SSSSSSSSWWW..............WWWRR--sssssssswww..
on its way                        >>>>>>>>>>>>   <<<<<<<<<<<<<<<
server loop 0      eeeeeeeEEE................EE--EEEEEEEEEeee................ee
  ring: recv       ~~~~~~~~~~~~~~~~~~~~~~~~~~~|~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~|
  ring: send       ~~~~~~]                       [~~~~~~~]
  ring, lasting    accept
"""


class Terminal(unittest.TestCase):
    def test_a_picture(self):
        lines, legend = drawn(exchange())
        self.assertEqual(lines, EPOLL.splitlines())
        self.assertEqual(
            " ".join(legend),
            "r recv   s send   w epoll_pwait2, epoll_wait   CAPITALS the "
            "marked request . asleep in the call   - own code   > request and "
            "< answer on their way",
        )

    def test_a_picture_of_a_ring(self):
        lines, legend = drawn(exchange(ring_events()))
        self.assertEqual(lines, RING.splitlines())
        self.assertIn("[ asked of the ring", " ".join(legend))

    def test_it_fits(self):
        made = exchange(ring_events())
        lines, legend = drawn(made)
        marked = made.requests[8]
        lines += [*legend, *text.table(made, marked), *text.summary([made] * 2)]
        self.assertLessEqual(max(map(len, lines)), text.WIDTH)

    def test_colour_says_no_more_than_letters(self):
        plain, _ = drawn(exchange())
        painted, _ = drawn(exchange(), colour=True)
        bare = [re.sub("\x1b\\[[0-9;]*m", "", line) for line in painted]
        self.assertEqual([line.rstrip() for line in bare], plain)
        self.assertNotEqual(painted, plain)

    def test_colour_is_for_terminals_that_want_it(self):
        class Out(io.StringIO):
            def isatty(self):
                return True

        wants = text.wants_colour
        self.assertTrue(wants(Out(), {"TERM": "xterm"}))
        self.assertFalse(wants(Out(), {"TERM": "xterm", "NO_COLOR": "1"}))
        self.assertFalse(wants(Out(), {"TERM": "dumb"}))
        self.assertFalse(wants(io.StringIO(), {"TERM": "xterm"}))

    def test_a_short_call_is_never_lost(self):
        thread = Thread(SERVER, 1, 1, "loop 0")
        thread.calls = [
            Call("send", 0, 50), Call("recv", 50, 50.1), Call("send", 50.2, 99)
        ]  # fmt: skip
        mark = Transfer(thread, "send", 200, 201, 1, True)
        request = Request(1, [mark], [mark], [mark], [mark])
        row = text.lane(thread, text.Scale(0, 2), text.Letters(), request)
        self.assertIn("srs", row.render(False))

    def test_who_slept_for_a_lock_has_no_code_of_its_own(self):
        client = [e for e in client_events() if e["name"] != "epoll_pwait2"]
        for e in client:
            if e["name"] == "recv":
                e["args"]["asleep_before_us"] = 14
        lines, legend = drawn(exchange(client=client))
        self.assertIn(",,,,,,", next(x for x in lines if "converse" in x))
        self.assertIn("asleep, in no counted call", " ".join(legend))

    def test_what_nobody_has_looked_at(self):
        made = exchange(unlooked(server_events(), -100, 10_000))
        lines, legend = drawn(made)
        row = next(x for x in lines if "loop 0" in x)
        self.assertIn("w::::", row)
        self.assertRegex(row, "R:+:S", "and between two calls")
        self.assertIn("asleep or awake", " ".join(legend))
        marked = made.requests[8]
        rows = [row.split() for row in text.table(made, marked)]
        self.assertEqual(rows[1][2], "?")
        rows = [line.split() for line in text.summary([made])]
        self.assertIn(["of", "them", "asleep", "?"], rows)

    def test_a_letter_for_each_call(self):
        letters = text.Letters()
        names = ["recv", "recvmsg", "vmsplice", "vfork", "send", "write"]
        given = [letters.of(name) for name in names]
        self.assertEqual(given[0], given[1], "both receive")
        self.assertEqual(len(set(given)), 5)

    def test_the_table_tells_each_call_of_the_request(self):
        made = exchange()
        rows = list(text.table(made, made.requests[8]))
        self.assertEqual(len(rows), 1 + 6)
        self.assertEqual(rows[1].split()[:3], ["-8.0", "20.0", "16.0"])
        self.assertTrue(rows[1].endswith("epoll_wait(8) = 1"), rows[1])

    def test_the_table_takes_calls_of_the_same_moment(self):
        made = exchange()
        marked = made.requests[8]
        call = next(c for c in made.server[0].calls if c.begin > marked.begin)
        twin = Call(call.name, call.begin, call.end, asleep=None)
        made.server.append(Thread(SERVER, 1, 1, "loop 1", [twin]))
        self.assertEqual(len(list(text.table(made, marked))), 1 + 7)

    def test_what_a_request_took(self):
        rows = [line.split() for line in text.summary([exchange()])]
        self.assertIn(["epoll_wait", "1.00"], rows)
        self.assertIn(["all", "3.00"], rows)
        self.assertIn(["of", "them", "asleep", "1.00"], rows)
        self.assertEqual(rows[-1][-1], "30.0")

    def test_what_is_drawn_and_what_is_the_median_have_their_names(self):
        made = exchange()
        *_, median, drawn = text.summary([made] * 2, made.requests[7:9])
        self.assertRegex(median, r"the median +30\.0 +30\.0$")
        took = [f"{request.took:.1f}" for request in made.requests[7:9]]
        self.assertEqual(drawn.split()[-2:], took)
        self.assertIn("of the one that is drawn", drawn)


class Drawing(unittest.TestCase):
    def draw(self, *made):
        marks = [events.typical(x.requests, 3)[1] for x in made]
        column = max(text.column_for(marked) for marked in marks)
        scales = [text.scale_for(marked, column) for marked in marks]
        return timeline_svg.draw(made, marks, scales)

    def test_is_xml_with_a_title_and_a_description(self):
        svg = self.draw(exchange(), exchange(ring_events()))
        root = xml.etree.ElementTree.fromstring(svg)
        first, second = list(root)[:2]
        self.assertTrue(first.tag.endswith("title") and first.text)
        self.assertTrue(second.tag.endswith("desc"))
        self.assertIn("epoll_wait(8) = 1", second.text)
        self.assertEqual(root.get("aria-labelledby"), "title desc")

    def test_is_no_wider_than_the_page(self):
        root = xml.etree.ElementTree.fromstring(self.draw(exchange()))
        self.assertIn("max-width:100%", root.get("style"))
        self.assertEqual(root.get("viewBox").split()[2], root.get("width"))

    def test_every_name_stands_in_it(self):
        svg = self.draw(exchange())
        for name in ("send", "recv", "epoll_wait, asleep", "loop 0"):
            self.assertIn(f">{name}</text>", svg)

    def test_sleep_is_hatched_and_told(self):
        svg = self.draw(exchange())
        self.assertIn("asleep 16.0 us", svg)
        self.assertIn("fill=\"url(#hatch", svg)

    def test_what_nobody_has_looked_at_is_empty(self):
        svg = self.draw(exchange(unlooked(server_events(), -100, 10_000)))
        self.assertIn("asleep ? us", svg)
        waits = re.search(r"<rect ([^>]*)><title>epoll_wait", svg)[1]
        self.assertIn('fill="#fff"', waits)
        self.assertRegex(svg, '<line [^>]*class="unknown')

    def test_names_are_text(self):
        made = exchange()
        made.name = 'mine"<&'
        root = xml.etree.ElementTree.fromstring(self.draw(made))
        self.assertIn(made.name, "".join(root.itertext()))


# ---- Helpers -----------------------------------------------------------------

STRACE = """\
12 1000.000100 recvfrom(5, "*2\\r\\n"..., 16384, 0, NULL, NULL) = 53 <0.000010>
13 1000.000120 futex(0x7f, FUTEX_WAIT, 0, NULL <unfinished ...>
12 1000.000130 sendto(5, "$32) = 1 <0.5>"..., 39, 0, NULL, 0) = 39 <0.000020>
13 1000.000200 <... futex resumed>) = 0 <0.000080>
13 1000.000210 write(5, "x", 1) = -1 EPIPE (Broken pipe) <0.000005>
13 1000.000220 --- SIGTERM {si_signo=SIGTERM} ---
13 1000.000230 exit(0) = ?
13 1000.000240 +++ exited with 0 +++
"""

SWITCHES = """\
# tracer: nop
  loop-7 [001] d..2. 5.000100: sched_switch: prev_comm=l prev_pid=7 \
prev_prio=120 prev_state=S ==> next_comm=iou-sqp next_pid=8 next_prio=120
  iou-8 [001] d..2. 5.000130: sched_switch: prev_comm=iou-sqp prev_pid=8 \
prev_prio=120 prev_state=S ==> next_comm=swapper/1 next_pid=0 next_prio=120
  <idle>-0 [001] d..2. 5.000200: sched_switch: prev_comm=swapper/1 prev_pid=0 \
prev_prio=120 prev_state=R ==> next_comm=iou-sqp next_pid=8 next_prio=120
  iou-8 [001] d..2. 5.000210: sched_switch: prev_comm=iou-sqp prev_pid=8 \
prev_prio=120 prev_state=S ==> next_comm=l next_pid=7 next_prio=120
"""


class Watching(unittest.TestCase):
    def test_strace(self):
        calls = watch.read_strace(STRACE.splitlines(), 900)
        self.assertEqual(
            [(c.name, c.fd, c.result) for c in calls[12]],
            [("recvfrom", 5, 53), ("sendto", 5, 39)],
        )
        self.assertEqual(
            [(c.name, c.fd, c.result) for c in calls[13]],
            [("futex", None, 0), ("write", 5, -1)],
        )
        self.assertAlmostEqual(calls[13][0].begin, 100_000_120, places=0)
        self.assertAlmostEqual(calls[13][0].took, 80, places=3)
        self.assertIsNone(calls[13][0].asleep)

    def test_the_scheduler(self):
        runs = watch.read_switches(SWITCHES.splitlines(), {8})
        (first, second) = runs[8]
        self.assertEqual(round(first.begin), 5_000_100)
        self.assertEqual(round(first.took), 30)
        self.assertEqual(round(second.asleep_before), 70)
        self.assertNotIn(7, runs)

    def test_who_runs_from_before_or_on_is_not_lost(self):
        def switch(at, before, after):
            return (
                f" x-1 [000] d..2. {at:.6f}: sched_switch: prev_comm=x "
                f"prev_pid={before} prev_state=S ==> next_comm=y "
                f"next_pid={after} next_prio=120"
            )

        lines = [switch(1, 5, 6), switch(2, 8, 5), switch(3, 5, 8)]
        lines.append(switch(4, 6, 5))
        first, last = watch.read_switches(lines, {8})[8]
        self.assertEqual((first.begin, first.end), (1e6, 2e6))
        self.assertEqual((last.begin, last.end), (3e6, 4e6))

    def test_who_ran_and_made_no_counted_call_is_a_helper(self):
        made = exchange()
        made.tasks = {
            20: timeline_run.Task("main", 5_000, 5_001),
            21: timeline_run.Task("loop 0", 0, 9_000),
            22: timeline_run.Task("iou-sqp-20", 0, 400),
        }
        self.assertEqual(list(watch.helpers(made)), [22])

    def test_the_tracer_that_shows_most_is_taken(self):
        worker = {1: timeline_run.Task("iou-wrk-7", 0, 99)}
        thread = {2: timeline_run.Task("aio", 0, 99)}
        for found, scheduler, strace, taken in (
            (worker, True, True, watch.Scheduler),
            (worker, False, True, None),
            (thread, True, True, watch.Strace),
            (thread, True, False, watch.Scheduler),
            (thread, False, False, None),
            (worker | thread, False, True, watch.Strace),
        ):
            able = {"can_watch_scheduler": scheduler, "can_strace": strace}
            can = {name: mock.Mock(return_value=able[name]) for name in able}
            with mock.patch.multiple(watch, **can):
                self.assertEqual(watch.find_watcher(found), taken)


HELPED = """\
import json, os, signal, socket, sys, threading, time

words = sys.argv[1:]
listener = socket.socket(fileno=int(words[words.index("--listen-fd") + 1]))
trace = open(words[words.index("--trace") + 1], "w")
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
listener.listen()
main, made = threading.get_native_id(), []

def note(phase, name, at, fields, **more):
    made.append({"name": name, "ph": phase, "cat": "x", "pid": os.getpid(),
                 "tid": main, "ts": at, "args": fields} | more)

def now():
    return time.monotonic_ns() / 1000

def help(fd):
    while True:
        note("b", "recv", now(), {"fd": fd}, id="r")
        asked = os.read(fd, 65536)
        note("e", "recv", now(), {"result": len(asked)}, id="r")
        if not asked:
            return
        note("b", "send", now(), {"fd": fd}, id="s")
        sent = os.write(fd, asked.split(b"ECHO\\r\\n", 1)[1])
        note("e", "send", now(), {"result": sent}, id="s")

print("ready helped made-up tcp://127.0.0.1:0", flush=True)
peer, _ = listener.accept()
note("X", "accept4", now(), {"result": peer.fileno(), "fd": 3}, dur=1)
threading.Thread(target=help, args=[peer.fileno()], daemon=True).start()
signal.sigwait({signal.SIGTERM})
if "--killed" in sys.argv[0]:
    os.kill(os.getpid(), signal.SIGKILL)
json.dump({"traceEvents": made}, trace)
trace.close()
os._exit(0)
"""


def any_client():
    """Of those that are built one that can run here."""
    for program in sorted(contestants.BIN.glob("load-*-*")):
        if program.name.endswith("-mpi"):
            continue
        if subprocess.run([program, "--probe"]).returncode == 0:
            return program
    raise unittest.SkipTest("no client runs here")


class Helped(unittest.TestCase):
    """A server whose one helper thread receives and sends."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.client = any_client()

    def server(self, name="helped"):
        path = self.folder / name
        path.write_text(f"#!{sys.executable}\n{HELPED}")
        path.chmod(0o755)
        return str(path)

    def test_is_named_where_no_tracer_may_be_used(self):
        with mock.patch.object(watch, "find_watcher", lambda found: None):
            recorded = timeline_run.record(self.server(), self.client)
        self.assertEqual(len(recorded), 1)
        said = " ".join(text.unseen(recorded[0]))
        self.assertIn("not seen: thread ", said)
        self.assertIn("; no tracer may be used here", said)

    def test_is_seen_by_strace(self):
        if not watch.can_strace():
            self.skipTest("strace cannot trace here")
        with mock.patch.object(watch, "find_watcher", lambda _: watch.Strace):
            _, watched = timeline_run.record(self.server(), self.client)
        self.assertNotIn("not seen", " ".join(text.unseen(watched)))
        helper = watched.server[-1]
        fd = events.socket_of(watched.server[:1], SERVER)
        for name in ("read", "write"):
            made = [c for c in helper.calls if (c.name, c.fd) == (name, fd)]
            self.assertGreaterEqual(len(made), len(watched.requests), name)
        self.check_overlap(helper, watched.requests)

    def test_is_seen_by_the_scheduler(self):
        if not watch.can_watch_scheduler():
            self.skipTest("the scheduler cannot be watched here")
        with mock.patch.object(
            watch, "find_watcher", lambda _: watch.Scheduler
        ):
            _, watched = timeline_run.record(self.server(), self.client)
        self.check_overlap(watched.server[-1], watched.requests)

    def check_overlap(self, helper, requests):
        """It worked while a request was under way: one clock. (That of the
        scheduler's notes may be some microseconds off at times.)"""
        seen = [
            any(
                c.begin < request.end and c.end > request.begin
                for c in helper.calls
            )
            for request in requests
        ]
        self.assertGreater(sum(seen), 0.9 * len(seen))

    def test_a_server_that_is_killed(self):
        server = self.server("helped--killed")
        with self.assertRaisesRegex(Failed, "is empty: it was killed"):
            timeline_run.record(server, self.client)


# ---- The servers -------------------------------------------------------------


class Servers(unittest.TestCase):
    def test_traces_have_what_the_counters_have(self):
        for name in contestants.server_names():
            with self.subTest(name):
                try:
                    self.check(timeline_run.record(name)[0])
                except Skipped as reason:
                    print(f"SKIP {name}: {reason}")

    def check(self, found):
        self.assertTrue(found.counters)
        self.assertEqual(events.count_calls(found.server), found.counters)
        self.assertGreater(len(found.requests), 20)
        self.check_picture(found)
        self.check_merged(found)

    def check_picture(self, found):
        lines, legend = drawn(found)
        text_lines = [*lines, *legend, *text.summary([found])]
        self.assertLessEqual(max(map(len, text_lines)), text.WIDTH)
        picture = "\n".join(lines)
        parts = ["client converse", "server loop 0", ">>", "<<"]
        never_sleeps = "sched_yield" in found.counters
        # On a busy machine nobody may have looked whether it slept.
        if not never_sleeps and events.typical(found.requests, 3)[1].known:
            parts.append("...")
        for part in parts:
            self.assertIn(part, picture)

    def check_merged(self, found):
        merged = json.loads(found.merged.read_text())["traceEvents"]
        open_ids = {}
        for e in merged:
            self.assertIn(e["ph"], "MXbnestf")
            if e["ph"] == "b":
                open_ids[e["id"]] = open_ids.get(e["id"], 0) + 1
            elif e["ph"] == "e":
                open_ids[e["id"]] -= 1
        # What is out when the program ends is never done.
        self.assertLessEqual({n for n in open_ids.values() if n}, {1})
        self.check_clock(found)

    def check_clock(self, found):
        """No answer comes before its question: one clock."""
        for request in found.requests:
            times = [
                request.client_out[0].begin, request.server_in[-1].end,
                request.server_out[0].begin, request.client_in[-1].end,
            ]  # fmt: skip
            self.assertEqual(times, sorted(times))

    def test_the_command(self):
        """Two of them, on a pipe: no escapes, 80 columns, files that exist."""
        names = contestants.server_names()[:2]
        done = subprocess.run(
            [TIMELINE, *names], capture_output=True, text=True, timeout=60
        )
        if done.returncode == contestants.REFUSED:
            self.skipTest(done.stdout)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("\x1b", done.stdout)
        self.assertLessEqual(max(map(len, done.stdout.splitlines())), 80)
        for path in re.findall(r": (build/\S+)$", done.stdout, re.M):
            self.assertTrue((contestants.ROOT / path).exists(), path)
        self.assertIn(".svg", done.stdout)

    def test_what_it_costs(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        results = pathlib.Path(folder.name) / "results"
        done = subprocess.run(
            [TRACE_COST, "--pairs", "1", "--results", results,
             "--servers", contestants.server_names()[0]],
            capture_output=True,
            text=True,
            timeout=120,
        )  # fmt: skip
        if done.stdout.startswith("SKIP"):
            self.skipTest(done.stdout)
        # Of one pair anything may be said.
        self.assertIn(done.returncode, (0, 1))
        self.assertEqual(done.stderr, "")
        _, one, fifty = map(json.loads, results.read_text().splitlines())
        self.assertEqual((one["connections"], fifty["connections"]), (1, 50))
        for line in (one, fifty):
            self.assertEqual(list(line["us"]), ["plain", "again", "traced"])
            self.assertGreater(min(map(min, line["us"].values())), 0)

    def test_a_program_that_is_not_there(self):
        done = subprocess.run(
            [TIMELINE, "nobody-home"], capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn("no program", done.stderr)


if __name__ == "__main__":
    unittest.main()
