import subprocess
import sys

import pytest

from dermseg.errors import ConfigError
from dermseg.models.registry import create_model, list_models, model_arguments, model_info, register_model

SMALL = {"width": 8, "depths": (1, 1, 1, 1), "depths_decoder": (1, 1, 1, 1)}


def test_names_are_listed_sorted_and_by_wildcard():
    assert list_models("vm_unet*") == ["vm_unet", "vm_unet_d2292", "vm_unet_v2", "vm_unet_v2_nods"]
    assert list_models("vm_unet") == ["vm_unet"]
    assert list_models("nothing*") == []
    assert list_models() == sorted(list_models())


def test_an_unknown_name_is_refused_with_near_ones():
    with pytest.raises(ConfigError, match="did you mean xlstm_vmunet"):
        create_model("xlstm_vm_unet")
    with pytest.raises(ConfigError, match=r"choose one of: .*vm_unet"):
        create_model("qqqq")


@pytest.mark.parametrize("name", [None, ["unet"], 3])
def test_a_name_that_is_no_text_is_refused(name):
    with pytest.raises(ConfigError, match="must be text"):
        create_model(name)


def test_an_unknown_argument_is_refused_with_the_valid_ones():
    with pytest.raises(ConfigError, match=r"no argument depth; it has: width, depths, depths_decoder"):
        create_model("vm_unet", depth=3)


def test_a_variant_has_its_own_defaults_which_overrides_replace():
    assert model_arguments("vm_unet")["depths"] == (2, 2, 2, 2)
    assert model_arguments("vm_unet_d2292")["depths"] == (2, 2, 9, 2)
    model = create_model("vm_unet_d2292", **SMALL)
    assert [len(stage) for stage in model.encoder.stages] == [1, 1, 1, 1]
    assert model.arguments == SMALL


def test_a_name_is_given_once():
    with pytest.raises(ConfigError, match="already"):
        register_model("vm_unet", model_info("vm_unet"))(type(create_model("vm_unet", **SMALL)))


def test_listing_models_does_not_import_timm():
    code = (
        "from dermseg.models import registry; registry.list_models(); import sys; exit('timm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
