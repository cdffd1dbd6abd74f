"""The options by which verbs name a suite, each written once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..api.errors import ConfigError
from .environment import prepare

if TYPE_CHECKING:
    from ..suite.specs import Suite

PluginFiles = Annotated[
    list[str] | None,
    typer.Option("--plugin", help="A Python file with plugins, in addition to the suite's. Repeatable."),
]

BaselineOption = Annotated[
    Path | None,
    typer.Option("--baseline", help="A run folder or a file of 'windtunnel baseline', for gates with 'drop'; for a run, also 'none'."),
]

BaselineModelOption = Annotated[
    str | None,
    typer.Option("--baseline-model", help="Compare with this model of the baseline. Default: the same name, or its only model."),
]

_HOW_TO_GIVE = {"models": "--model KIND:TARGET", "tasks": "--tasks NAME,NAME"}


def read_suite(
    suite_file: Annotated[
        Path | None,
        typer.Argument(metavar="SUITE.yaml", help="A suite file. Without one, set --model and --tasks."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="KIND:TARGET, e.g. hf:path/or/hub-name. Repeatable."),
    ] = None,
    tasks: Annotated[str | None, typer.Option("--tasks", help="Task names or YAML files, separated by commas.")] = None,
    attacks: Annotated[str | None, typer.Option("--attacks", help="Attack names, separated by commas.")] = None,
    probes: Annotated[str | None, typer.Option("--probes", help="Probe names, separated by commas.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Use only the first N samples of each task; see --shuffle.")] = None,
    shuffle: Annotated[
        int | None, typer.Option("--shuffle", min=0, metavar="SEED", help="Take samples in a random order: a limit takes a random part.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of all random draws.")] = None,
    device: Annotated[str | None, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = None,
    dtype: Annotated[str | None, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")] = None,
    plugin: PluginFiles = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(
            "--gate",
            help="A gate, e.g. 'sst2.accuracy >= 0.85' or '{check: sst2.accuracy, drop: 0.01}', or a file of gates, "
            "instead of the suite's. Repeatable.",
        ),
    ] = None,
    baseline: BaselineOption = None,
    baseline_model: BaselineModelOption = None,
    cache: Annotated[str | None, typer.Option("--cache", help="A file of answers that several runs share.")] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Keep Hugging Face libraries off the network; missing files are errors.")
    ] = False,
    required: Collection[str] = ("models", "tasks"),
) -> Suite:
    """Prepare the process and read a suite: the file's, its keys replaced by the options given, or that of the options.

    required: the keys of a suite that must be given where there is no file.

    Raises `ConfigError` where neither a file nor these keys are given.
    """
    prepare(offline)
    from ..scorecard.gates import read_argument

    given = {
        "models": model or None,
        "tasks": _split_names(tasks),
        "attacks": _split_names(attacks),
        "probes": _split_names(probes),
        "limit": limit,
        "shuffle": shuffle,
        "seed": seed,
        "device": device,
        "dtype": dtype,
        "cache": cache,
        "plugins": plugin or None,
        "gates": [entry for text in gate for entry in read_argument(text)] if gate else None,
        "baseline": str(baseline) if baseline is not None else None,
        "baseline_model": baseline_model,
    }
    options = {key: value for key, value in given.items() if value is not None}
    from ..suite.load import load_suite, make_suite

    if suite_file is not None:
        return load_suite(suite_file, **options)
    if not all(key in options for key in required):
        needed = " and ".join(_HOW_TO_GIVE[key] for key in required)
        raise ConfigError(f"give a suite file, or {needed}; 'windtunnel demo' needs neither")
    return make_suite({"name": "run", **options}, base=Path.cwd(), required=required)


def takes_suite(
    *options: str, required: Collection[str] = ("models", "tasks")
) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Replace a verb's first parameter, its suite, by the options that name one.

    options: those of `read_suite` that the verb takes, by parameter name; without any, all of them.
    required: as in `read_suite`.
    """
    offered = {name: parameter for name, parameter in _list_parameters(read_suite).items() if name != "required"}
    taken = [parameter for name, parameter in offered.items() if not options or name in options]

    def decorate(verb: Callable[..., int | None]) -> Callable[..., int | None]:
        own = list(_list_parameters(verb).values())[1:]

        @wraps(verb)
        def work(**given: Any) -> int | None:
            suite = read_suite(**{p.name: given.pop(p.name) for p in taken}, required=required)
            return verb(suite, **given)

        # Typer reads both: the signature for what there is, the annotations for the types.
        parameters = [p.replace(kind=p.KEYWORD_ONLY) for p in (*taken, *own)]
        work.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        work.__annotations__ = {p.name: p.annotation for p in parameters}
        return work

    return decorate


def _list_parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    # The suite's class is heavy, and no option.
    return inspect.signature(function, eval_str=True, locals={"Suite": object}).parameters


def _split_names(text: str | None) -> list[str] | None:
    """The names of a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()] if text else None
