"""docs/architecture.md names everything that lies at the top of the package."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_page_lists_every_file_and_folder_of_the_package():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    tree = page.split("src/dermseg/\n")[1].split("\nconfigs/")[0]
    listed = set(re.findall(r"^  (\w+(?:\.py|/))", tree, re.MULTILINE))
    package = ROOT / "src" / "dermseg"
    files = {path.name for path in package.glob("*.py") if not path.name.startswith("__")}
    folders = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert listed == files | folders
