"""Methods with extra inputs: how they refuse, what they read, and what they do with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.backbones.shiftnet import shiftnet
from datasets.errors import UserError
from datasets.types import Batch, TaskInfo
from methods import actorcm, extra_inputs, image_teacher, person_detector, timebalance
from methods.actorcm import ActorCutMix
from methods.base import Method, Progress
from methods.draws import Draws
from methods.extra_inputs import NeedsFiles
from methods.mt_sd import MeanTeacherDistilled
from methods.timebalance import TimeBalance
from methods.videossl import VideoSSL

TASK = TaskInfo(classes=3, labeled=6, unlabeled=12, class_counts=(2, 2, 2), frames=4)
NEEDY: list[type[NeedsFiles]] = [VideoSSL, MeanTeacherDistilled, TimeBalance, ActorCutMix]


def small_net() -> nn.Module:
    return shiftnet(4, 8)


def clips(count: int, frames: int = 4) -> tuple[Tensor]:
    return (torch.randn(count, 3, frames, 32, 32, generator=torch.Generator().manual_seed(count)),)


def views(unlabeled: int = 3) -> Batch:
    clip = clips(unlabeled)
    return Batch(
        labeled={"labeled": clips(2)},
        label=torch.tensor([0, 2]),
        labeled_index=torch.arange(2),
        unlabeled={"weak": clip, "weak2": clip, "strong": clips(unlabeled)},
        unlabeled_index=torch.arange(unlabeled),
    )


def here(step: int = 5) -> Progress:
    return Progress(step=step, total_steps=10, warmup_steps=0, draws=Draws(0, step))


@pytest.mark.parametrize("method", NEEDY)
def test_without_its_files_a_method_says_which_field_takes_them(
    method: type[NeedsFiles], tmp_path: Path
) -> None:
    given: dict[str, Any] = {}
    for needed in method.inputs:
        reason = method.unsupported(method.Config(**given), TASK)
        assert reason is not None
        assert f"'{needed.field}'" in reason
        assert needed.what in reason
        assert needed.how in reason
        absent = method.unsupported(method.Config(**{**given, needed.field: "no/such.pth"}), TASK)
        assert absent is not None
        assert "no/such.pth" in absent
        given[needed.field] = str(tmp_path / needed.field)
        Path(given[needed.field]).touch()
    assert method.unsupported(method.Config(**given), TASK) is None
    assert "frames" in (method.unsupported(method.Config(**given, frames=5), TASK) or "")


@pytest.mark.parametrize("method", NEEDY)
def test_the_student_starts_as_it_would_without_the_files(method: type[NeedsFiles]) -> None:
    torch.manual_seed(3)
    plain = Method(Method.Config(), TASK, small_net).student.state_dict()
    torch.manual_seed(3)
    ours = method.rehearsal()(method.Config(), TASK, small_net).student.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in plain.items())


def test_frozen_nets_are_neither_saved_nor_trained() -> None:
    method = TimeBalance.rehearsal()(TimeBalance.Config(), TASK, small_net).train()
    assert isinstance(method, TimeBalance)
    teacher = method.invariant.on(torch.device("cpu"))
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    made = method.step(views(), here())
    torch.stack(list(made.losses.values())).sum().backward()  # type: ignore[no-untyped-call]
    assert not teacher.training
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert {name.split(".")[0] for name in method.state_dict()} == {"student", "teacher"}


def test_timebalance_reads_its_teachers(tmp_path: Path) -> None:
    files: dict[str, Any] = {}
    for seed, field in enumerate(("invariant", "distinctive")):
        torch.manual_seed(seed)
        files[field] = str(tmp_path / f"{field}.pth")
        torch.save(
            {"state_dict": Method(Method.Config(), TASK, small_net).student.state_dict()}, files[field]
        )
    method = TimeBalance(TimeBalance.Config(**files), TASK, small_net)
    saved = torch.load(files["distinctive"], weights_only=True)["state_dict"]
    read = method.distinctive.on(torch.device("cpu")).state_dict()
    assert all(torch.equal(saved[name], value) for name, value in read.items())
    other = TimeBalance.Config(invariant=files["invariant"], distinctive=files["invariant"])
    with pytest.raises(UserError, match=r"'invariant'.*another architecture.*has shape"):
        TimeBalance(other, TASK, lambda: shiftnet(8, 8))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"no weights at all", "cannot be read as a state dict"),
        ({"epoch": 3}, "holds no state dict"),
        ({"head.classify.bias": torch.zeros(3)}, "'backbone.* is missing"),
    ],
)
def test_a_file_that_holds_no_teacher_is_named(tmp_path: Path, content: Any, complaint: str) -> None:
    file = tmp_path / "teacher.pth"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    config = TimeBalance.Config(invariant=str(file), distinctive=str(file))
    with pytest.raises(UserError, match=f"'invariant'.*{complaint}"):
        TimeBalance(config, TASK, small_net)


def test_windows_keep_the_order_of_frames() -> None:
    x = torch.arange(2 * 5.0).view(2, 1, 5, 1, 1)
    (cut,) = timebalance.windows((x,), 2)
    assert cut[:, 0, :, 0, 0].tolist() == [[0, 1], [2, 3], [5, 6], [7, 8]]  # an odd last frame is left out


@pytest.mark.parametrize(("count", "frames"), [(1, 4), (5, 4), (3, 2)])
def test_windows_that_do_not_fit_are_refused(tmp_path: Path, count: int, frames: int) -> None:
    file = tmp_path / "teacher.pth"
    file.touch()
    config = TimeBalance.Config(invariant=str(file), distinctive=str(file), windows=count, frames=frames)
    assert "'windows'" in (TimeBalance.unsupported(config, TASK) or "")


class Remembers(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        self.seen = images
        return images.mean((2, 3))


def test_an_image_net_sees_pixels_normalized_as_in_its_training() -> None:
    net = Remembers()
    teacher = image_teacher.ImageTeacher(net, 3, 6, (0.5, 0.4, 0.3), (0.2, 0.2, 0.1))
    gray = torch.full((2, 3, 4, 4), (0.6 - 0.45) / 0.225)  # a suite's view of a uniform frame of 0.6
    probs = teacher(gray)
    assert net.seen.shape == (2, 3, 6, 6)
    torch.testing.assert_close(net.seen[0, :, 0, 0], torch.tensor([0.5, 1.0, 3.0]))
    torch.testing.assert_close(probs.sum(1), torch.ones(2))


def test_each_clip_shows_one_of_its_own_frames() -> None:
    x = torch.arange(6.0).view(6, 1, 1, 1, 1).repeat(1, 1, 5, 1, 1) * 10 + torch.arange(5).view(1, 1, 5, 1, 1)
    shown = image_teacher.random_frames((x,), Draws(0, 0))[:, 0, 0, 0]
    assert (shown // 10).tolist() == list(range(6))
    assert len(set((shown % 10).tolist())) > 1


def test_videossl_reads_a_classifier_of_timm(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    net = timm.create_model("test_resnet", num_classes=7)
    file = tmp_path / "net.pth"
    torch.save(net.state_dict(), file)
    teacher = image_teacher.load_image_teacher("test_resnet", str(file))
    assert teacher.classes == 7  # as many as the file has
    frames = torch.zeros(1, 3, 8, 8)
    mean, sd = (torch.tensor(net.pretrained_cfg[each])[:, None, None] for each in ("mean", "std"))
    side = net.pretrained_cfg["input_size"][-1]
    expected = net.eval()((torch.full((1, 3, side, side), 0.45) - mean) / sd).softmax(1)
    torch.testing.assert_close(teacher(frames), expected)
    with pytest.raises(UserError, match=r"no model 'test_resnt'; did you mean 'test_resnet'"):
        image_teacher.load_image_teacher("test_resnt", str(file))
    with pytest.raises(UserError, match=r"image_weights.*another architecture"):
        image_teacher.load_image_teacher("test_vit", str(file))


def test_boxes_become_masks() -> None:
    boxes = torch.tensor([[1.0, 0.0, 3.0, 2.0], [2.0, 1.0, 4.0, 3.0]])
    expected = [[0, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]]
    assert person_detector.rasterize(boxes, 3, 4).int().tolist() == expected
    assert not person_detector.rasterize(boxes[:0], 3, 4).any()


class Finds(nn.Module):
    """A person at the left, i pixels wide in the i-th image, a dog, and a doubtful person."""

    def forward(self, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        boxes = torch.tensor([[0.0, 0.0, 0.0, 2.0], [0.0, 2.0, 4.0, 3.0], [0.0, 3.0, 4.0, 4.0]])
        labels, scores = torch.tensor([1, 18, 1]), torch.tensor([0.9, 0.9, 0.3])
        found = []
        for i, _ in enumerate(images):
            wide = boxes.clone()
            wide[0, 2] = i
            found.append({"boxes": wide, "labels": labels, "scores": scores})
        return found


def test_only_sure_persons_count_and_frames_share_boxes() -> None:
    detector = person_detector.PersonDetector(Finds(), score=0.4, every=2)
    mask = detector(torch.zeros(2, 3, 3, 4, 4))  # frames 0 and 2 of each clip are looked at
    assert mask.shape == (2, 3, 4, 4)
    assert mask[:, :, 0].sum(2).tolist() == [[0, 0, 1], [2, 2, 3]]
    assert not mask[:, :, 2:].any()


def test_a_detector_of_torchvision_is_read_and_runs(tmp_path: Path) -> None:
    from torchvision import models

    name = "ssdlite320_mobilenet_v3_large"
    file = tmp_path / "detector.pth"
    torch.save(models.get_model(name, weights=None, weights_backbone=None).state_dict(), file)
    detector = person_detector.load_person_detector(name, str(file), score=0.4, every=4)
    assert detector(torch.zeros(1, 3, 4, 24, 32)).shape == (1, 4, 24, 32)
    with pytest.raises(UserError, match="Did you mean 'ssd300_vgg16'"):
        person_detector.load_person_detector("ssd300_vgg", str(file), score=0.4, every=4)


def test_actors_stand_before_the_partners_background() -> None:
    weak = torch.stack([torch.full((1, 1, 1, 4), value) for value in (1.0, 2.0, 3.0, 4.0)])
    strong = -weak
    persons = torch.tensor([[1, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0], [0, 1, 1, 0]]).bool()[:, None, None]
    view, area = actorcm.actor_cutmix(weak, strong, persons)
    assert view[0].flatten().tolist() == [1, 0, 0, 4]  # itself; nobody may show the partner's person; partner
    assert view[1].flatten().tolist() == [-2] * 4  # all person: stays
    assert view[2].flatten().tolist() == [0, 3, 0, 0]  # its partner is all person
    assert view[3].flatten().tolist() == [0, 4, 4, 1]
    assert area.tolist() == [0.25, 1, 0.25, 0.5]


def test_clips_without_persons_and_the_middle_one_keep_their_strong_view() -> None:
    weak = torch.ones(3, 1, 1, 1, 2)
    persons = torch.tensor([[0, 0], [1, 0], [1, 0]]).bool()[:, None, None]
    view, area = actorcm.actor_cutmix(weak, -weak, persons)
    assert view[:2].flatten().tolist() == [-1] * 4
    assert view[2].flatten().tolist() == [1, 1]
    assert area.tolist() == [1, 1, 0.5]


def test_a_clip_that_keeps_its_strong_view_keeps_its_label() -> None:
    label = torch.tensor([2, 0])
    kept = actorcm.mixed_target(label, actorcm.label_share(torch.ones(2)), 3)
    assert kept.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_strong_clips_are_reordered_one_by_one_in_all_four_ways() -> None:
    frames = torch.arange(8)
    orders = {tuple(actorcm.frame_order(8, Draws(0, step), "0").tolist()) for step in range(40)}
    assert tuple(frames.tolist()) in orders
    assert tuple(frames.flip(0).tolist()) in orders
    assert {(0, 1, 2, 3, 0, 1, 2, 3), (4, 5, 6, 7, 4, 5, 6, 7)} & orders
    assert len(orders) > 6  # T-dropout has many
    method = ActorCutMix.rehearsal()(ActorCutMix.Config(), TASK, small_net)
    assert isinstance(method, ActorCutMix)
    x = torch.arange(4.0).view(1, 1, 4, 1, 1).expand(16, 1, 4, 1, 1)
    shown = {tuple(clip.flatten().tolist()) for clip in method.perturb(x, Draws(0, 0))}
    assert len(shown) > 2


@pytest.mark.parametrize(("probability", "mixes"), [(0.0, False), (1.0, True)])
def test_the_share_of_mixed_batches_is_a_setting(probability: float, mixes: bool) -> None:
    config = ActorCutMix.Config(cutmix_probability=probability)
    method = ActorCutMix.rehearsal()(config, TASK, small_net)
    assert isinstance(method, ActorCutMix)
    share = method.shown(views(2), Draws(0, 0)).share
    assert (share is not None and bool((share < 1).any())) == mixes


def test_actorcm_takes_the_boxes_of_the_data_set_where_there_are_some() -> None:
    config = ActorCutMix.Config(cutmix_probability=1.0)
    reason = ActorCutMix.unsupported(config, TASK)
    assert reason is not None
    assert "--boxes FILE" in reason
    assert "detector_weights" in reason
    boxed = replace(TASK, boxes=True)
    assert ActorCutMix.unsupported(config, boxed) is None
    missing = replace(config, detector_weights="absent.pth")
    assert "absent.pth" in str(ActorCutMix.unsupported(missing, boxed))

    method = ActorCutMix(config, boxed, small_net)
    assert method.persons is None
    assert method.recipe().unlabeled["weak"].persons
    batch = views(2)
    shape = batch.unlabeled["weak"][0][:, 0].shape
    masks = torch.zeros(shape, dtype=torch.bool)
    masks[0, :, :4, :4] = True  # the second clip has nobody
    clips, share = method.shown(replace(batch, persons={"weak": (masks,)}), Draws(0, 0))
    (view,) = clips["strong"]
    weak = batch.unlabeled["weak"][0]
    assert torch.equal(view[0, :, :, :4, :4], weak[0, :, :, :4, :4])
    assert torch.equal(view[0, :, :, 4:, :], weak[1, :, :, 4:, :])
    area = 16 / (shape[2] * shape[3])
    torch.testing.assert_close(share, torch.tensor([1 - (1 - area) ** 4, 1.0]))


def test_rehearsals_leave_other_methods_alone() -> None:
    assert extra_inputs.rehearsed(Method) is Method
    assert VideoSSL.inputs
    assert not getattr(extra_inputs.rehearsed(VideoSSL), "inputs")  # noqa: B009  # mypy knows only Method


def test_persons_are_asked_for_only_where_no_detector_looks_for_them() -> None:
    method = extra_inputs.rehearsed(ActorCutMix)
    made = method(method.Config(), TASK, small_net)
    assert made.persons is not None
    assert not made.recipe().unlabeled["weak"].persons
    made.persons = None
    assert made.recipe().unlabeled["weak"].persons
