# Every target sets everything up first; nothing but Python 3.10-3.12 is needed.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.10 python3; do \
	$$name -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' 2>/dev/null && echo $$name && break; done)
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/ready
RUN = outputs/demo/ins-stylize/run

.PHONY: demo test check wheel format clean

$(READY): pyproject.toml configs/constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.10, 3.11 or 3.12 is needed; name one with make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -c configs/constraints.txt -e '.[dev]'
	touch $(READY)

# Trains on the scene that ships with the project, paints it, and makes a picture and a film of six seconds.
demo: $(READY)
	rm -rf $(RUN)
	$(BIN)/ns-train ins-stylize --data scenes/still_life --vis tensorboard \
	    --experiment-name demo --timestamp run \
	    --pipeline.content-steps 1200
	cp $(RUN)/preview.png outputs/demo/picture.png
	$(BIN)/ns-render interpolate --load-config $(RUN)/config.yml --interpolation-steps 18 --frame-rate 18 \
	    --rendered-output-names content_rgb rgb --output-path outputs/demo/film.mp4
	@echo; echo "Photograph, painting, painted view and depth: $(CURDIR)/outputs/demo/picture.png"
	@echo "A film of the scene, as it is and painted: $(CURDIR)/outputs/demo/film.mp4"

# One thread a process: two processes of two threads on two cores get in each other's way. What tests and examples of the
# Python door write, gigabytes, goes when they end.
test: $(READY)
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && TMPDIR=$$folder OMP_NUM_THREADS=1 \
	    $(BIN)/python -m pytest --numprocesses logical --maxprocesses 8 --dist loadfile

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

# A wheel in an empty environment, with all that it asks for: minutes, and 8 GB for as long as it runs.
wheel: $(READY)
	INS3D_EMPTY_ENVIRONMENT=1 $(BIN)/python -m pytest tests/test_wheel.py

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) outputs
