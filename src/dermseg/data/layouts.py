"""The names of the layouts of data folders, which `dermseg.data.readers` reads."""

from typing import Literal, get_args

Layout = Literal["auto", "isic2016_task1", "isic2017_task1", "isic2018_task1", "ham10000", "ph2", "folder"]
"""`auto` looks which of the others a folder fits."""

LAYOUTS: tuple[Layout, ...] = get_args(Layout)
