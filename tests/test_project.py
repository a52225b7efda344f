"""What readers, the hub and the workflows need of the files around the package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCE = PROJECT["urls"]["Source"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# As the repository's files are shown, and as they are where a page wants the picture.
PAGES = f"{SOURCE}/blob/main/"
RAW = SOURCE.replace("github.com", "raw.githubusercontent.com") + "/main/"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_the_readmes_links_work_on_the_hub_and_lead_to_what_is_there():
    """The hub and PyPI show it without the files around it."""
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert len(links) > 10
    for link in links:
        assert link.startswith(("https://", "#")), link
        for start in (PAGES, RAW):
            if link.startswith(start):
                place = link.removeprefix(start).partition("#")[0]
                assert (ROOT / place).exists(), link
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    assert any(picture.startswith(RAW) for picture in pictures)
    assert README.startswith("# ")
    assert "\n## " in README


def test_what_the_hub_asks_for():
    assert "Framework :: napari" in PROJECT["classifiers"]
    assert "napari.manifest" in PROJECT["entry-points"]
    assert not any("pyqt" in one.lower() for one in PROJECT["dependencies"])


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["repository-code"] == SOURCE
    assert citation["authors"] == PROJECT["authors"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_what_is_there(path):
    """What they name exists, and they may do no more than they need to."""
    text = path.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    known = set(re.findall(r"\[testenv:([\w-]+)\]", (ROOT / "tox.ini").read_text()))
    for job in workflow["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {})
        named = [one["environment"] for one in matrix.get("include", [])]
        assert {*named, *matrix.get("environment", [])} <= known
    for place in re.findall(r"python (\S+\.py)", text):
        assert (ROOT / place).is_file()
    for environment in re.findall(r"tox run -e ([\w,-]+)", text):
        assert set(environment.split(",")) <= known


def test_all_pythons_that_the_package_claims_are_tried():
    claimed = {
        found[1]
        for one in PROJECT["classifiers"]
        if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", one))
    }
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    assert set(workflow["jobs"]["readme"]["strategy"]["matrix"]["python"]) == claimed


def test_the_readmes_film_is_there_and_soon_loaded():
    (film,) = re.findall(rf"!\[[^\]]*\]\({RAW}([^)]+\.gif)\)", README)
    content = (ROOT / film).read_bytes()
    assert content.startswith(b"GIF8")
    assert len(content) < 5_000_000
