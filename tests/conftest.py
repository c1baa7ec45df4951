"""For every test: one thread each, so that workers side by side don't stand in each other's way, and nobody's progress."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported
for name in ("COURSE_PROGRESS", "COURSE_WORKSPACE", "COURSE_TIER"):
    os.environ.pop(name, None)
