"""The package's own names are there, and importing it is cheap."""

import subprocess
import sys

import pytest

import dermseg


@pytest.mark.parametrize("name", dermseg.__all__)
def test_every_public_name_resolves(name: str):
    assert getattr(dermseg, name).__name__ == name
    assert name in dir(dermseg)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_thing"):
        dermseg.no_such_thing  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, dermseg; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
