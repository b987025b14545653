"""What /proc tells of a server and of the machine it runs on."""

import os
import platform
import subprocess
import time

import contestants

# Reading more tasks than this takes longer than what is to be measured bears.
TASKS_MAX = 1000
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
READ_SIZE = 64 << 10  # most of what is read here, at once
SWITCHES = "\nvoluntary_ctxt_switches:"


class Processes:
    """A server with all its threads, and with its processes if it has several,
    as they are at this moment."""

    def __init__(self, pid):
        self._pids, new = [pid], [pid]
        while new:
            new = [child for parent in new for child in children_of(parent)]
            self._pids += new

    def cpu_seconds(self):
        """User and system time, that of ended threads included. That of ended
        processes, once they have been waited for, comes in ticks of 10 ms; that
        of the living, and of who still is to be waited for, in ns."""
        seconds = 0.0
        for pid in self._pids:
            fields = stat_fields(pid)
            if fields:
                waited_for = int(fields[13]) + int(fields[14])  # cutime, cstime
                seconds += living_cpu_seconds(pid)
                seconds += waited_for * TICK_SECONDS
        return seconds

    def switches(self):
        """{task: (voluntary, involuntary) context switches so far}, or None if
        they are too many to be read."""
        found = {}
        for pid in self._pids:
            if len(found) + count_threads(pid) > TASKS_MAX:
                return None
            for task in list_of(f"/proc/{pid}/task"):
                # Without a dict of all its lines, which takes several times as
                # long as the kernel does.
                status = read(f"/proc/{pid}/task/{task}/status")
                words = status.partition(SWITCHES)[2].split()
                if words:
                    found[int(task)] = int(words[0]), int(words[2])
        return found

    def count(self):
        """How many processes there are."""
        return len(self._pids)

    def threads(self):
        """How many there are, in all its processes."""
        return sum(map(count_threads, self._pids))

    def peak_bytes(self):
        """The most memory it has had in use so far, files' included; of several
        processes the sum of what each had at most."""
        return sum(
            kilobytes(f"/proc/{pid}/status", "VmHWM") for pid in self._pids
        )

    def anonymous_bytes(self):
        """Memory of its own that is not a file's; None if they are too many, or
        if it cannot be read. Of several processes, a page that is still the
        same in them counts once; who has just ended has none."""
        if len(self._pids) > TASKS_MAX:
            return None
        field = "Anonymous" if len(self._pids) == 1 else "Pss_Anon"
        there = [
            kilobytes_of(fields, field) for pid in self._pids
            if (fields := status_fields(f"/proc/{pid}/smaps_rollup"))
        ]  # fmt: skip
        return sum(there) if there else None


def switches_between(before, after):
    """How many {"voluntary": , "involuntary": } there were, or None: if they
    could not be read, or if tasks have ended and taken their counts along."""
    if before is None or after is None or before.keys() - after.keys():
        return None
    differences = [
        [now - then for now, then in zip(counts, before.get(task, (0, 0)))]
        for task, counts in after.items()
    ]
    voluntary, involuntary = map(sum, zip(*differences))
    return {"voluntary": voluntary, "involuntary": involuntary}


def children_of(pid):
    """The processes whose parent it is. Any of its threads may have started
    them. Where those are many, or the kernel has no CONFIG_PROC_CHILDREN, it is
    quicker to ask everybody for the parent."""
    threads = count_threads(pid)
    if threads > 100 or not os.path.exists("/proc/thread-self/children"):
        return children_by_parent(pid) if threads else []
    tasks = list_of(f"/proc/{pid}/task")
    files = [f"/proc/{pid}/task/{task}/children" for task in tasks]
    return [int(child) for path in files for child in read(path).split()]


def children_by_parent(pid):
    everybody = [int(name) for name in list_of("/proc") if name.isdigit()]
    # Not itself: to add up what thousands of threads have done takes long.
    others = [p for p in everybody if p != pid]
    return [p for p in others if (stat_fields(p) or "  ")[1] == str(pid)]


