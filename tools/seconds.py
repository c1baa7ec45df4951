"""A plugin of pytest's, for tools/prove.py: after the tests, how long each file took; and patience on a busy machine.

python -m pytest -p tools.seconds tests

A file's seconds are those of its tests, of what they stand on, and of a lesson's cells; files run side by side, so
their sum is more than the step takes.
"""

PATIENCE = 300  # seconds that nbval waits for the outputs of a cell that has ended; 5 unless told
SHORT = 1  # files that took less are told together


def pytest_collection_modifyitems(items):
    """A lesson's cells wait as long as everything here: nbval has no option for this."""
    for item in items:
        if hasattr(item, "output_timeout"):
            item.output_timeout = PATIENCE


def pytest_terminal_summary(terminalreporter):
    """The files by their seconds, the longest first."""
    reports = [report for group in terminalreporter.stats.values() for report in group]
    rows = per_file((report.nodeid, report.duration) for report in reports if hasattr(report, "duration"))
    terminalreporter.section("seconds per file")
    for name, seconds in rows:
        terminalreporter.write_line(f"{seconds:8.1f}  {name}")


def per_file(durations):
    """[(file, seconds)] of (a test's id, seconds), the longest first; those that took hardly any in one row at the end."""
    took = {}
    for test, seconds in durations:
        name = test.partition("::")[0]
        took[name] = took.get(name, 0.0) + seconds
    rows = sorted(took.items(), key=lambda row: -row[1])
    short = [seconds for _, seconds in rows if seconds < SHORT]
    few = [(f"{len(short)} more, each less than {SHORT} s", sum(short))] if short else []
    return rows[: len(rows) - len(short)] + few
