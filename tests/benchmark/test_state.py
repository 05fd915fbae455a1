"""The file that says how far a cell is."""

import json
from dataclasses import asdict

from dermseg.benchmark.state import State, read_state, write_state


def test_a_state_is_read_as_it_was_written(tmp_path):
    state = State("failed", error="memory", epochs_before=3)
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state


def test_a_state_of_an_earlier_version_is_read_without_what_it_no_longer_holds(tmp_path):
    state = State("done", seconds=1.5)
    (tmp_path / "state.json").write_text(json.dumps({**asdict(state), "attempts": 2}))
    assert read_state(tmp_path) == state
