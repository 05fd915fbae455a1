"""The command that installs what is missing."""

import shlex
import sys

from dermseg.installing import installing


def test_the_command_names_this_python_and_keeps_every_requirement_one_word(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/home/a b/.venv/bin/python")
    words = shlex.split(installing("torch>=2.7", "onnx"))
    assert words == ["pip", "--python", "/home/a b/.venv/bin/python", "install", "torch>=2.7", "onnx"]
