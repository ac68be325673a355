"""The embedded data sets: what pictures and files show, and that making them survives trouble."""

from __future__ import annotations

import errno
import json
import multiprocessing
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from datasets import gym_files
from datasets.draws import generator
from datasets.errors import UserError
from datasets.gym_render import render_clip
from datasets.gymnast import (
    ELBOW,
    HIP,
    KNEE,
    SHOULDER,
    TURN,
    Element,
    GymParameters,
    draw_motion,
    salto_angle,
)
from datasets.synthgym import SynthGym, SynthGymOrder, order_classes, salto_classes

PARAMETERS = GymParameters()
ALL_ELEMENTS = {**salto_classes(), **order_classes()}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def small(cls=SynthGym, **options):
    return cls(pool_per_class=2, validation_per_class=1, test_per_class=1, workers=1, quiet=True, **options)


def clip(name, index=0, parameters=PARAMETERS):
    return render_clip(ALL_ELEMENTS[name], parameters, generator(5, name, index=index))


def decoded(path):
    import av

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 25
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])


# --- motion ---------------------------------------------------------------------------------------


def test_a_forward_salto_reversed_in_time_is_a_backward_one():
    progress = np.linspace(0, 1, 25)
    for ease, wobble in [(0.0, 0.0), (0.4, 0.05), (-0.3, -0.08)]:
        forward = salto_angle(1, progress, ease, wobble)
        backward = salto_angle(-1, progress, -ease, wobble)
        np.testing.assert_allclose(forward[::-1] - TURN, backward, atol=1e-9)


def test_the_salto_is_one_whole_turn_in_the_direction_of_its_class():
    for direction in (1, -1):
        for index in range(20):
            motion = draw_motion(
                Element(direction, ("tucked", "tucked"), 0), PARAMETERS, generator(1, "m", index=index)
            )
            assert motion.salto[-1] - motion.salto[0] == pytest.approx(direction * TURN)


@pytest.mark.parametrize("twists", [0, 1])
def test_twists_are_whole_turns_to_either_side(twists):
    turned = [
        round(float(motion.twist[-1] - motion.twist[0]) / TURN, 6)
        for motion in (
            draw_motion(Element(1, ("piked", "piked"), twists), PARAMETERS, generator(1, "t", index=index))
            for index in range(30)
        )
    ]
    assert set(turned) == {twists, -twists}


def test_frame_counts_cover_the_announced_range():
    lengths = {
        len(draw_motion(salto_classes()["forward_piked_0twist"], PARAMETERS, generator(2, "n", index=i)).pose)
        for i in range(400)
    }
    assert min(lengths) == 22 and max(lengths) == 34


@pytest.mark.parametrize(
    ("shape", "hip", "knee"), [("tucked", (105, 140), (110, 146)), ("piked", (70, 100), (-4, 12))]
)
def test_the_shape_is_held_in_the_middle_of_the_salto(shape, hip, knee):
    for index in range(20):
        motion = draw_motion(Element(-1, (shape, shape), 0), PARAMETERS, generator(3, "s", index=index))
        held = np.rad2deg(motion.pose[(motion.progress > 0.26) & (motion.progress < 0.74)])
        assert ((held[:, HIP] > hip[0]) & (held[:, HIP] < hip[1])).all()
        assert ((held[:, KNEE] > knee[0]) & (held[:, KNEE] < knee[1])).all()


def test_an_order_class_shows_its_first_shape_before_its_second():
    for name, element in order_classes().items():
        motion = draw_motion(element, PARAMETERS, generator(4, name))
        early = motion.pose[np.argmin(abs(motion.progress - 0.3))]
        late = motion.pose[np.argmin(abs(motion.progress - 0.72))]
        folded = {"tucked": (1.8, 1.9), "piked": (1.2, 0.0), "stretched": (-0.2, -0.1)}
        for pose, shape in ((early, element.shapes[0]), (late, element.shapes[1])):
            nearest = min(folded, key=lambda s: np.hypot(pose[HIP] - folded[s][0], pose[KNEE] - folded[s][1]))
            assert nearest == shape


def test_arms_of_a_twist_are_not_told_by_a_fixed_pose():
    poses = [
        draw_motion(Element(1, ("stretched",) * 2, 1), PARAMETERS, generator(6, "arms", index=i)).pose[12]
        for i in range(30)
    ]
    asymmetric = [abs(pose[SHOULDER] - pose[SHOULDER + 1]) > np.deg2rad(25) for pose in poses]
    assert 0 < sum(asymmetric) < 30
    assert all(len(pose) == ELBOW + 2 for pose in poses)


