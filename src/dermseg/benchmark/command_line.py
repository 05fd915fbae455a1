"""The sub-commands of `dermseg benchmark`: typed functions whose docstrings are their help.

Nothing heavy is imported before one runs; `dermseg.cli` lists them.
"""

from pathlib import Path


def benchmark_run(words: list[str]) -> int:
    """Train and test every system on every fold; options are the fields of `BenchmarkArguments`."""
    from dermseg.benchmark.arguments import parse

    request = parse(words)
    # Not before: help and mistakes need no torch.
    from dermseg.benchmark.run import run_benchmark

    return 1 if run_benchmark(request).having("failed") else 0


def benchmark_status(results: Path) -> int:
    """Show which cells of a benchmark are done, running, left and failed, and how long the rest will take.

    Args:
        results: Folder of the benchmark.
    """
    from rich.console import Console

    from dermseg.benchmark.status import print_status, survey

    found = survey(results)
    print_status(found, Console())
    return 1 if found.having("failed") else 0


def benchmark_report(
    results: Path, out: Path | None = None, data: Path | None = None, without_pictures: bool = False
) -> int:
    """Write the tables, the figures and a page of a benchmark from the scores it has stored.

    Args:
        results: Folder of the benchmark, finished or not.
        out: Folder of the report; by default `report` in that of the benchmark.
        data: Folder of the images, if they have moved; pictures are drawn from them.
        without_pictures: Leave out all that shows an image, so that the report may be published.
    """
    from dermseg.benchmark.report import write_report

    write_report(results, out or results / "report", data, without_pictures)
    return 0
