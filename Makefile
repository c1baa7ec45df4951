# make lab                 set up what is missing, open the course          make lab LESSON=03   open that lesson
# make test                set up what is missing, prove everything         make lab TORCH=cpu   torch without CUDA
# Without make, on any system: python -m course_lib lab

ifndef PYTHON
PYTHON := $(shell for p in python3 python python3.14 python3.13 python3.12 python3.11 .venv/bin/python; do \
    $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && exit; done; \
    command -v python3 || command -v python)
endif

.PHONY: lab test python

lab: python
	@$(PYTHON) -m course_lib lab $(LESSON) $(if $(TORCH),--torch $(TORCH)) $(ARGS)

test: python
	@$(PYTHON) -m course_lib test $(STEPS)

python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer was expected; no Python was found." \
	    "Install it (python.org, your system's packages, or conda) and run the same command again." >&2; exit 1; }
