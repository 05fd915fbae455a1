"""Write the frozen split files of the package: identifiers, drawn once for comparable results.

Run `python scripts/freeze_splits.py ISIC_DIR PH2_DIR` with the folders of ISIC 2018 Task 1 (the 2,094
training pairs the splits are about; further pairs change the draw) and of PH2 (150 pairs). The same folders
give the same files.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from dermseg.data.groups import Group, crossing, crossing_lines
from dermseg.data.readers import read_collection
from dermseg.data.splits import Split, hold_out, save_split

FROZEN = Path(__file__).parents[1] / "src" / "dermseg" / "data" / "frozen"

# Pairs of ISIC 2018 training images that show one lesion: the same picture saved twice, or published again
# with other colours, crop or rotation. Candidates were found among the 2,094 images by the largest normalised
# cross-correlation of high-pass filtered luminance over shifts, mirrorings and turns: all pairs at 32 px,
# then the 1,948 pairs above 0.8 at 128 px; and, since most hits paired numbers 100 to 300 with 14500 to
# 15700, all pairs of those at 64 px. Each of these pairs was then looked at; images that agree only in their
# ruler were dropped. Rotations beyond 15 degrees in the rest of the data may have been missed.
ONE_LESION = (
    (157, 14946),
    (164, 14795),
    (169, 15132),
    (173, 15110),
    (183, 15311),
    (184, 15310),
    (189, 15161),
    (191, 14907),
    (193, 15436),
    (201, 15023),
    (204, 14748),
    (206, 14739),
    (209, 15016),
    (212, 14927),
    (215, 15313),
    (218, 15241),
    (222, 14846),
    (223, 14818),
    (224, 14791),
    (225, 14778),
    (226, 14949),
    (227, 15034),
    (230, 14763),
    (231, 15146),
    (1134, 10016),
    (12205, 13204),
    (12222, 16003),
    (12290, 13594),
    (12672, 12673),
    (12756, 13184),
    (13109, 13163),
    (15945, 15946),
    (15986, 15987),
)

# Found by dermseg.data.duplicates after the split was frozen, and looked at. The lists stay as they are, so
# that results stay comparable; where such a pair lies on two sides, the split says so (`leaks`).
FOUND_LATER = ((240, 9998), (416, 11292), (420, 9910), (13498, 14178), (16059, 16063))


def main() -> None:
    """Draw and write the splits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("isic", type=Path)
    parser.add_argument("ph2", type=Path)
    arguments = parser.parse_args()

    isic = read_collection(arguments.isic, "isic2018_task1").identifiers
    groups, later = (
        [[f"ISIC_{number:07d}" for number in pair] for pair in pairs] for pairs in (ONE_LESION, FOUND_LATER)
    )
    drawn = hold_out(isic, validation=200, test=300, seed=2018, groups=groups)
    origin = {
        "made_by": "python scripts/freeze_splits.py",
        "data": "ISIC 2018 Task 1, 2,094 of the 2,594 training pairs",
        **drawn.origin,
        "kept_together": groups,
        "found_later": later,
    }
    isic_split = Split("isic2018-2094", drawn.train, drawn.validation, drawn.test, origin)
    crossed = crossing([Group(tuple(pair), "one lesion") for pair in later], isic_split)
    isic_split = replace(isic_split, origin={**origin, "leaks": crossing_lines(crossed, isic_split)})

    ph2 = read_collection(arguments.ph2, "ph2").identifiers
    origin = {"made_by": "python scripts/freeze_splits.py", "data": "PH2, 150 of the 200 pairs; all are test"}
    ph2_split = Split("ph2-150", (), (), ph2, origin)
    for split in (isic_split, ph2_split):
        save_split(split, FROZEN / f"{split.name}.json")


if __name__ == "__main__":
    main()
