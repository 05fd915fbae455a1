"""What there is to say about one network: `dermseg models NAME`, and its page in the documentation."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.table import Table

from dermseg.costs.network import NetworkCosts, StageCosts, network_costs
from dermseg.costs.table import SIZE
from dermseg.models.base import Preprocessing, SegmentationModel
from dermseg.models.registry import ModelInfo, create_model, model_info
from dermseg.models.table import console, in_bytes, in_units, multiply_adds

_DEPARTURES = "Departures:"


@dataclass(frozen=True)
class Summary:
    """A network in its default form."""

    name: str
    info: ModelInfo
    description: tuple[str, ...]
    """Paragraphs of its docstring."""
    departures: tuple[str, ...]
    """Paragraphs on where the release departs from its paper, or ours from the release."""
    preprocessing: Preprocessing
    stride: int
    promises: tuple[tuple[str, str], ...]
    """Lines of a name and a value: what the network's flags say, which its tests hold it to."""
    costs: NetworkCosts

    @property
    def totals(self) -> list[tuple[str, str]]:
        """Lines of a name and a value, for the whole network."""
        costs, info = self.costs, self.info
        expected = info.parameters - info.dead
        note = "" if costs.parameters == expected else ", of another form than the released one"
        return [
            ("parameters released", f"{info.parameters:,}"),
            ("of these dead, and not built", f"{info.dead:,}"),
            ("parameters of ours", f"{costs.parameters:,}{note}"),
            ("multiply-adds", multiply_adds(costs.multiply_adds, costs.passes)),
            ("of these in scans", in_units(costs.scan)),
            (
                "multiply-adds as papers count them",
                f"{in_units(costs.printed)} (layers alone, without scans and einsum)",
            ),
            (
                "activations alive at most",
                f"{in_bytes(costs.peak_bytes)} (one image, float32, without gradients)",
            ),
            ("for one image of", f"{costs.size} x {costs.size} px"),
            ("default input size", f"{self.preprocessing.size} px"),
        ]


def summarize(name: str) -> Summary:
    """Collect everything about a network.

    Raises:
        ConfigError: If there is no such network.
    """
    with torch.device("meta"):
        model = create_model(name)
    description, departures = _paragraphs(type(model))
    return Summary(
        name=name,
        info=model_info(name),
        description=description,
        departures=departures,
        preprocessing=model.preprocessing,
        stride=model.stride,
        promises=_promises(model),
        costs=network_costs(name, SIZE),
    )


def _promises(model: SegmentationModel) -> tuple[tuple[str, str], ...]:
    any_size = model.exports_any_size and model.batch_independent
    side = model.preprocessing.size
    exported = "any number of images of any size" if any_size else f"one image of {side} x {side} px"
    return (
        ("an image's result depends on its batch", "no" if model.batch_independent else "yes"),
        ("torch.compile to one graph", "yes" if model.compiles else "no"),
        ("ONNX export", exported if model.exports_to_onnx else "no"),
    )


def shape_of(stage: StageCosts) -> str:
    """Return the shape of what a stage returns, without the batch; of several maps the number."""
    if len(stage.shapes) == 1:
        return " x ".join(str(side) for side in stage.shapes[0][1:])
    return f"{len(stage.shapes)} tensors" if stage.shapes else ""


def _paragraphs(model: type[SegmentationModel]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split the docstring of a network, without its arguments, into what it is and where it departs."""
    text = (inspect.getdoc(model) or "").partition("\nArgs:")[0]
    paragraphs = [paragraph for paragraph in text.split("\n\n") if paragraph.strip()]
    first = next((i for i, each in enumerate(paragraphs) if each.startswith(_DEPARTURES)), len(paragraphs))
    departures = [each.removeprefix(_DEPARTURES).strip() for each in paragraphs[first:]]
    return tuple(paragraphs[:first]), tuple(_capital(each) for each in departures)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def print_summary(name: str) -> None:
    """Print a network stage by stage, with its totals.

    Raises:
        ConfigError: If there is no such network.
    """
    summary = summarize(name)
    info = summary.info
    out = console()

    def text(*lines: str) -> None:
        out.print(*lines, sep="\n", highlight=False, markup=False)

    text(f"{info.title} ({name}), {info.year}, {info.family}")
    text(f"paper: {info.paper}", f"original code: https://github.com/{info.code} ({info.licence})", "")
    for paragraph in summary.description:
        text(_joined(paragraph), "")
    out.print(_table(summary.costs.stages))
    lines = (*summary.totals, *summary.promises)
    width = max(len(label) for label, _ in lines)
    text("", *(f"{label:<{width}}  {value}" for label, value in lines))
    for number, paragraph in enumerate(summary.departures):
        text("", ("Departures: " if number == 0 else "") + _joined(paragraph))


def _table(stages: Sequence[StageCosts]) -> Table:
    table = Table("stage", "output", "parameters", "multiply-adds", "activations alive")
    for column in table.columns[2:]:
        column.justify = "right"
    for stage in stages:
        table.add_row(
            "  " * (stage.depth - 1) + stage.name,
            shape_of(stage),
            in_units(stage.parameters),
            in_units(stage.multiply_adds),
            in_bytes(stage.peak_bytes),
        )
    return table


def _joined(paragraph: str) -> str:
    """Return a paragraph as one line, for the terminal to break."""
    return " ".join(paragraph.split())
