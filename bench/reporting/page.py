"""The report as one HTML file that needs nothing else.

Whatever comes from the results goes through html.escape(); the numbers that
stand in the tables are inside once more as JSON, for programs.
"""

import html
import json
import pathlib

import scenarios
import table
import verdicts
from plan import spell_seconds
from results import CONVICTED, FAILED
from results import is_of_clients as of_clients

from . import drawing, machine, scales, words
from .figures import title_of
from .model import Spread

BYTES_MAX = 300_000
HERE = pathlib.Path(__file__).parent
# What is left out, step by step, of a page that would become too large.
ALL, NO_SMALL_DRAWINGS, MAIN_ONLY = range(3)
SMALLER = {
    ALL: "",
    NO_SMALL_DRAWINGS: "To keep this page small, other scenarios than the main "
    "one are shown as tables.",
    MAIN_ONLY: "To keep this page small, only the main scenario is shown; "
    "bench/report --scenario NAME puts another one in front.",
}


def escape(said):
    return html.escape(str(said))


def element(name, said, **attributes):
    extra = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for key, value in attributes.items()
    )
    return f"<{name}{extra}>{said}</{name}>"


def render(results, figures, source, files=None, said=()):
    """The page, of at most BYTES_MAX bytes where that can be done. `files`
    maps a figure's name to the files drawn for a write-up, relative to the
    page; None where they could not be drawn, and `said` tells why."""
    for level in SMALLER:
        told = [*said, SMALLER[level]] if SMALLER[level] else said
        text = document(results, figures, source, files, level, told)
        if len(text.encode()) <= BYTES_MAX:
            break
    return text


def document(results, figures, source, files, level, told):
    shown = [trimmed(figure, level) for figure in figures]
    body = [
        head(results, source, told),
        contents(shown),
        how_to_read(results),
        *(section(results, figure, files, number, level)
          for number, figure in enumerate(shown, 1)),
        left_out(results),
        details_of_the_run(results),
    ]  # fmt: skip
    style = (HERE / "page.css").read_text("utf-8")
    script = (HERE / "page.js").read_text("utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title(results))}</title><style>{style}</style></head>"
        f"<body>{drawing.definitions()}<main>{''.join(body)}</main>"
        f'<script type="application/json" id="numbers">{embedded(shown)}'
        f"</script><script>{script}</script></body></html>\n"
    )


def trimmed(figure, level):
    if level < MAIN_ONLY or not figure.views:
        return figure
    return type(figure)(**{**vars(figure), "views": figure.views[:1]})


def title(results):
    names = [table.short(n) for n in results.plan.names]
    if len(names) == 1:
        return f"One {who(results).removesuffix('s')}: {names[0]}"
    return f"{len(names)} {who(results)} beside each other: {words.listed(names)}"


# ---- The head ----------------------------------------------------------------


def head(results, source, told):
    plan = results.plan
    said = (
        f"<p>{told_of(results)}, and every "
        "byte of every answer was checked. Each question below has a figure, "
        "the sentence that may be concluded from it, and a table with the same "
        "numbers.</p>" + asked(results)
    )
    return (
        f"<header><h1>{escape(title(results))}</h1>{said}"
        f"{warnings(results, source)}"
        f"{element('p', escape(machine.line(results)), class_='machine')}"
        + "".join(element("p", escape(said), class_="note") for said in told)
        + "</header>"
    )


def who(results):
    clients = any(map(of_clients, results.plan.scenarios))
    return "clients" if clients else "servers"


def told_of(results):
    count = len(results.plan.names)
    if who(results) == "clients":
        return (f"One server was asked by each of {count} clients; CPU time is "
                "the client's")  # fmt: skip
    return f"Each of {count} servers was asked the same"


def asked(results):
    """The scenarios, in words."""
    rates = [s for s in results.scenarios() if scenarios.find(s).rate]
    closed = [s for s in results.scenarios() if s not in rates]
    items = [element("li", escape(title_of(results, s))) for s in closed]
    if rates:
        known = sorted(scenarios.find(s).rate for s in rates)
        names = sorted({s.partition(scenarios.AT)[0] for s in rates})
        items.append(
            f"<li><b>{escape(', '.join(names))}</b> on a schedule, whether "
            f"answers come or not: {scales.digits(known[0])} to "
            f"{scales.digits(known[-1])} requests per second</li>"
        )
    return f"<ul>{''.join(items)}</ul>" if items else ""


