"""The recorded facts are read by the helper of the networks' tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "models"))
