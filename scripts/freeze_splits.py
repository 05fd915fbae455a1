"""Write the frozen split files of the package: identifiers only, drawn once, so that results stay comparable.

Run `python scripts/freeze_splits.py ISIC_DIR PH2_DIR` with the folders of ISIC 2018 Task 1 (the 2,094 training
pairs the splits are about; further pairs change the draw) and PH2. The same folders give the same files.
"""

import argparse
from pathlib import Path

from dermseg.data.readers import read_collection
from dermseg.data.splits import Split, hold_out, save_split

FROZEN = Path(__file__).parents[1] / "src" / "dermseg" / "data" / "frozen"

# Pairs of ISIC 2018 training images that show one lesion: the same picture saved twice, or published again
# with other colours, crop or rotation. They were found among the 2,094 images in two steps, each by the largest
# normalised cross-correlation of high-pass filtered luminance over shifts, mirrorings and turns: all pairs
# at 32 px, then the 1,948 pairs above 0.8 at 128 px; and, since most hits paired numbers 100-300 with
# 14500-15700, all pairs of those at 64 px. A person looked at every hit above 0.87 and kept the same lesions.
ONE_LESION = """
    0000157 0014946   0000164 0014795   0000169 0015132   0000173 0015110   0000183 0015311   0000184 0015310
    0000189 0015161   0000191 0014907   0000193 0015436   0000201 0015023   0000204 0014748   0000206 0014739
    0000209 0015016   0000212 0014927   0000215 0015313   0000218 0015241   0000222 0014846   0000223 0014818
    0000224 0014791   0000225 0014778   0000226 0014949   0000227 0015034   0000230 0014763   0000231 0015146
    0001134 0010016   0012205 0013204   0012222 0016003   0012290 0013594   0012672 0012673   0012756 0013184
    0013109 0013163   0015945 0015946   0015986 0015987
""".split()


def main() -> None:
    """Draw and write the splits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("isic", type=Path)
    parser.add_argument("ph2", type=Path)
    arguments = parser.parse_args()

    isic = read_collection(arguments.isic, "isic2018_task1").identifiers
    names = [f"ISIC_{number}" for number in ONE_LESION]
    groups = [list(group) for group in zip(names[::2], names[1::2], strict=True)]
    drawn = hold_out(isic, validation=200, test=300, seed=2018, groups=groups)
    origin = {
        "made_by": "python scripts/freeze_splits.py",
        "data": "ISIC 2018 Task 1, 2,094 of the 2,594 training pairs",
        **drawn.origin,
        "kept_together": groups,
    }
    isic_split = Split("isic2018-2094", drawn.train, drawn.validation, drawn.test, origin)

    ph2 = read_collection(arguments.ph2, "ph2").identifiers
    origin = {"made_by": "python scripts/freeze_splits.py", "data": "PH2, 150 of the 200 pairs; all are test"}
    ph2_split = Split("ph2-150", (), (), ph2, origin)
    for split in (isic_split, ph2_split):
        save_split(split, FROZEN / f"{split.name}.json")


if __name__ == "__main__":
    main()
