# make run    the first experiment: digits, stores in files, a Ray of its own
# make test   the tests; CI=1 make test       make check   format, lint, types
#             runs the slow ones too
# make env    only the environment            make lock    pin all versions anew
# make docs   docs/reference.md and the schema for editors, from the code
# make image-test   builds the image and sweeps with all that docker/compose.yaml
#                   describes; as root, with Debian's buildah, debootstrap, iproute2, curl;
#                   KEEP=1 keeps the images, and takes those that are there
PYTHON ?= python3
PIP := .venv/bin/pip --disable-pip-version-check

.PHONY: run test image-test check docs env lock clean
.DELETE_ON_ERROR:

run: env
	.venv/bin/python -m sweep run experiments/digits.yaml

# real processes are killed, on a machine that may be busy: what fails is tried once
# more, and listed as RERUN
test: .venv/test-installed
	.venv/bin/pytest $(if $(CI),--reruns 1,-m 'not slow')

image-test: .venv/test-installed
	PYTHONPATH=tests/support .venv/bin/python docker/image_test.py $(if $(KEEP),--keep-images)

check: .venv/test-installed
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

docs: env
	.venv/bin/python -m sweep.reference docs

env: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/test-installed: .venv/installed
	$(PIP) install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

lock:
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	$(PIP) install --quiet uv
	.venv/bin/uv pip compile pyproject.toml --all-extras --universal \
	  --python-version 3.11 --upgrade --no-header --no-annotate \
	  --no-emit-index-url --output-file constraints.txt

clean:
	rm -rf .venv build *.egg-info
