"""What the parity classes of U-Mamba and xLSTM-UNet share: one network around two bottlenecks."""

from dataclasses import replace
from typing import ClassVar

import pytest
from golden import Golden, golden
from parity import ParityTester


class ResidualUNetParity(ParityTester):
    """Compares the scores of all six levels; no output of one logit is recorded."""

    outputs: ClassVar[dict[str, int]] = {}
    taps: ClassVar[dict[str, str]] = {f"out{level}": f"heads.{5 - level}" for level in range(6)}


class OneNameEachParity(ResidualUNetParity):
    """The same from a checkpoint that holds every tensor once, under its shortest name."""

    @pytest.fixture
    def data(self) -> Golden:
        data = golden(self.recording)
        aliases = {name for names in data.facts["aliases"].values() for name in names}
        entries = [entry for entry in data.facts["state_dict"] if entry[0] not in aliases]
        return replace(data, facts=data.facts | {"state_dict": entries})
