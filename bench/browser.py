"""Headless Chromium with its driver, for the report's test and benchmark;
`make deps-report` installs both."""

import json
import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "tests" / "browser"
DRIVER = pathlib.Path(os.environ.get("BROWSER", ROOT / "build" / "browser"))
TIME_MAX = 120  # seconds
REMEDY = "make deps-report"


def missing():
    """What is not there, in words; None if nothing."""
    for program in ("node", "chromium"):
        if shutil.which(program) is None:
            return f"{program} is missing: {REMEDY}"
    if not (DRIVER / "node_modules" / "playwright-core").exists():
        return f"playwright-core is missing: {REMEDY}"
    return None


def run(script, *arguments):
    """What a script of tests/browser prints, an object. Raises RuntimeError
    with what it said."""
    done = subprocess.run(
        ["node", SCRIPTS / script, DRIVER, shutil.which("chromium"),
         *arguments],
        capture_output=True, encoding="utf-8", errors="replace",
        timeout=TIME_MAX,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.strip() or f"it ended with {done.returncode}"
        raise RuntimeError(said)
    return json.loads(done.stdout)