def count_threads(pid):
    return int(status_fields(f"/proc/{pid}/status").get("Threads", 0))


def living_cpu_seconds(pid):
    try:
        return time.clock_gettime(contestants.process_clock(pid))
    except (OSError, contestants.Failed):
        return 0.0  # it has just been waited for


def read(path):
    """Its text, "" if it is gone: a process may end at any moment. Without a
    file object, which takes longer than the kernel: a server may have hundreds
    of threads, and what looks at them takes the time from the load."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        parts = []
        while part := os.read(file, READ_SIZE):
            parts.append(part)
    except OSError:
        return ""
    finally:
        os.close(file)
    return b"".join(parts).decode(errors="replace")


def list_of(path):
    try:
        return os.listdir(path)
    except OSError:
        return []


def status_fields(path):
    lines = (line.partition(":") for line in read(path).splitlines())
    return {name: value.strip() for name, _, value in lines}


def kilobytes(path, field):
    """In bytes; 0 if the process is gone."""
    return kilobytes_of(status_fields(path), field)


def kilobytes_of(fields, name):
    return int(fields.get(name, "0").split()[0]) * 1024


def stat_fields(pid):
    """proc(5), stat, from the state (field 3) on: the name in front of it may
    hold blanks and parentheses."""
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()


# ---- The machine -------------------------------------------------------------


def machine_cpu():
    """What all CPUs have worked so far and what the hypervisor has taken from
    them, in seconds."""
    ticks = [int(x) for x in read("/proc/stat").split("\n", 1)[0].split()[1:9]]
    user, nice, system, _, _, irq, softirq, steal = ticks
    busy = user + nice + system + irq + softirq
    return {"busy": busy * TICK_SECONDS, "stolen": steal * TICK_SECONDS}


def kernel_bytes():
    """What the kernel holds for sockets, by estimate: the buffers of TCP and
    all slabs, those of the whole machine."""
    pages = 0
    for line in read("/proc/net/sockstat").splitlines():
        words = line.split()
        if words[0] == "TCP:":
            pages = int(words[words.index("mem") + 1])
    slabs = kilobytes("/proc/meminfo", "Slab")
    return pages * os.sysconf("SC_PAGE_SIZE") + slabs


def describe_machine():
    return {
        "kernel": platform.release(),
        "processor": processor_name(),
        "processors": os.cpu_count(),
        "governor": governor(),
        "mitigations": mitigations(),
        "memory_kb": kilobytes("/proc/meminfo", "MemTotal") // 1024,
        "load_average": os.getloadavg(),
        "stolen_s": machine_cpu()["stolen"],
    }


def processor_name():
    names = [
        line.partition(":")[2].strip()
        for line in read("/proc/cpuinfo").splitlines()
        if line.startswith("model name")
    ]
    return names[0] if names else platform.machine()


def siblings(cpu):
    """The CPUs that share its core, itself among them."""
    path = f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
    found = {cpu}
    for part in filter(None, read(path).strip().split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def governor():
    path = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    return read(path).strip() or "none to be seen"


def mitigations():
    """{vulnerability: what the kernel does about it}, those it is not affected
    by left out."""
    folder = "/sys/devices/system/cpu/vulnerabilities"
    found = {name: read(f"{folder}/{name}").strip()
             for name in sorted(list_of(folder))}  # fmt: skip
    return {n: text for n, text in found.items() if text != "Not affected"}


def commit():
    """The sources' commit, "+" behind it if they differ from it; None outside
    of git."""
    found = git("rev-parse", "--short", "HEAD")
    return found and found + ("+" if git("diff", "HEAD", "--stat") else "")


def git(*words):
    """What it says; None if it is not there, or fails."""
    try:
        done = subprocess.run(
            ["git", "-C", contestants.ROOT, *words],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
