import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dermseg.errors import CheckpointError, DataError
from dermseg.training.feedback import MaskStore

NAMES = ("a", "b", "c", "d")


def bright(identifiers):
    """First masks: all lesion for "a", none for the others."""
    return torch.stack([torch.full((1, 5, 7), float(name == "a")) for name in identifiers])


def drawn(count, seed=0, size=(5, 7)):
    return torch.rand(count, 1, *size, generator=torch.Generator().manual_seed(seed)) > 0.5


def test_an_image_starts_with_the_first_mask():
    masks = MaskStore(bright).get(("b", "a"))
    assert masks.dtype == torch.uint8
    assert masks.shape == (2, 1, 5, 7)
    assert not masks[0].any()
    assert masks[1].all()


def test_a_prediction_takes_the_place_of_the_mask_before():
    store, earlier, later = MaskStore(bright), drawn(2, 1), drawn(1, 2)
    store.replace(("a", "b"), earlier)
    assert torch.equal(store.get(("b", "a")), earlier.flip(0).byte())
    store.replace(("b",), later)
    assert torch.equal(store.get(("a", "b")), torch.cat([earlier[:1], later]).byte())
    assert not store.get(("c",)).any()


def test_first_masks_are_asked_for_only_where_none_is_predicted():
    asked = []
    store = MaskStore(lambda names: asked.append(tuple(names)) or bright(names))
    store.replace(("b",), drawn(1))
    store.get(("a", "b", "c"))
    store.get(("b",))
    assert asked == [("a", "c")]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_a_restored_store_shows_the_same_masks(height, width, seed):
    store, predicted = MaskStore(bright), drawn(3, seed, (height, width))
    store.replace(("a", "b", "c"), predicted)
    restored = MaskStore(bright)
    restored.load_state_dict(store.state_dict())
    assert torch.equal(restored.get(("c", "a", "b")), predicted[[2, 0, 1]].byte())


def test_an_empty_store_is_restored_empty():
    restored = MaskStore(bright)
    restored.load_state_dict(MaskStore(bright).state_dict())
    assert torch.equal(restored.get(NAMES), bright(NAMES).byte())
    restored.replace(("a",), drawn(1, size=(2, 2)))


def test_the_state_is_plain_enough_to_be_read_without_code(tmp_path):
    store = MaskStore(bright)
    store.replace(("a",), drawn(1))
    torch.save(store.state_dict(), tmp_path / "state.pt")
    restored = MaskStore(bright)
    restored.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(restored.get(("a",)), drawn(1).byte())


@pytest.mark.parametrize(
    "damage", [{"bits": torch.zeros(1, 2)}, {"shape": []}, {"identifiers": []}, {"bits": None}]
)
def test_a_damaged_state_is_refused(damage):
    store = MaskStore(bright)
    store.replace(("a",), drawn(1))
    with pytest.raises(CheckpointError, match="mask store"):
        MaskStore(bright).load_state_dict(store.state_dict() | damage)


@pytest.mark.parametrize("shape", [(5, 7), (1, 2, 5, 7), (2, 1, 5, 7), (1, 1, 7, 5)])
def test_masks_of_another_shape_are_refused(shape):
    store = MaskStore(bright)
    store.replace(("a",), drawn(1))
    with pytest.raises(DataError, match="shape"):
        store.replace(("b",), torch.zeros(shape))