def warnings(results, source):
    """What a reader must know before any number."""
    said = []
    for (scenario, label), (word, why) in results.faults().items():
        meaning = {CONVICTED: "answered wrongly", FAILED: "failed"}[word]
        said.append(
            f"{word}: {table.short(label)} {meaning} in {scenario} and was not "
            f"asked again there. {why}"
        )
    missing = results.missing()
    if missing:
        said.append(
            f"This run was broken off: {missing} of "
            f"{len(results.plan.cells())} cells are missing. Go on with: "
            f"bench/compare --resume {source}"
        )
    if not said:
        return ""
    items = "".join(element("li", escape(text)) for text in said)
    return f'<div class="warning" role="note"><ul>{items}</ul></div>'


def how_to_read(results):
    """What the marks and the verdicts mean."""
    plan = results.plan
    reference = escape(table.short(plan.reference.label))
    example = verdicts.Ratio(1.2, plan.blocks, low=1.1, high=1.31)
    return (
        "<details open><summary>How to read this</summary><ul>"
        "<li>Numbers are medians; beside them the least and the greatest of "
        "all measurements (cells) of a server. For every figure it is said "
        "whether lower or higher is better.</li>"
        f"<li>Verdicts compare with <b>{reference}</b>, which takes part "
        f"twice: <b>{reference} again</b> is the same program. What sets the "
        "two apart is noise, and nothing within that is ranked.</li>"
        f"<li>{escape(table.how_sure())} An interval is of the level that this "
        "takes, so it leaves 1 out where there is a verdict.</li>"
        f"<li><b>{escape(table.ratio_text(example))} dearer</b>: it takes 1.20 "
        "times as much, and the truth lies between 1.10 and 1.31. <b>No "
        "measurable difference</b> is a result, too. <b>Too few blocks</b>: the "
        "run was too short to say.</li>"
        "<li><b>CPU time and latency</b> have verdicts where all were asked at "
        "the same rate, or one request at a time: both depend on how fast a "
        "server is asked.</li>"
        "<li><b>&gt;=</b>, a hollow dot and an arrow: at least that. The load, "
        "or its schedule, was what limited, and the server may be faster. Such "
        "a bound decides a comparison where it suffices.</li>"
        "<li><b>~</b> and a hollow dot: the load was held up or was itself the "
        "limit whenever this was measured (INVALID), so take it as a hint. A "
        "dash: not known.</li></ul></details>"
    )


def contents(figures):
    """The questions with their answers."""
    items = "".join(
        f'<li><a href="#{figure.name}">{escape(figure.question)}</a>'
        f"<br>{escape(answer(figure))}</li>"
        for figure in figures
    )
    return f'<nav aria-label="In short"><h2>In short</h2><ol>{items}</ol></nav>'


def answer(figure):
    """Who won, and how everybody compares with the reference."""
    if not figure.views:
        return "Not in this run."
    shown = figure.views[0]
    return " ".join(shown.said[: shown.answers])


# ---- A figure ----------------------------------------------------------------


def section(results, figure, files, number, level):
    body = (
        f'<section id="{figure.name}"><h2>{number}. {escape(figure.title)}</h2>'
        f'<p class="question">{escape(figure.question)}</p>'
    )
    if figure.missing:
        return body + missing(figure) + "</section>"
    body += f"<p>{escape(figure.reading)}</p>"
    first, *rest = figure.views
    body += view(results, figure, first, f"{figure.name}-0", files, True)
    for place, other in enumerate(rest, 1):
        inside = view(results, figure, other, f"{figure.name}-{place}", files,
                      level == ALL, False)  # fmt: skip
        body += (
            f"<details><summary>The same in {escape(other.title)}</summary>"
            f"{inside}</details>"
        )
    return body + "</section>"