# --- pictures -------------------------------------------------------------------------------------


def test_equal_draws_give_equal_pixels_and_other_draws_do_not():
    first = clip("forward_tucked_1twist", 3)
    assert first.dtype == np.uint8 and first.shape[1:] == (96, 96, 3)
    np.testing.assert_array_equal(first, clip("forward_tucked_1twist", 3))
    other = clip("forward_tucked_1twist", 4)
    assert len(other) != len(first) or (other != first).mean() > 0.5


def test_pixels_do_not_depend_on_what_was_drawn_before():
    expected = clip("piked_tucked_0twist", 1)
    clip("backward_stretched_1twist", 7)
    np.testing.assert_array_equal(expected, clip("piked_tucked_0twist", 1))


@pytest.mark.parametrize("name", list(ALL_ELEMENTS))
def test_the_gymnast_moves_in_every_class(name):
    quiet = replace(PARAMETERS, distractors=0, noise=(0.0, 0.0), pan=0.0, zoom=0.0)
    frames = clip(name, parameters=quiet).astype(int)
    changed = (abs(frames - frames[0]).max(-1) > 20).mean((1, 2))
    assert changed[len(frames) // 2] > 0.03  # a figure of some size has left where it stood
    assert changed[0] == 0


def test_the_figure_is_brighter_than_the_scene_and_fills_most_of_the_height():
    plain = replace(PARAMETERS, distractors=0, noise=(0.0, 0.0), blur=(0.0, 0.0), dim=0.0, gain=(1.0, 1.0))
    heights = []
    for index in range(12):
        rows = np.flatnonzero((clip("forward_stretched_0twist", index, plain)[0].max(-1) > 40).any(1))
        heights.append(rows[-1] - rows[0] + 1)
    assert 62 < np.mean(heights) < 88


def test_a_twist_shows_the_dark_back_that_a_salto_alone_hides():
    """Brightness of the trunk's visible middle swings by the turn of the body."""
    plain = replace(
        PARAMETERS, distractors=0, noise=(0.0, 0.0), blur=(0.0, 0.0), dim=0.0, yaw=0.0, turnout=0.0, tilt=0.0
    )
    swing = {}
    for twists in (0, 1):
        name = f"forward_stretched_{twists}twist"
        spreads = []
        for index in range(8):
            frames = clip(name, index, plain).astype(float).max(-1)
            shown = [frame[frame > 20].mean() for frame in frames]
            spreads.append(np.std(shown))
        swing[twists] = np.mean(spreads)
    assert swing[1] > 1.5 * swing[0]


# --- tables and files -----------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [SynthGym, SynthGymOrder])
def test_the_table_is_known_without_files(cls, home):
    table = cls().table()
    assert not home.exists()
    assert cls().present() and not table.mirror and not table.pinned
    assert len(table.classes) == len(set(table.classes)) == 12
    sizes = {"train": 200, "validation": 20, "test": 50}
    for role, count in sizes.items():
        clips = getattr(table, role)
        assert Counter(ref.label for ref in clips) == dict.fromkeys(range(12), count)
        assert all(ref.group == ref.key and ref.key.startswith(f"{role}/") for ref in clips)
        assert all(table.classes[ref.label] in ref.key for ref in clips)
    assert len(table.clips()) == 270 * 12


def test_names_of_files_say_what_they_show():
    assert SynthGym().table().train[13].key == "train/0013_forward_tucked_1twist.mp4"
    assert SynthGymOrder().table().test[0].key == "test/0000_tucked_stretched_0twist.mp4"


def test_other_sizes_live_in_another_folder_and_share_their_first_clips(home):
    assert small().folder != SynthGym().folder
    small().prepare()
    SynthGym(1, 0, 0, workers=1, quiet=True).prepare()
    for ref in SynthGym(1, 0, 0).table().train:
        assert ref.path.read_bytes() == (small().folder / ref.key).read_bytes()


def test_files_decode_to_the_frames_that_were_drawn(home):
    data = small(SynthGymOrder)
    data.prepare()
    for label in (0, 7):
        ref = data.table().test[label]
        drawn = render_clip(
            list(order_classes().values())[label],
            PARAMETERS,
            generator(20_047, "synthgym_order", index=label),
        )
        frames = decoded(ref.path)
        assert frames.shape == drawn.shape
        assert abs(frames.astype(int) - drawn).mean() < 8
        assert 1_000 < ref.path.stat().st_size < 20_000


def test_equal_frames_give_equal_bytes():
    frames = clip("forward_piked_1twist")
    data = gym_files.encode(frames, PARAMETERS)
    assert all(gym_files.encode(frames, PARAMETERS) == data for _ in range(4))
    # Unequal bytes are rare; what they came from is told by the settings that x264 writes into the file.
    for setting in (b"threads=1 ", b"mbtree=0 ", b"bframes=0 "):
        assert setting in data


def test_roles_share_no_clip(home):
    data = small()
    data.prepare()
    contents = [ref.path.read_bytes() for ref in data.table().clips()]
    assert len(set(contents)) == len(contents) == 48


# --- making the files -----------------------------------------------------------------------------


def marker(data):
    return json.loads((data.folder / "complete.json").read_text())


def test_a_second_call_does_nothing_and_a_lost_file_comes_back(home, monkeypatch):
    data = small()
    data.prepare()
    before = marker(data)
    assert before["clips"] == 48
    monkeypatch.setattr(gym_files, "make_clip", lambda *_: pytest.fail("made again"))
    data.prepare()
    monkeypatch.undo()
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(home))
    lost = data.table().test[5].path
    content = lost.read_bytes()
    lost.unlink()
    data.prepare()
    assert lost.read_bytes() == content
    assert marker(data) == before


