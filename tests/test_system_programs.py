from __future__ import annotations

import pytest
import system_programs


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr(system_programs.shutil, "which", lambda name: None)
    monkeypatch.setattr(system_programs, "missing", {})


def test_a_missing_program_skips_on_a_users_machine_and_says_so(nothing_installed, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    for _ in range(2):
        with pytest.raises(pytest.skip.Exception, match=r"'chromium'.*apt-get install chromium"):
            system_programs.need("chromium")
    assert system_programs.summary() == [
        "2 tests did not run: 'chromium' is not installed (apt-get install chromium)"
    ]


@pytest.mark.parametrize("value", ["true", "1"])
def test_a_missing_program_fails_in_ci(nothing_installed, monkeypatch, value):
    monkeypatch.setenv("CI", value)
    with pytest.raises(pytest.fail.Exception, match=r"needs the program 'ffprobe'.*apt-get install ffmpeg"):
        system_programs.need("ffprobe")


def test_another_name_of_the_program_will_do(monkeypatch):
    monkeypatch.setattr(
        system_programs.shutil, "which", lambda name: "/opt/chrome" if name == "google-chrome" else None
    )
    assert str(system_programs.need("chromium")) == "/opt/chrome"
