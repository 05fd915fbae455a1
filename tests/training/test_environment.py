"""The revision that a run names is that of dermseg."""

import subprocess

from dermseg.training import environment


def git(folder, *words):
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    subprocess.run(["git", "-C", folder, *identity, *words], check=True, capture_output=True)


def test_the_repository_around_an_installed_package_is_not_ours(tmp_path, monkeypatch):
    git(tmp_path, "init")
    (tmp_path / "notes.txt").touch()
    git(tmp_path, "add", "notes.txt")
    git(tmp_path, "commit", "-m", "mine")
    installed = tmp_path / "environment.py"
    installed.touch()
    monkeypatch.setattr(environment, "__file__", str(installed))
    assert environment.environment()["revision"] is None
    git(tmp_path, "add", "environment.py")
    git(tmp_path, "commit", "-m", "ours")
    revision = environment.environment()["revision"]
    assert len(revision) == 40
    installed.write_text("changed")
    assert environment.environment()["revision"] == revision + "+"


def test_nothing_names_the_user_or_the_machine():
    assert environment.environment().keys() == {
        *("dermseg", "revision", "python", "packages", "system", "processor", "threads", "gpu")
    }