def test_an_interrupted_run_is_continued(home, monkeypatch):
    data = small()
    real, made = gym_files.make_clip, []

    def interrupted(job, parameters):
        if len(made) == 10:
            raise KeyboardInterrupt
        made.append(job.key)
        return real(job, parameters)

    monkeypatch.setattr(gym_files, "make_clip", interrupted)
    with pytest.raises(KeyboardInterrupt):
        data.prepare()
    assert not (data.folder / "complete.json").exists()
    assert len(list(data.folder.rglob("*.mp4"))) == 10
    (data.folder / "train" / "x.mp4.99.part").write_bytes(b"torn")
    again = []
    monkeypatch.setattr(gym_files, "make_clip", lambda job, p: again.append(job.key) or real(job, p))
    data.prepare()
    assert len(again) == 38 and not set(again) & set(made)
    assert not list(data.folder.rglob("*.part"))
    assert marker(data)["clips"] == 48


def _prepare(queue):
    SynthGym(3, 1, 0, workers=1, quiet=True).prepare()
    queue.put(json.loads((SynthGym(3, 1, 0).folder / "complete.json").read_text()))


def test_two_processes_at_once_agree(home):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=_prepare, args=(queue,)) for _ in range(2)]
    for process in processes:
        process.start()
    results = [queue.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(60)
    assert results[0] == results[1]
    assert len(list(SynthGym(3, 1, 0).folder.rglob("*.mp4"))) == 48


def test_workers_make_the_same_files_as_one_process(home, monkeypatch):
    alone = SynthGym(4, 0, 0, workers=1, quiet=True)
    alone.prepare()
    digest = marker(alone)
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(home / "other"))
    together = SynthGym(4, 0, 0, workers=2, quiet=True)
    together.prepare()
    assert marker(together) == digest


@pytest.mark.parametrize(
    ("code", "says"),
    [(errno.ENOSPC, "disk is full"), (errno.EACCES, "cannot be written"), (errno.EROFS, "cannot")],
)
def test_a_file_system_that_refuses_is_one_sentence(home, monkeypatch, code, says):
    def refuse(self, content):
        raise OSError(code, "refused")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(UserError, match=says) as caught:
        small().prepare()
    assert "SEFAR_BENCH_HOME" in str(caught.value) and "\n" not in str(caught.value)


def test_a_data_home_that_is_a_file_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEFAR_BENCH_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(UserError, match="cannot be written"):
        small().prepare()


def test_progress_is_told_in_lines_and_not_at_all_when_quiet(home, capfd):
    SynthGym(1, 0, 0, workers=1).prepare()
    told = capfd.readouterr()
    assert "12 of 12 clips" in told.err and told.out == ""
    SynthGym(2, 0, 0, workers=1, quiet=True).prepare()
    assert capfd.readouterr() == ("", "")


def test_importing_the_data_set_needs_no_encoder():
    code = (
        "import sys; from datasets.synthgym import SynthGym; SynthGym().table(); "
        "print([name for name in ('av', 'cv2', 'ray', 'decord') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
