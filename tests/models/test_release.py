"""What releases divide otherwise than we do; the tables of names are tested by every network's own tests."""

import pytest
import torch

from dermseg.errors import CheckpointError
from dermseg.models.release import join_attention

PARTS = {
    f"layer.{layer}.attn.{part}.{kind}": torch.full(shape, 10.0 * layer + place)
    for layer in (0, 1)
    for place, part in enumerate(("query", "key", "value"))
    for kind, shape in (("weight", (2, 3)), ("bias", (2,)))
}


def test_query_key_and_value_are_joined_in_this_order():
    joined = join_attention({"norm.weight": torch.ones(2)} | PARTS)
    assert set(joined) == {"norm.weight"} | {
        f"layer.{layer}.attn.qkv.{kind}" for layer in (0, 1) for kind in ("weight", "bias")
    }
    assert joined["layer.1.attn.qkv.bias"].tolist() == [10, 10, 11, 11, 12, 12]
    assert joined["layer.0.attn.qkv.weight"][:, 0].tolist() == [0, 0, 1, 1, 2, 2]


def test_a_stranger_stays_to_be_refused_by_its_name():
    stranger = {"layer.0.attn.query.weight_new": torch.zeros(2)}
    assert join_attention(stranger) == stranger


def test_our_own_joined_attention_is_not_released():
    with pytest.raises(CheckpointError, match=r"unknown key .*attn\.qkv\.weight.*load_model"):
        join_attention({"transformer.encoder.layer.0.attn.qkv.weight": torch.zeros(6, 2)})


@pytest.mark.parametrize("key", PARTS)
def test_a_lost_or_deformed_part_is_named(key: str):
    with pytest.raises(CheckpointError, match=f"missing key {key}"):
        join_attention({name: value for name, value in PARTS.items() if name != key})
    with pytest.raises(CheckpointError, match=f"{key} has "):
        join_attention(PARTS | {key: torch.zeros(5)})
