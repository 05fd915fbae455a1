"""Seven small pairs, and a record of which were decoded."""

import pytest
from small_pairs import make_pairs

from dermseg.data import decoding
from dermseg.data.pairs import Pair


@pytest.fixture
def pairs(tmp_path):
    return make_pairs(tmp_path / "data", 7)


@pytest.fixture
def decoded(monkeypatch):
    """Identifiers in the order in which their pairs were decoded."""
    names: list[str] = []
    decode = decoding._decode

    def counted(pair: Pair, *arguments):
        names.append(pair.identifier)
        return decode(pair, *arguments)

    monkeypatch.setattr(decoding, "_decode", counted)
    return names