def missing(figure):
    return (
        f'<p class="missing">No figure: {escape(figure.missing.why)} This '
        f"measures it:</p><pre>{escape(figure.missing.command)}</pre>"
    )


def view(results, figure, shown, key, files, with_drawing, main=True):
    reference = results.plan.reference.label
    said = "".join(element("li", escape(text)) for text in shown.said)
    body = f'<ul class="said">{said}</ul>'
    if with_drawing:
        described = " ".join((figure.question, *shown.said))
        sizes = drawing.WIDTHS if main else (drawing.NARROW,)
        drawings = "".join(
            drawing.draw(panel, described, f"{key}-p{place}", reference, sizes)
            + ruler(shown, key, place)
            for place, panel in enumerate(shown.panels) if not panel.is_empty
        )
        body += (
            f'<figure{"" if main else " class=small"}>{drawings}'
            f"{choice(shown)}"
            f"<figcaption>{caption(results, figure, shown)}"
            f"{written_up(figure, files) if main else ''}</figcaption></figure>"
        )
    if shown.more:
        said = "".join(element("li", escape(text)) for text in shown.more)
        body += (
            "<details><summary>Who won at each</summary>"
            f"<ul>{said}</ul></details>"
        )
    for place, one in enumerate(shown.tables):
        body += table_of(one, f"{key}-t{place}")
    return body


def caption(results, figure, shown):
    return (
        f"<b>{escape(shown.title)}.</b> Unit: {escape(figure.unit)}. "
        f"{escape(shown.count)}. "
        f"{escape(looks(results, shown))} "
        f'<span class="machine">{escape(machine.line(results))}</span>'
    )


def looks(results, shown):
    """What is drawn how."""
    reference = table.short(results.plan.reference.label)
    panel = shown.panels[0]
    if panel.x is None:
        return (
            "Dot: median; bar: from the least to the greatest cell; dashed: "
            f"{reference}, the reference; hollow: its second part, INVALID "
            "cells alone, or with an arrow at least that."
        )
    if len(drawing.visible(panel)) > drawing.LINES_MAX:
        return (
            "Medians of one server in blue among all others in grey; dashed: "
            f"{reference}, the reference. The spread is in the table."
        )
    return (
        "Lines join medians; bars reach from the least to the greatest cell, "
        "and stand a little beside each other; hollow: INVALID cells alone."
    )


def written_up(figure, files):
    found = (files or {}).get(figure.name)
    if not found:
        return ""
    links = ", ".join(
        f'<a href="{escape(path)}">{escape(path)}</a>' for path in found
    )
    return f'<span class="files"> For a write-up: {links}.</span>'


def choice(shown):
    """The key, whose entries switch lines on and off, where there are any."""
    panel = shown.panels[0]
    if panel.x is None:
        return ""
    curves = drawing.visible(panel)
    many = len(curves) > drawing.LINES_MAX
    entries = "".join(
        f'<label><input type="checkbox" checked data-s="{c.style}">'
        f"{'' if many else drawing.swatch(c.style)}"
        f"{escape(table.short(c.label))}</label>"
        for c in curves
    )
    fieldset = (
        f'<fieldset class="key"><legend>Shown</legend>{entries}</fieldset>'
    )
    if many:
        return (
            f"<details><summary>Choose servers</summary>{fieldset}</details>"
        )
    return fieldset


def ruler(shown, key, place):
    """A slider by which the numbers of all lines are read off."""
    panel = shown.panels[place]
    if panel.x is None:
        return ""
    steps = drawing.steps_of(panel)
    # The table whose first columns are the steps of the axis.
    source = len(shown.tables) - 1 if panel.x.scale == "tail" else place
    begin = steps.index(99) if 99 in steps else len(steps) // 2
    return (
        f'<div class="ruler" data-table="{key}-t{source}" '
        f'data-chart="{key}-p{place}"><label>Read off: {escape(panel.title)} '
        f'<input type="range" min="0" max="{len(steps) - 1}" value="{begin}">'
        "</label><output></output></div>"
    )


# ---- Tables ------------------------------------------------------------------


