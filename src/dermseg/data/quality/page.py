"""The page of a quality report: one file, which shows the worst of every kind."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dermseg.data.duplicates import Duplicate
from dermseg.data.pairs import Pair, Problem, read_pair
from dermseg.data.quality.examination import Examination
from dermseg.data.quality.measures import Measures
from dermseg.data.quality.plots import area_plot, contrast_plots, position_plot, size_plot
from dermseg.data.quality.suspicions import Suspicion
from dermseg.figures import TARGET_COLOUR, outlined_thumbnail
from dermseg.pages import escaped, gallery, table, thumbnail, write_page

THUMBNAIL = 160
"""Longer side of the pictures in pixels."""
SHOWN = 12
"""Pictures of each kind."""
LISTED = 500
"""Lines of each list; the JSON file has all."""
_SIZES = 10
"""Sizes of images that are listed."""


def write_quality_page(path: Path, examination: Examination, folder: str) -> None:
    """Write the page.

    Args:
        path: Destination.
        examination: What was found.
        folder: Folder of the data set as the user gave it.
    """
    pairs = {pair.identifier: pair for pair in examination.collection.pairs}
    sections = [
        f'<p class="lead">{escaped(folder)}</p>',
        _facts(examination),
        _problems(examination.problems),
        section_of_images(examination) if examination.measures else "",
        _suspicious(examination, pairs),
        _duplicates(examination.duplicates, pairs),
        _METHOD,
    ]
    write_page(path, f"Quality of {examination.collection.name}", "\n".join(sections))


def _facts(examination: Examination) -> str:
    facts = [
        (len(examination.measures), "usable pairs"),
        (len(examination.problems), "problems"),
        (len(examination.empty), "empty masks"),
        *((len(found), suspicion.title.lower()) for suspicion, found in examination.suspicious.values()),
        (len(examination.duplicates), "near-duplicate pairs"),
    ]
    items = (f"<li><b>{count:,}</b>{escaped(name)}</li>" for count, name in facts)
    return f'<ul class="facts">{"".join(items)}</ul>'


def _problems(problems: Sequence[Problem]) -> str:
    if not problems:
        return "<h2>Files that cannot be used</h2><p>None.</p>"
    rows = [(problem.path, problem.reason) for problem in problems[:LISTED]]
    return (
        "<h2>Files that cannot be used</h2>"
        "<p>These are left out of training and evaluation until they are mended.</p>"
        + table(("file", "what is wrong with it"), rows)
        + _rest(len(problems))
    )


def section_of_images(examination: Examination) -> str:
    """Show the sizes of the images, and the lesions' areas, places and contrasts, as HTML."""
    rows = [(f"{width} x {height}", f"{count:,}") for (height, width), count in examination.sizes[:_SIZES]]
    more = len(examination.sizes) - len(rows)
    return "\n".join(
        [
            '<h2>Images</h2><div class="plots"><div>',
            table(("width x height", "images"), rows, numeric=("images",)),
            f'<p class="small">and {more:,} other sizes</p>' if more > 0 else "",
            "</div>",
            size_plot(examination),
            "</div>",
            '<h2>Lesions</h2><div class="plots">',
            area_plot(examination),
            position_plot(examination),
            *contrast_plots(examination),
            "</div>",
        ]
    )


def _suspicious(examination: Examination, pairs: Mapping[str, Pair]) -> str:
    parts = [
        "<h2>Suspicious pairs</h2>",
        '<p>The worst of every kind, with the outline of the mask <span class="key" '
        'style="background:#ffd600"></span>. They are usable; look at them before you trust them.</p>',
    ]
    for suspicion, found in examination.suspicious.values():
        parts.append(f"<h3>{escaped(suspicion.title)}: {len(found):,}</h3>")
        if found:
            parts.append(f'<p class="small">{escaped(suspicion.meaning)}</p>')
            parts.append(gallery(_shown(suspicion, pair, pairs) for pair in found[:SHOWN]))
            parts.append(_others(suspicion, found[SHOWN:]))
    return "\n".join(parts)


def _shown(suspicion: Suspicion, pair: Measures, pairs: Mapping[str, Pair]) -> str:
    return _thumbnail(pairs[pair.identifier], f"{pair.identifier}: {suspicion.detail(pair)}")


def _others(suspicion: Suspicion, others: Sequence[Measures]) -> str:
    if not others:
        return ""
    rows = [(pair.identifier, suspicion.detail(pair)) for pair in others[:LISTED]]
    return (
        f"<details><summary>{len(others):,} more</summary>"
        f"{table(('pair', 'measured'), rows)}{_rest(len(others))}</details>"
    )


def _duplicates(duplicates: Sequence[Duplicate], pairs: Mapping[str, Pair]) -> str:
    parts = [f"<h2>Near-duplicates: {len(duplicates):,}</h2>"]
    if duplicates:
        parts.append(
            "<p>Pictures of the same lesion. On two sides of a split they make the test easier than it is; "
            "dermseg keeps them on one. Where their masks differ, see how far annotators agree.</p>"
        )
        parts.append(gallery(_both(duplicate, pairs) for duplicate in duplicates[:SHOWN]))
    if len(duplicates) > SHOWN:
        rest = duplicates[SHOWN:]
        rows = [(pair.first, pair.second, f"{pair.correlation:.3f}") for pair in rest[:LISTED]]
        titles = ("one", "the other", "correlation")
        parts.append(
            f"<details><summary>{len(rest):,} more</summary>"
            f"{table(titles, rows, numeric=titles[2:])}{_rest(len(rest))}</details>"
        )
    return "\n".join(parts)


def _both(duplicate: Duplicate, pairs: Mapping[str, Pair]) -> str:
    captions = (duplicate.first, f"{duplicate.second} (correlation {duplicate.correlation:.3f})")
    pictures = zip((duplicate.first, duplicate.second), captions, strict=True)
    return f'<div class="pair">{"".join(_thumbnail(pairs[name], text) for name, text in pictures)}</div>'


def _thumbnail(pair: Pair, caption: str) -> str:
    """Draw a pair, read once more: to keep the pictures of all would fill the memory."""
    found = read_pair(pair)
    if isinstance(found, Problem):
        return (
            f"<figure><figcaption>{escaped(caption)} (changed since it was looked at)</figcaption></figure>"
        )
    image, mask = found
    return thumbnail(outlined_thumbnail(image, [(mask, TARGET_COLOUR)], THUMBNAIL), caption)


def _rest(count: int) -> str:
    if count <= LISTED:
        return ""
    return f'<p class="small">and {count - LISTED:,} more; <code>--json FILE</code> lists all</p>'


_METHOD = """<h2>How it was measured</h2>
<p class="small">Masks at native size. Pieces that touch at a corner are one; skin that does is apart. Colours
are compared in CIELAB between two strips along the border, one inside and one outside, each as wide as a
third of the lesion's radius; black corners are left out. Near-duplicates are found by perceptual hash and
confirmed by correlation. Nothing on this page says that a pair is wrong.</p>"""
