from typing import Any, ClassVar

import pytest
from parity import ParityTester
from tester import ModelTester

from dermseg.models.registry import create_model


class TestMambaUNet(ModelTester):
    name = "mamba_unet"
    arguments: ClassVar[dict[str, Any]] = {"width": 8, "depths": (1, 1, 1, 1), "state": 4}


@pytest.mark.parity
class TestMambaUNetParity(ParityTester):
    name = "mamba_unet"
    recording = "mamba_unet"
    atol = 1e-4


def test_decoder_steps_drop_paths_as_often_as_the_encoder_stage_of_their_size():
    model = create_model("mamba_unet", width=8, depths=(1, 2, 1, 2), drop_path=0.3)
    encoder = [[block.drop_path.p for block in stage] for stage in model.encoder.stages]
    decoder = [[block.drop_path.p for block in stage] for stage in model.stages]
    assert decoder == encoder[2::-1]
    assert encoder[3][-1] == pytest.approx(0.3)
