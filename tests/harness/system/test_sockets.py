"""A run of what lies on this machine opens no socket, whatever the verb: none to the hub, none to count what is loaded, none to try."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import windtunnel
from windtunnel.tests.toys import child_environment

DEMO = Path(str(windtunnel.__file__)).parent / "examples" / "demo" / "suite.yaml"

FORBIDDEN = """
import sys

def forbid(event, arguments):
    if event.startswith("socket."):
        import traceback
        traceback.print_stack()
        print(f"SOCKET {event} {arguments}", file=sys.stderr, flush=True)
        raise PermissionError(f"no {event} here")

sys.addaudithook(forbid)
"""
VERBS = """
import sys
from windtunnel.harness.cli.main import main

for line in sys.argv[1].splitlines():
    sys.argv = ["windtunnel", *line.split()]
    try:
        main()
    except SystemExit as error:
        print("VERB", line, error.code, flush=True)
"""


def _answers(folder: Path, *verbs: str) -> tuple[dict[str, str], str]:
    """The exit code of each verb, all in one process that may open no socket, and what stood in the errors."""
    (folder / "sitecustomize.py").write_text(FORBIDDEN)
    environment = child_environment(
        HOME=str(folder), PYTHONPATH=str(folder), HF_HOME=str(folder / "hub"), WINDTUNNEL_CACHE=str(folder / "kept")
    )
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", VERBS, "\n".join(verbs)], capture_output=True, text=True, check=False, cwd=folder, env=environment
    )
    codes = dict(line.removeprefix("VERB ").rsplit(" ", 1) for line in done.stdout.splitlines() if line.startswith("VERB "))
    return codes, done.stderr


def test_the_hook_forbids(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(FORBIDDEN)
    environment = child_environment(PYTHONPATH=str(tmp_path))
    code = "import socket; socket.getaddrinfo('localhost', 1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert "SOCKET socket.getaddrinfo" in done.stderr


def test_no_verb_opens_a_socket(tmp_path: Path, textattack: object) -> None:
    """Checkpoints and rows in files, a text attack, probes and reports; nothing says that there is no network."""
    (tmp_path / "gates.yaml").write_text("- reviews.accuracy.value >= 0\n")
    verbs = [
        f"plan {DEMO}", f"run {DEMO} --limit 4 --out run -q", "report run", "gate run gates.yaml", "verify run", "list", f"prefetch {DEMO}",
        "show sst2", f"tune {DEMO} --limit 1",
    ]  # fmt: skip
    codes, errors = _answers(tmp_path, *verbs)
    assert "SOCKET" not in errors, errors[-4000:]
    assert {verb for verb, code in codes.items() if code not in ("0", "1", "3")} == set(), errors[-2000:]
    assert len(codes) == len(verbs)
