"""Runs a server and a client that talk for a moment, both traced."""

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import time

import contestants
import observe
import timeline_events as events
import timeline_watch as watch
from contestants import Failed, Skipped

FOLDER = contestants.ROOT / "build/timeline"
# A machine that is busy with other things gets longer; not much, for it may be
# quick by then, and a trace keeps the last EVENTS_MAX of a thread alone.
LOAD_SECONDS = (0.1, 0.2, 0.3, 0.3)
REQUESTS_WANTED = 100
LOOK_SECONDS = 0.002
PATIENCE_SECONDS = 15
COMM_MAX = 15


@dataclasses.dataclass
class Task:
    """A thread as /proc saw it, and for how many us it ran meanwhile."""

    name: str
    ran_before: float
    ran_after: float

    @property
    def ran(self):
        return self.ran_after - self.ran_before


@dataclasses.dataclass
class Exchange:
    """What was recorded of one server and its client."""

    name: str
    client_name: str
    client: list  # threads
    server: list
    requests: list
    counters: dict  # the server's own, by name
    tasks: dict  # by number: the server's, seen while it ran
    merged: pathlib.Path
    cpus: tuple
    watched: str = ""  # how, if a tracer helped
    unseen: dict = dataclasses.field(default_factory=dict)  # tasks by number
    why_unseen: str = ""


def label_of(name):
    """<model>-<variant>, of the model's default variant where it is <model>."""
    program = pathlib.Path(contestants.program_of(name)).resolve()
    return program.name.removesuffix("-server")


def client_of(label):
    """The load that is linked with the default client of the same model."""
    link = contestants.BIN / f"{label.split('-')[0]}-client"
    client = link.resolve().name.removesuffix("-client")
    program = contestants.BIN / f"load-{client}"
    if not os.access(program, os.X_OK):
        raise Failed(f"which client is to ask {label}? No {program.name}")
    return program


def cpus():
    """One for the server and one for the client, if there are two."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)


def record(name, client=None, alone=True):
    """Twice if there are threads that a tracer alone can show, and one may be
    used here: without it and with it. Not `alone`: once, whatever there is.
    Raises Skipped or Failed."""
    plain = record_once(name, client)
    plain.unseen = watch.helpers(plain)
    if not plain.unseen:
        return [plain]
    kind = watch.find_watcher(plain.unseen)
    if not kind or not alone:
        plain.why_unseen = (
            "it is drawn when this server is traced alone"
            if kind
            else "no tracer may be used here"
        )
        return [plain]
    with kind() as watcher:
        watched = record_once(name, client, watcher.wrapper)
        found = watch.helpers(watched)
        lanes = watcher.threads(found)
    names = {thread.name for thread in watched.server}
    for lane in lanes:
        if lane.name in names:  # its maker's, who asked the C library
            lane.name = f"C library {lane.tid}"
    watched.server += lanes
    watched.watched = watcher.title
    seen = {thread.tid for thread in lanes}
    watched.unseen = {t: task for t, task in found.items() if t not in seen}
    watched.why_unseen = "this tracer sees nothing of it"
    return [plain, watched]


def record_once(name, client, wrapper=()):
    for seconds in LOAD_SECONDS:
        found = record_briefly(seconds, name, client, wrapper)
        if len(found.requests) >= REQUESTS_WANTED:
            break
    return found


def record_briefly(seconds, name, client, wrapper):
    """A server that asks again and again fills its trace in a moment, and on a
    busy machine the load takes longer: then with less of it."""
    for part in (1, 2, 4, 8, 8):
        try:
            return record_for(seconds / part, name, client, wrapper)
        except events.TooLong:
            continue
    return record_for(seconds / 8, name, client, wrapper)


def record_for(seconds, name, client, wrapper):
    FOLDER.mkdir(parents=True, exist_ok=True)
    label = label_of(name)
    client = pathlib.Path(client) if client else client_of(label)
    # Of this process alone: two may be drawn at once.
    stem = f"{label}.{os.getpid()}"
    files = [FOLDER / f"{stem}.{role}.json" for role in ("client", "server")]
    where = cpus()
    options = ["--trace", str(files[1])]
    # By its whole name, which its trace then has.
    program = name if "/" in name else label
    running = contestants.start(program, where[0], wrapper, options)
    try:
        try:
            tasks = talk(running, client, seconds, files[0], where[1])
        finally:
            said = running.stop()
        return read(label, client, files, tasks, said, where)
    finally:
        for file in files:
            file.unlink(missing_ok=True)


def talk(running, client, seconds, file, cpu):
    """Until the client has ended; the server's threads, seen meanwhile."""
    command = [
        str(client), f"127.0.0.1:{running.port}", "--connections", "1",
        "--duration", str(seconds), "--warmup", "0", "--quiet",
        "--trace", file, "--json", "-",
    ]  # fmt: skip
    tasks = {}
    look(running.pid, tasks, first=True)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=contestants.pin(cpu),
        encoding="utf-8",
        errors="replace",
    )
    give_up = time.monotonic() + PATIENCE_SECONDS
    while process.poll() is None:
        look(running.pid, tasks)
        if time.monotonic() > give_up:
            process.kill()
            raise Failed(f"{client.name} does not end")
        time.sleep(LOOK_SECONDS)
    said, errors = process.communicate()
    if process.returncode == contestants.REFUSED:
        raise Skipped(errors.strip())
    try:
        result = json.loads(said)
    except ValueError:
        why = errors.strip()[-300:] or "it ended without a result"
        raise Failed(f"{client.name}: {why}") from None
    # That it was too short to be measured is no fault here; a wrong answer is.
    if result["errors"] or not result["requests"]:
        raise Failed(f"{client.name}: {result['first_error'] or errors}")
    return tasks


def whole_name(name, pid):
    """The kernel keeps 15 bytes of a name (TASK_COMM_LEN): a thread that has
    none of its own has the beginning of its program's."""
    with contextlib.suppress(OSError):
        program = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
        if len(name) == COMM_MAX and program.startswith(name):
            return program
    return name


def look(pid, tasks, first=False):
    """Adds what threads there are by now, the kernel's workers among them. All
    that those have run which were not there at first is their work now."""
    for task in observe.list_of(f"/proc/{pid}/task"):
        folder = f"/proc/{pid}/task/{task}"
        name = whole_name(observe.read(f"{folder}/comm").strip(), pid)
        ran = observe.read(f"{folder}/schedstat").split()
        if name and ran:
            ran_us = int(ran[0]) / 1000
            before = ran_us if first else 0
            seen = tasks.setdefault(int(task), Task(name, before, ran_us))
            seen.name, seen.ran_after = name, ran_us


def read(label, client, files, tasks, said, where):
    client_events, client_threads = events.read(files[0], events.CLIENT)
    server_events, server_threads = events.read(files[1], events.SERVER)
    requests = events.requests_of(client_threads, server_threads)
    merged = FOLDER / f"{label}.json"
    with open(merged, "w", encoding="utf-8") as file:
        json.dump(
            events.merge(client_events, server_events, requests),
            file,
            separators=(",", ":"),
        )
    return Exchange(
        label,
        client.name,
        client_threads,
        server_threads,
        requests,
        counters(said),
        tasks,
        merged,
        where,
    )


def counters(said):
    """Of the line that a server says at its end; {} without one."""
    with contextlib.suppress(ValueError, KeyError, IndexError):
        account = json.loads(said.splitlines()[-1])
        return account["calls"] | account.get("library_calls", {})
    return {}
