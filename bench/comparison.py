"""Compares servers under a load that is the same for all.

Every contestant runs in shuffled blocks, each time in a fresh process, beside
the first one, which takes part twice: what sets it apart from itself is noise,
and nothing below that is ranked. CPU time and latency compare at rates that all
of them keep, which is found out first. README.md says how to read the tables.

Raw results are written as they come; --resume goes on with a run that was
broken off. Exit code 1 if a server answers wrongly or fails.
"""

import argparse
import contextlib
import dataclasses
import math
import os
import pathlib
import random
import resource
import subprocess
import sys
import textwrap
import time

import children
import contestants
import hosts
import journal
import lab
import load_run
import measure
import observe
import progress
import readme
import records
import saturation
import scenarios
import sweep
import table
from contestants import BARE, PEERS, REDIS, Failed, Skipped
from plan import Plan, spell_seconds
from reporting import command as reports
from results import Results, fault
from sizes import SIZES, SWEEP, USUAL_RATES
from sizes import SECONDS as CELL_SECONDS

WRONG_ARGUMENTS, SIGNALLED = 2, 128
REFERENCE = "epoll-level"  # what most servers are, and the simplest of them
BOUND_US = 1_000
HELP_WIDTH = 54  # what argparse leaves of 80 columns


# ---- What is asked for -------------------------------------------------------


def names(text):
    return [word for word in text.split(",") if word]


def some_names(text):
    found = names(text)
    if not found:
        raise argparse.ArgumentTypeError("it names nothing")
    return found


def positive(kind):
    def parse(text):
        with contextlib.suppress(ValueError):
            value = kind(text)
            if 0 < value < math.inf:
                return value
        whole = "whole " if kind is int else ""
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a {whole}number above 0"
        )

    return parse


def rates(text):
    return tuple(sorted({positive(int)(word) for word in some_names(text)}))


