"""A failed download is one kind of error."""

import pytest

from dermseg.errors import ConfigError
from dermseg.layers.downloads import downloading


def test_whatever_a_download_raises_names_the_weights_and_the_remedy():
    message = r"res2net50d cannot be had \(no network\).*pretrained=False"
    with pytest.raises(ConfigError, match=message), downloading("res2net50d"):
        raise OSError("no network")
