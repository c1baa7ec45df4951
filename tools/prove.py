"""Prove that everything works: `make test`, or python -m course_lib test [STEP ...].

Every step runs, also after one that failed; the last lines say which did, and how long each took. Seconds per file stand
below the tests. Nothing has to be quick: what waits gives up after minutes, so that a busy machine proves the same.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
WORKERS = str(min(os.cpu_count() or 2, 8))  # one process per file; each needs up to 1 GB of memory
PYTEST = [PYTHON, "-m", "pytest", "-q", "-p", "tools.seconds"]
NOTEBOOKS = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=1800", "--nbval-kernel-startup-timeout=300"]
STEPS = {
    "lint": [[PYTHON, "-m", "ruff", "check", "."], [PYTHON, "-m", "ruff", "format", "--check", "."]],
    "built": [[PYTHON, "tools/build_lessons.py", "--check"], [PYTHON, "tools/readme.py", "--check"]],
    "tests": [
        [*PYTEST, *NOTEBOOKS, "-n", WORKERS, "--dist", "loadfile", "-m", "not browser"]
        + ["--durations=8", "lessons", "solutions", "tests"]
    ],
    "browser": [[*PYTEST, "-m", "browser", "--durations=5", "tests"]],
}
AT_HOME = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")


def main(names):
    """Run these steps, all if none is named; the exit code, after a line for each."""
    unknown = [name for name in names if name not in STEPS]
    if unknown:
        sys.exit(f"The steps are {', '.join(STEPS)}; {', '.join(unknown)} came.")
    results = {}
    with tempfile.TemporaryDirectory(prefix="prove-", ignore_cleanup_errors=True) as home:
        # One thread each: lessons side by side, each with a thread for every core, stand in each other's way.
        settings = {**os.environ, "OMP_NUM_THREADS": "1"} | {name: str(Path(home) / name) for name in AT_HOME}
        for name in names or STEPS:
            start = time.perf_counter()
            print(f"\n=== {name}", flush=True)
            codes = [subprocess.run(command, cwd=ROOT, env=settings).returncode for command in STEPS[name]]
            results[name] = (not any(codes), time.perf_counter() - start)
    print()
    for name, (passed, seconds) in results.items():
        print(f"{name:10}{'passed' if passed else 'FAILED':8}{seconds:6.0f} s")
    return 0 if all(passed for passed, _ in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