def make_parser():
    parser = argparse.ArgumentParser(
        prog="bench/compare",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    add_what(parser)
    add_how(parser)
    add_files(parser)
    return parser


def listed(known):
    return textwrap.fill(f"of {', '.join(known)}", HELP_WIDTH)


def add_what(parser):
    what = parser.add_argument_group("what")
    size = what.add_mutually_exclusive_group()
    for name, text in (
        ("quick", "one connection; 64 at two rates; beside idle ones:\n"
                  "3 minutes with 3 models, 8 with 7 (default)"),
        ("full", "more rates and idle ones, pipelines, churn, lookups,\n"
                 "and Redis: 24 minutes with 3 contestants"),
        ("all", "everything; HOURS in the environment allows it"),
    ):
        size.add_argument(
            f"--{name}",
            action="store_const",
            dest="size",
            const=name,
            help=text,
        )
    what.add_argument(
        "--models",
        type=some_names,
        metavar="LIST",
        help="models or model-variants; the first is the reference\n"
        f"(default: every model's default variant; {REFERENCE})",
    )
    what.add_argument(
        "--server",
        action="append",
        default=[],
        metavar="PATH",
        help="a program that keeps docs/contract.md, once or more",
    )
    what.add_argument(
        "--peers",
        type=names,
        metavar="LIST",
        help=listed(PEERS),
    )
    what.add_argument(
        "--scenario",
        type=some_names,
        metavar="LIST",
        help=f"{listed(scenarios.SCENARIOS)};\n"
        "S3 is all of its sizes; S2@5000 is S2 at that rate;\n"
        "S11, alone: the models' loads, with one server",
    )


def add_how(parser):
    how = parser.add_argument_group("how")
    how.add_argument(
        "--blocks",
        type=positive(int),
        metavar="N",
        help="(default: as many as there is time for; 7 where\n"
        "a scenario, a rate, or --seconds is given)",
    )
    how.add_argument(
        "--seconds",
        type=positive(float),
        metavar="S",
        help=f"measured time of a cell (default: {CELL_SECONDS:g})",
    )
    how.add_argument(
        "--seed",
        type=int,
        metavar="N",
        help="of the order (default: another each time)",
    )
    how.add_argument(
        "--client",
        metavar="NAME",
        help="the load's client, such as epoll-level, or a load's path",
    )
    how.add_argument(
        "--pin",
        action=argparse.BooleanOptionalAction,
        help="server and load on CPUs of their own (default)",
    )
    for name, text in (
        ("load", "that ask, each on a CPU of its own (default: twice\n"
                 "as many as the server's CPUs, where there are)"),
        ("server", "of each server that has several (default: 1)"),
    ):  # fmt: skip
        how.add_argument(
            f"--{name}-threads", type=positive(int), metavar="N", help=text
        )
    how.add_argument(
        "--hosts",
        type=pathlib.Path,
        metavar="FILE",
        help="server and loads on the hosts that it lists;\n"
        "docs/many-hosts.md",
    )
    add_pace(how)


def add_pace(how):
    pace = how.add_mutually_exclusive_group()
    pace.add_argument(
        "--rate",
        type=positive(float),
        metavar="R",
        help="requests per second on a schedule, instead of one by one",
    )
    pace.add_argument(
        "--saturate",
        action="store_true",
        help="search the highest rate whose p99 is within --bound-us",
    )
    pace.add_argument(
        "--sweep",
        action="store_true",
        help="besides, requests on a schedule at 10 to 100 %% of\n"
        "the highest rate that the load keeps, which is\n"
        "found out first",
    )
    pace.add_argument(
        "--rates",
        type=rates,
        metavar="LIST",
        help="likewise, at these rates: 5000,10000,20000",
    )
    how.add_argument(
        "--bound-us",
        type=positive(float),
        metavar="US",
        help=f"(default: {BOUND_US})",
    )


def add_files(parser):
    files = parser.add_argument_group("files")
    files.add_argument(
        "--results",
        type=pathlib.Path,
        metavar="FILE",
        help="where raw results go (default: build/bench/compare-...)",
    )
    files.add_argument(
        "--resume",
        type=pathlib.Path,
        metavar="FILE",
        help="go on with the run whose results these are",
    )
    files.add_argument(
        "--readme",
        nargs=2,
        type=pathlib.Path,
        metavar=("README", "RESULTS"),
        help="measure nothing; write a table of the results between\n"
        "the file's markers",
    )
    files.add_argument(
        "--report",
        type=pathlib.Path,
        metavar="DIR",
        help="write a page and figures there, as bench/report does",
    )


def variant(model):
    """The default variant of a model, or the name itself if it has one. The
    default is what <model>-server is a link to."""
    known = contestants.server_names()
    if model in known:
        return model
    link = contestants.BIN / f"{model}-server"
    default = pathlib.Path(os.path.realpath(link)).name.removesuffix("-server")
    mine = [name for name in known if name.startswith(f"{model}-")]
    if not mine:
        raise ValueError(f"no model {model}; there are {', '.join(known)}")
    return default if default in mine else mine[0]


def default_models(all_variants):
    """All of them, or one of each model; the usual reference first."""
    found = contestants.server_names()
    if not all_variants:
        models = dict.fromkeys(name.rpartition("-")[0] for name in found)
        found = [variant(model) for model in models]
    return sorted(found, key=lambda name: name != REFERENCE)


def make_plan(options):
    """Before its rates are known. Raises ValueError with what is wrong with the
    options."""
    if options.bound_us and not options.saturate:
        raise ValueError("--bound-us is the bound of --saturate")
    size = size_of(options)
    clients = options.scenario == [scenarios.CLIENTS]
    everybody = known_clients(options) if clients else servers(options, size)
    plan = Plan(
        names=tuple(dict.fromkeys(everybody)),
        scenarios=sweep.at_rates(
            chosen_scenarios(options, size), options.rates or ()
        ),
        blocks=options.blocks or size.blocks,
        seconds=options.seconds or CELL_SECONDS,
        seed=any_seed() if options.seed is None else options.seed,
        pinned=options.pin is not False,
        client=options.client,
        rate=options.rate,
        bound_us=(options.bound_us or BOUND_US) if options.saturate else None,
        hosts=hosts.read(options.hosts) if options.hosts else (),
        once=() if explicit(options) else size.once,
        null=not (clients or options.saturate)
        and not contestants.why_missing(BARE),
        clients=clients,
        server=variant((options.models or [REFERENCE])[0]) if clients else None,
        load_threads=options.load_threads or 1,
        server_threads=options.server_threads or 1,
    )
    if explicit(options) or options.blocks or options.seconds:
        return plan  # it takes as long as it takes
    wanted = paces(options), swept_scenarios(options, plan)
    return size.plan(plan, sweep.foreseen(plan, *wanted))


def size_of(options):
    usual = SWEEP if options.sweep or options.rates else "quick"
    return SIZES[options.size or usual]


def explicit(options):
    """Whether it is said what is to be measured, and at what rate."""
    given = options.scenario, options.rate, options.rates, options.saturate
    return any(given)


def servers(options, size):
    """The contestants' names. Raises ValueError."""
    models = options.models or default_models(size.all_variants)
    peers = size.peers if options.peers is None else options.peers
    if unknown := set(peers) - PEERS.keys():
        there = ", ".join(PEERS)
        raise ValueError(f"no peer {unknown.pop()}; there are {there}")
    paths = [str(pathlib.Path(path).resolve()) for path in options.server]
    for path in paths:
        if why := contestants.why_missing(path):
            raise ValueError(why)
    everybody = [*(variant(model) for model in models), *paths, *peers]
    if not everybody:
        raise ValueError(f"no server in {contestants.BIN} (make)")
    return everybody


def known_clients(options):
    """The names of all loads of this machine, the usual reference first."""
    if options.client or options.hosts or options.server or options.peers:
        raise ValueError(
            f"{scenarios.CLIENTS} takes every client and one server: of "
            "--models the first"
        )
    found = load_run.clients()
    if not found:
        raise ValueError(f"no load-<client> in {contestants.BIN} (make)")
    return sorted(found, key=lambda name: name != REFERENCE)


def paces(options):
    """Rates that are to be found for scenarios which nobody has named."""
    if explicit(options) or options.resume:
        return ()
    allowed = descriptors_allowed()

    def fits(names):
        return tuple(scenarios.within(name, allowed) for name in names)

    return tuple(
        dataclasses.replace(
            pace,
            scenario=scenarios.within(pace.scenario, allowed),
            others=fits(pace.others),
        )
        for pace in size_of(options).paces
    )


def swept_scenarios(options, plan):
    """Those that are to be asked at rates which depend on what is kept. Raises
    ValueError if that makes no sense for any of them."""
    if options.sweep:
        return sweep.able(plan.scenarios)
    if explicit(options) or options.resume:
        return ()  # the file has its rates, or they have been given
    return size_of(options).sweep


def any_seed():
    return random.SystemRandom().randrange(10**6)


def descriptors_allowed():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def chosen_scenarios(options, size):
    """The names, in sizes that this machine allows. Raises ValueError."""
    if options.scenario == [scenarios.CLIENTS]:
        rate = USUAL_RATES[0]
        return "S1", f"{scenarios.CLIENTS}{scenarios.AT}{rate}"
    if scenarios.CLIENTS in (options.scenario or ()):
        raise ValueError(f"{scenarios.CLIENTS} stands alone")
    allowed = descriptors_allowed()
    chosen = []
    for name in scenarios.named(options.scenario or size.scenarios):
        fits = scenarios.within(name, allowed)
        if fits != name:
            print(f"{name} becomes {fits}: {allowed} descriptors are allowed")
        scheduled = options.rate is not None or options.saturate
        if scheduled and not scenarios.find(fits).takes_rate:
            raise ValueError(f"{name} cannot be asked on a schedule")
        chosen.append(fits)
    return tuple(dict.fromkeys(chosen))


# ---- The run -----------------------------------------------------------------


def estimated_seconds(plan):
    loads = 1 if plan.bound_us is None else saturation.LOADS
    return plan.total_seconds * loads


def versions(plan, load):
    """{program: fingerprint} of all that take part and are there."""
    found = {}
    for name, path in contestants_programs(plan).items():
        found[name] = contestants.fingerprint(path)
    for path in sorted({load, *map(str, contestants.BIN.glob("load-*-*"))}):
        found[pathlib.Path(path).name] = contestants.fingerprint(path)
    return found


def contestants_programs(plan):
    """{name: path} of those that are there."""
    found = {}
    there = (plan.server,) if plan.clients else plan.names
    for name in (*there, *(plan.null * (BARE,))):
        with contextlib.suppress(Failed, Skipped):
            found[name] = (
                contestants.redis_program()
                if name == REDIS
                else contestants.program_of(name)
            )
    return found


def describe(plan, where, programs, why):
    return {
        "plan": plan.to_json(),
        "rates": why,
        "placement": str(where),
        "doubt": where.doubt,
        "programs": programs,
        "commit": observe.commit(),
        "began": time.strftime(records.TIME),
        **where.describe(),
    }


def default_path(plan):
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return contestants.SCRATCH / f"compare-{stamp}-{plan.seed}.jsonl"


def open_journal(options):
    """The plan, and the journal to be gone on with, or None. Raises ValueError,
    Unusable, OSError."""
    if options.resume is None:
        return make_plan(options), None
    usual = vars(make_parser().parse_args([]))
    given = {name for name, x in vars(options).items() if x != usual[name]}
    if given - {"resume", "report"}:
        raise ValueError("--resume takes all from its file; nothing beside it")
    old = journal.Journal(options.resume, resume=True)
    if old.torn:
        print(f"{options.resume}: its last line was torn, and is dropped")
    try:
        return Plan.from_json(old.lines[0]["plan"]), old
    except (KeyError, TypeError) as error:
        raise journal.Unusable(f"{options.resume}: no plan ({error})") from None


def new_journal(path, plan):
    """Raises Unusable, OSError, and Failed with what to do about it."""
    if path:
        return journal.Journal(path, resume=False)
    chosen = default_path(plan)
    try:
        return journal.Journal(chosen, resume=False)
    except OSError as error:
        raise Failed(
            f"{chosen.parent}: {error.strerror}; --results FILE puts the "
            "results elsewhere"
        ) from None


def begin(journal_there, found, where, load, path):
    """The journal with its first line, and what has been measured already; or
    with one that says it goes on."""
    programs = versions(found.plan, load)
    description = describe(found.plan, where, programs, found.why)
    if journal_there is None:
        new = new_journal(path, found.plan)
        new.write(journal.PLAN, **description)
        for cell, fields in found.cells:
            write_cell(new, cell, fields)
        return new
    before = journal_there.lines[0]["programs"]
    if changed := [n for n in before if programs.get(n) != before[n]]:
        raise journal.Unusable(
            f"{', '.join(changed)}: not what was measured in "
            f"{journal_there.path}; both do not go into one table"
        )
    journal_there.write(journal.RESUMED, **description)
    return journal_there


def measure_all(plan, there, where, load):
    """Measures what is not there yet, and writes it down."""
    lines = journal.cells(there.lines)
    done = {journal.key(line) for line in lines}
    dropped = {journal.key(line)[2:] for line in lines if is_last(line)}
    cells = [c for c in plan.cells() if c.key not in done]
    shown = progress.Progress(
        sys.stdout, len(cells), estimated_seconds(plan) / len(plan.cells())
    )
    for cell in cells:
        if cell.key[2:] in dropped:
            shown.leave_out()
            continue
        shown.begin(cell)
        fields = measured(cell, plan, where, load)
        write_cell(there, cell, fields)
        shown.end(cell, progress.describe_result(fields))
        if is_last(fields):
            dropped.add(cell.key[2:])
    shown.clear()


def write_cell(there, cell, fields):
    there.write(
        journal.CELL,
        **identity(cell),
        ended=time.strftime(records.TIME),
        load_average=os.getloadavg()[0],
        **fields,
    )


def is_last(fields):
    """Whether a contestant is not tried again in a scenario."""
    return "skipped" in fields or fault(fields) is not None


def identity(cell):
    return {
        "block": cell.block,
        "visit": cell.visit,
        "scenario": cell.scenario,
        "contestant": cell.contestant.label,
    }


def measured(cell, plan, where, load):
    try:
        return measure.measure(cell, plan, where, load)
    except Skipped as reason:
        return {"skipped": table.printable(str(reason))}
    except (Failed, OSError, subprocess.SubprocessError) as error:
        return {"failed": table.printable(str(error))}


def report(there):
    """Prints the tables; whether every server did what it should."""
    results = Results(there.lines)
    lines = table.render(results)
    if any(lines):
        print("\n".join(["", *table.legend(results), *lines]))
    print(f"\nraw results: {there.path}")
    faults = results.faults()
    for (scenario, label), (word, why) in faults.items():
        print(f"{word} {label} in {scenario}: {why}")
    return not faults


def run(plan, there, where, load, report_to):
    """Measures, whatever comes; the exit code."""
    code = 0
    with children.supervised():
        try:
            measure_all(plan, there, where, load)
        except children.Interrupted as interruption:
            code = SIGNALLED + interruption.number
            print(broken_off(interruption, there))
        except OSError as error:  # the disk is full, say
            code = 1
            print(broken_off(error.strerror, there))
        there.close()
        try:
            right = report(there)
            if report_to:
                right &= reports.write_after(there.lines, there.path, report_to)
        except children.Interrupted as interruption:
            return SIGNALLED + interruption.number
    return code or (0 if right else 1)


def broken_off(why, there):
    return (
        f"\n{why}: what follows is made of what there is; go on with\n"
        f"bench/compare --resume {there.path}"
    )


def enough_hours(seconds):
    """Whether HOURS in the environment says that there is so much time."""
    hours = seconds / 3600
    given = os.environ.get("HOURS", "")
    try:
        if float(given) >= hours:
            return True
    except ValueError:
        pass
    print(
        f"That takes {hours:.1f} hours; HOURS={math.ceil(hours)} in the "
        "environment allows it"
    )
    return False


def allow_descriptors():
    """As many as may be, for us and for those we start."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def compare(options):
    plan, there = open_journal(options)
    plan, where, load = site(plan, options)
    wanted = paces(options), swept_scenarios(options, plan)
    planned = sweep.foreseen(plan, *wanted)
    seconds = estimated_seconds(planned)
    print_plan(planned, seconds, where)
    if options.size == "all" and not enough_hours(seconds):
        return WRONG_ARGUMENTS
    allow_descriptors()
    if options.report:
        options.report.mkdir(parents=True, exist_ok=True)
    where.step_aside()
    try:
        if plan.hosts:
            look_around(plan, where, load)
        found = with_rates(plan, wanted, where, load)
    except children.Interrupted as interruption:
        return SIGNALLED + interruption.number
    there = begin(there, found, where, load, options.results)
    return run(found.plan, there, where, load, options.report)


def print_plan(plan, seconds, where):
    who = "clients" if plan.clients else "contestants"
    print(
        f"{plan.blocks} blocks, {len(plan.contestants)} {who}, "
        f"{len(plan.scenarios)} scenarios: {len(plan.cells())} cells, about "
        f"{spell_seconds(seconds)}; seed {plan.seed}; {where}",
        flush=True,
    )
    if where.doubt and scenarios.CAPACITY in plan.scenarios:
        print(textwrap.fill(where.doubt, table.WIDTH), flush=True)


def site(plan, options):
    """The plan, with how many threads ask; where is measured, and by which
    load. Raises Failed, ValueError."""
    if plan.hosts:
        where = lab.Lab(plan.hosts, plan.pinned)
        return plan, where, lab.load_program(plan.client)
    load = load_run.program(plan.client)
    asking = plan.load_threads
    # Clients are compared by what a request costs them: one thread of each.
    if not (options.resume or options.load_threads or plan.clients):
        asking = None
    where = measure.placement(plan.pinned, plan.server_threads, asking)
    if where.cpus.load_threads > 1 and not load_run.has_threads(load):
        if options.load_threads:
            raise ValueError(f"{load} has no --threads for --load-threads")
        where = measure.placement(plan.pinned, plan.server_threads, 1)
    asking = where.cpus.load_threads
    return dataclasses.replace(plan, load_threads=asking), where, load


def look_around(plan, where, load):
    """Whether all hosts are there is found out before anything is begun."""
    programs = [path for name, path in contestants_programs(plan).items()
                if name != REDIS]  # fmt: skip
    with children.supervised():
        where.look_around(load, programs)


def with_rates(plan, wanted, where, load):
    """The plan with the rates that it takes to have measured something for, as
    sweep.Found."""

    def shown(cell, plan):
        fields = measured(cell, plan, where, load)
        where_and_who = f"{cell.scenario} {cell.contestant.label}"
        said = progress.describe_result(fields)
        print(f"first {where_and_who}: {said}", flush=True)
        return fields

    with children.supervised():
        found = sweep.find(plan, *wanted, shown)
    for sentence in found.why:
        print(textwrap.fill(sentence, table.WIDTH), flush=True)
    return found


def main(arguments):
    parser = make_parser()
    options = parser.parse_args(arguments)
    if options.readme and len(arguments) > 3:
        parser.error("--readme stands alone: it measures nothing")
    try:
        if options.readme:
            return readme.rewrite(*options.readme)
        return compare(options)
    except (ValueError, OSError, Failed, journal.Unusable) as error:
        print(f"bench/compare: {error}", file=sys.stderr)
        return WRONG_ARGUMENTS
