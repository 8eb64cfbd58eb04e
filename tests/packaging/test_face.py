"""The files that a repository shows first say what is true."""

import re
from pathlib import Path

import pytest

import aligndec as ad

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

pytestmark = pytest.mark.skipif(not (ROOT / "CITATION.cff").is_file(), reason="needs a checkout")
yaml = pytest.importorskip("yaml")


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert cited["version"] == ad.__version__
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"## [{cited['version']}] - {cited['date-released']}" in changes
    papers = [r["identifiers"][0]["value"] for r in cited["references"]]
    readme = (ROOT / "README.md").read_text("utf-8")
    assert len(papers) == 3
    assert all(paper.removeprefix("arXiv:") in readme for paper in papers)


def test_every_released_version_has_a_date():
    heads = re.findall(r"^## \[(.+?)\](.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert heads[0] == ("Unreleased", "")
    assert all(re.fullmatch(r" - \d{4}-\d\d-\d\d", date) for _, date in heads[1:])


def test_workflows_call_what_is_there():
    assert {"test", "lint", "versions", "wheels"} <= {path.stem for path in WORKFLOWS}
    targets = set(re.findall(r"^([\w-]+)(?:\s[\w-]+)*:", (ROOT / "Makefile").read_text(), re.M))
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text("utf-8"))
        assert workflow["permissions"] == {"contents": "read"}, path.name
        for job in workflow["jobs"].values():
            assert job["timeout-minutes"] <= 120
            for step in job["steps"]:
                assert re.fullmatch(r"actions/[\w-]+@v\d+", step.get("uses", "actions/x@v1"))
                called = re.findall(r"\bmake ([\w-]+)", step.get("run", ""))
                assert set(called) <= targets, f"{path.name}: {called}"


def test_templates_are_forms():
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text("utf-8"))
        assert form.get("body") or path.stem == "config"


def test_the_image_copies_what_is_there():
    text = (ROOT / "Dockerfile").read_text("utf-8")
    sources = [w for line in re.findall(r"^COPY (?!--)(.*) \S+$", text, re.M) for w in line.split()]
    assert "csrc" in sources
    assert all((ROOT / name).exists() for name in sources)
    kept = (ROOT / ".dockerignore").read_text("utf-8")
    assert all(f"!{name}\n" in kept for name in sources)
    pinned = re.search(r"^TORCH := (\S+)", (ROOT / "Makefile").read_text(), re.M).group(1)
    assert f"torch=={pinned}" in text


def test_the_command_line_says_its_version():
    testing = pytest.importorskip("typer.testing")
    from aligndec.cli import app

    done = testing.CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"aligndec {ad.__version__}\n")
    assert "doctor" in testing.CliRunner().invoke(app, []).output


def test_the_doctor_shows_the_cache(tmp_path, monkeypatch):
    pytest.importorskip("rich")
    from aligndec.cli import doctor

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert doctor.cache_rows() == [("cache", f"{tmp_path / 'aligndec'}, empty")]
    (tmp_path / "aligndec" / "model").mkdir(parents=True)
    (tmp_path / "aligndec" / "model" / "weights").write_bytes(bytes(3_000_000))
    ((name, said),) = doctor.cache_rows()
    assert name == "cache"
    assert "3 MB" in said
    assert f"rm -r '{tmp_path / 'aligndec'}'" in said
