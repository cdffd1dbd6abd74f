"""The command of a run may be published: what it holds of keys, tokens and passwords may not."""

from __future__ import annotations

import pytest
from windtunnel.harness.system.command_line import describe_command, hide_secrets


@pytest.mark.parametrize(
    "arguments",
    [
        ["--api-key", "s3cr3t"],
        ["--api-key=s3cr3t"],
        ["--OPENAI_API_KEY", "s3cr3t"],
        ["--hf-token", "s3cr3t"],
        ["--password=s3cr3t"],
        ["-token", "s3cr3t"],
        ["--model", "endpoint:m,base_url=https://x.example/v1,api_key=s3cr3t,temperature=0"],
        ["--model", "endpoint:https://user:s3cr3t@x.example/v1"],
        ["--model", "endpoint:https://s3cr3t@x.example"],
        ["https://x.example/v1?access_token=s3cr3t&n=1"],
        ["--header", "Authorization: Bearer s3cr3t"],
        ["--header", "Authorization:Basic s3cr3t"],
        ["--header", "X-Api-Key: s3cr3t"],
        ["--extra", '{"api_key": "s3cr3t", "n": 1}'],
        ["--bare", "hf_s3cr3ts3cr3ts3cr3ts3cr3t"],
        ["--bare", "sk-proj-s3cr3t-s3cr3t-s3cr3t"],
        ["--bare", "bearer s3cr3ts3cr3t"],
    ],
)
def test_secrets_are_hidden(arguments: list[str]) -> None:
    shown = " ".join(hide_secrets(arguments))
    assert "s3cr3t" not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "suite.yaml", "--out", "/home/ada/runs/first", "--limit", "20"],
        ["--max-new-tokens", "32"],
        ["--model", "hf:org/model@main,tokenizer=org/other,max_tokens=5"],
        ["--gate", "sst2.accuracy >= 0.9"],
        ["https://x.example/a@b"],
        ["--shuffle", "3"],
    ],
)
def test_the_rest_stays_as_typed(arguments: list[str]) -> None:
    assert hide_secrets(arguments) == arguments


def test_an_option_after_a_key_is_shown() -> None:
    assert hide_secrets(["--key", "--out", "folder"]) == ["--key", "--out", "folder"]


def test_a_command_is_a_line_for_a_shell() -> None:
    assert describe_command(["/home/ada/.venv/bin/windtunnel", "run", "my suite.yaml"]) == "windtunnel run 'my suite.yaml'"
    assert describe_command(["/opt/windtunnel/__main__.py", "--key", "x"]) == "windtunnel --key ***"
    assert describe_command([""]) == "python"
