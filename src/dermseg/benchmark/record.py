"""What a cell says of itself in cell.json, its scores apart."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from dermseg.benchmark.plan import Cell, Plan
from dermseg.costs.network import network_costs
from dermseg.files import read_json
from dermseg.training.arguments import TrainArguments
from dermseg.training.run import TrainResult


def describe_cell(
    plan: Plan, cell: Cell, arguments: TrainArguments, result: TrainResult, measured: Mapping[str, Any]
) -> dict[str, Any]:
    """Gather what made the scores of a cell, and what the network costs, as JSON values.

    Args:
        plan: Of the benchmark.
        cell: Trained and tested.
        arguments: Of its training.
        result: Of its training.
        measured: What was measured on the machine.
    """
    summary = read_json(result.folder / "summary.json")
    assert summary is not None  # train has just written it
    # The layers of a pretrained encoder cost the same without the download.
    plain = {key: value for key, value in arguments.model_arguments.items() if key != "pretrained"}
    costs = network_costs(arguments.model, arguments.size, **plain)
    return {
        "system": cell.system.label,
        "model": arguments.model,
        "model_arguments": arguments.model_arguments,
        "fold": cell.fold,
        "seed": cell.seed,
        "split": summary["split"],
        "recipe": plan.recipe,
        # The file of the split is named by a path, which means nothing elsewhere.
        "configuration": {**summary["arguments"], "split": summary["split"]["name"]},
        "environment": summary["environment"],
        "images": summary["images"],
        "epochs": len(result.history.epochs),
        "best_epoch": result.history.best.epoch,
        "validation": asdict(result.history.kept(arguments.keep)),
        "size": costs.size,
        "parameters": costs.parameters,
        "multiply_adds": costs.multiply_adds,
        "multiply_adds_printed": costs.printed,
        "passes": costs.passes,
        "peak_activation_bytes": costs.peak_bytes,
        **measured,
    }
