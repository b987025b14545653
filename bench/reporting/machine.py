"""On what machine and when: without that a number says little."""

GIB_KB = 1 << 20


def line(results):
    """One line, for every figure."""
    found = results.description.get("machine") or {}
    parts = [
        f"{found.get('processors', '?')} processors",
        found.get("processor"),
        f"Linux {found.get('kernel', '?')}",
        results.description.get("placement"),
        f"commit {results.description.get('commit') or 'unknown'}",
        results.description.get("began"),
    ]
    return "Machine: " + ", ".join(str(part) for part in parts if part) + "."


def facts(results):
    """(name, value) of all that the results say of it."""
    found = results.description.get("machine") or {}
    mitigations = found.get("mitigations") or {}
    memory = found.get("memory_kb")
    load = found.get("load_average") or []
    return [
        ("processor", found.get("processor")),
        ("processors", found.get("processors")),
        ("kernel", found.get("kernel")),
        ("memory", memory and f"{memory / GIB_KB:.1f} GiB"),
        ("clock governor", found.get("governor")),
        ("mitigations", "; ".join(f"{n}: {v}" for n, v in mitigations.items())),
        ("load average before", ", ".join(f"{x:.2f}" for x in load)),
        ("placement", results.description.get("placement")),
        ("commit", results.description.get("commit")),
        ("began", results.description.get("began")),
    ]