def table_of(one, key):
    columns = "".join(
        f'<th scope="col"{" class=words" if in_words(one, place) else ""}>'
        f"{escape(column)}</th>"
        for place, column in enumerate(one.columns)
    )
    rows = "".join(
        f'<tr><th scope="row">{escape(table.short(label))}</th>'
        f"{''.join(map(entry, entries))}</tr>"
        for label, entries in one.rows
    )
    body = (
        f'<div class="box" tabindex="0" role="region" '
        f'aria-label="Table: {escape(one.caption)}"><table id="{key}">'
        f"<caption>{escape(one.caption)}</caption><thead><tr>"
        f'<th scope="col">server</th>{columns}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )
    if one.folded:
        return (
            f"<details><summary>{escape(one.caption)}</summary>{body}</details>"
        )
    return body


def in_words(one, place):
    return any(isinstance(entries[place], str) for _, entries in one.rows)


def entry(value):
    if isinstance(value, str):
        return f'<td class="words">{escape(value)}</td>'
    if not isinstance(value, Spread):
        return f"<td>{scales.digits(value)}</td>"
    said = escape(table.mark_of(value)) + scales.digits(value.median)
    if value.low == value.high:
        return f"<td>{said}</td>"
    ends = map(scales.digits, (value.low, value.high))
    between = "\N{EN DASH}".join(ends)
    return f"<td>{said} <small>{between}</small></td>"


def embedded(figures):
    """The tables' numbers as JSON, which no text in it can end."""
    found = {
        figure.name: [
            {
                "scenario": shown.scenario,
                "tables": [table_json(one) for one in shown.tables],
            }
            for shown in figure.views
        ]
        for figure in figures
    }
    text = json.dumps(found, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e")


def table_json(one):
    return {
        "caption": one.caption,
        "columns": one.columns,
        "rows": [[label, *map(plain, values)] for label, values in one.rows],
    }


def plain(value):
    """A Spread as [median, least, greatest, cells, INVALID, at least]."""
    if not isinstance(value, Spread):
        return rounded(value) if isinstance(value, float) else value
    ends = [rounded(x) for x in (value.median, value.low, value.high)]
    return [*ends, value.count, value.invalid, value.bound]


def rounded(value):
    return float(f"{value:.6g}")


# ---- The end -----------------------------------------------------------------


def left_out(results):
    """Cells that do not count, and why, and who did not take part."""
    rows = "".join(
        f'<tr><th scope="row">{escape(table.short(label))}</th>'
        f"<td class=words>{escape(scenario)}</td>"
        f"<td class=words>{escape(count)}</td>"
        f"<td class=words>{escape(why)}</td></tr>"
        for scenario, label, count, why in results.absent()
    )
    if not rows:
        return (
            '<section id="left-out"><h2>What does not count</h2><p>Nothing: '
            "every cell was VALID, and everybody took part.</p></section>"
        )
    heads = "".join(
        f'<th scope="col">{name}</th>'
        for name in ("server", "scenario", "cells", "why (the first of them)")
    )
    return (
        '<section id="left-out"><h2>What does not count</h2><p>An INVALID cell '
        "is one in which the load was held up or was itself the limit: its "
        "latencies are in no comparison, and its rate is one as a lower bound "
        "if the load was what limited. What the server's side counted meanwhile "
        "(CPU time, calls, switches, memory) is compared.</p>"
        '<div class="box" tabindex="0" role="region" aria-label="Table: what '
        f'does not count"><table><caption>Cells left out, and who did not take '
        f"part</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>"
        "</table></div></section>"
    )


def details_of_the_run(results):
    plan = results.plan
    facts = [
        *machine.facts(results),
        ("blocks", f"{plan.blocks}, of {plan.seconds:g} s a cell"),
        ("seed of the order", plan.seed),
        ("measured time in all",
         spell_seconds(len(plan.cells()) * plan.seconds)),
        ("source", results.description.get("source", "")),
    ]  # fmt: skip
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
        for name, value in facts if value not in ("", None)
    )  # fmt: skip
    return f'<section id="run"><h2>The run</h2><dl>{rows}</dl></section>'
