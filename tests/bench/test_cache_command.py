import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from bench.commands import app
from bench.suite import load_suite
from datasets import cache_folder, catalog, video_io
from datasets.clip_cache import ClipCache
from datasets.errors import UserError


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Registers the data set 'mine' of six clips; gives the folder of its cache."""
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(tmp_path / "home"))
    for name in (cache_folder.HOME, cache_folder.LIMIT):
        monkeypatch.setenv(name, "")  # so that what a command sets is undone
    rng = np.random.default_rng(0)
    lines = []
    for place in range(6):
        frames = rng.integers(0, 256, (8, 40, 60, 3), dtype=np.uint8)
        video_io.write_video(tmp_path / "videos" / f"{place}.mp4", frames)
        lines.append(f"{place}.mp4 {place % 2}\n")
    (tmp_path / "train.txt").write_text("".join(lines[:4]))
    (tmp_path / "test.txt").write_text("".join(lines[4:]))
    catalog.add("mine", tmp_path / "train.txt", tmp_path / "test.txt", tmp_path / "videos")
    return tmp_path / "elsewhere"


def call(*words: str) -> tuple[int, str]:
    ran = CliRunner().invoke(app, ["data", "cache", *words], standalone_mode=False)
    if isinstance(ran.exception, UserError):
        return 1, str(ran.exception)
    assert ran.exception is None, ran.exception
    return ran.return_value, ran.output


def test_build_tells_what_is_ahead_and_does_it_once(mine: Path) -> None:
    given = ("build", "mine", "--short-side", "32", "--workers", "1", "--cache", str(mine))
    code, said = call(*given)
    assert code == 0
    assert "6 clips to decode into raw-32, about" in said
    assert "6 of 6 clips are in" in said
    _, again = call(*given)
    assert "to decode" not in again
    _, listed = call("ls", "--cache", str(mine))
    assert "mine  raw-32  6 of 6 clips" in listed
    code, said = call("rm", "mine", "--cache", str(mine))
    assert "freed" in said
    assert not list(mine.rglob("*.pack"))


def test_what_cannot_fit_is_refused_before_it_starts(mine: Path) -> None:
    code, said = call(
        "build", "mine", "--short-side", "512", "--workers", "1", "--cache", str(mine), "--cache-gib", "0.001"
    )
    assert code == 1
    assert "more than the 1.02 MiB of --cache-gib" in said
    assert not list(mine.rglob("*.pack"))


def test_damaged_videos_are_named(mine: Path) -> None:
    video = mine.parent / "videos" / "3.mp4"
    video.write_text("no video")
    code, said = call("build", "mine", "--short-side", "32", "--workers", "1", "--cache", str(mine))
    assert code == 3
    assert "5 of 6 clips" in said
    assert "left out: 3.mp4: " in said


def test_rm_names_what_it_cannot_find(mine: Path) -> None:
    call("build", "mine", "--short-side", "32", "--workers", "1", "--cache", str(mine))
    assert "Did you mean 'mine'?" in call("rm", "mina", "--cache", str(mine))[1]
    assert "--all" in call("rm", "--cache", str(mine))[1]


def test_the_store_is_part_of_a_specification_and_raw_changes_no_id() -> None:
    protocol = load_suite("smoke").suite.sections
    section = next(iter(protocol.values())).protocol
    assert "store" not in section.model_dump(mode="json")
    jpeg = section.model_copy(update={"store": "jpeg"})
    assert jpeg.model_dump(mode="json")["store"] == "jpeg"
    assert type(section).model_validate(jpeg.model_dump(mode="json")) == jpeg
    assert type(section).model_validate(section.model_dump(mode="json")) == section


@pytest.mark.parametrize("text", ["~/cache", "$SCRATCH/cache"])
def test_every_node_fills_in_its_own_folder(mine: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.commands import options

    options.use_cache(Path(text), 2.0)
    assert os.environ[cache_folder.HOME] == text
    monkeypatch.setenv("HOME", str(mine))
    monkeypatch.setenv("SCRATCH", str(mine))
    assert cache_folder.cache_home() == mine / "cache"
    assert cache_folder.limit_bytes() == 2 << 30
    assert ClipCache.complete([], "mine", 32)


def test_clips_of_another_decoder_are_cached_ahead_of_time(mine: Path) -> None:
    given = ("build", "mine", "--short-side", "32", "--workers", "1", "--cache", str(mine))
    code, said = call(*given, "--decoder", "pyav")
    assert code == 0
    assert "6 clips to decode into raw-32-pyav" in said
    clips = catalog.load("mine").table().clips()
    assert ClipCache.complete(clips, "mine", 32, decoder="pyav")
    assert not ClipCache.complete(clips, "mine", 32)
    assert "Did you mean 'pyav'" in call(*given, "--decoder", "pyaw")[1]


def test_what_is_left_out_says_where_to_look(mine: Path) -> None:
    (mine.parent / "videos" / "3.mp4").unlink()
    given = ("build", "mine", "--short-side", "32", "--workers", "1", "--cache", str(mine))
    code, said = call(*given, "--decoder", "pyav")
    assert code == 3
    assert "left out: 3.mp4: the file does not exist\n" in said
    assert "what to do about each: python -m bench data verify mine --decoder pyav\n" in said
    assert "python -m bench data verify mine\n" in call(*given)[1]
