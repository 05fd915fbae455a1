"""How a package that is not there comes into the environment that dermseg runs in."""

import shlex
import sys


def installing(*packages: str) -> str:
    """Write the command that installs packages for this Python.

    An environment as the README makes it has no pip of its own: there, `pip` alone is that of another Python.
    """
    return shlex.join(["pip", "--python", sys.executable, "install", *packages])
