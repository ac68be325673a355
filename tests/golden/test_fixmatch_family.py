"""Worked examples of pseudo-label and of FixMatch's relatives, through the methods' own `step()`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from passthrough import EXAMPLES, Example, FixedDraws, batch, build, clip, fixture, progress
from torch import Tensor

from datasets.types import Batch
from methods import adamatch, losses
from methods.adamatch import AdaMatch
from methods.base import Step
from methods.dash import Dash, threshold_at, weak_loss
from methods.defixmatch import DeFixMatch
from methods.flexmatch import FlexMatch, FlexMatchThreshold, learning_status
from methods.freematch import FreeMatch, adaptive_thresholds, modulated
from methods.pseudo_label import PseudoLabel, alpha
from methods.sequencematch import SequenceMatch, divergence
from methods.sharpening import sharpen
from methods.uda import UDA, released


def _batch(**unlabeled: Any) -> Batch:
    """The fixture, with the labeled views that some methods want in addition."""
    made = batch(fixture("zw"), fixture("zs"), **unlabeled)
    more = {"labeled_weak": clip(fixture("zl")), "labeled_strong": clip(fixture("zls"))}
    return replace(made, labeled={**made.labeled, **more})


def _total(made: Step) -> Tensor:
    return torch.stack(list(made.losses.values())).sum()


def test_pseudo_label_of_lee() -> None:
    settings = {"ramp_start": 0.1, "ramp_end": 0.6}
    half_way = build(PseudoLabel, **settings).step(_batch(), progress(step=35, total=100))
    with Example("pseudo_label_lee2013") as example:
        for t in (50, 350, 700):
            example.check(f"alpha_{t}", alpha(t, 100, 600, 3.0))
        example.check("L_u", half_way.losses["unsupervised"] / 1.5)
        example.check("total_t350", _total(half_way))
    for step, factor in ((5, 0.0), (35, 1.5), (70, 3.0)):
        made = build(PseudoLabel, **settings).step(_batch(), progress(step=step, total=100))
        expected = factor * EXAMPLES["pseudo_label_lee2013"]["L_u"]
        assert float(made.losses["unsupervised"]) == pytest.approx(expected, abs=1e-6)


def test_pseudo_label_of_usb() -> None:
    method = build(PseudoLabel, threshold=0.95, unlabeled_weight=1.0, ramp_start=0.0, ramp_end=0.4)
    with Example("pseudo_label_usb") as example:
        made = method.step(_batch(), progress(step=4000, total=10000))
        example.check("mask", made.weight)
        example.check("L_u", made.losses["unsupervised"])
        early = method.step(_batch(), progress(step=1000, total=10000))
        example.check("ramp_it1000_of_10000", early.losses["unsupervised"] / made.losses["unsupervised"])


def test_uda() -> None:
    annealed = build(UDA, annealing="linear", annealing_of="largest")
    unsharpened = build(UDA, temperature=1.0).step(_batch(), progress())
    with Example("uda") as example:
        made = build(UDA).step(_batch(), progress())
        example.check("target_T0p4", made.pseudo_label)
        example.check("mask_tau0p8", made.weight)
        example.check("L_u", made.losses["unsupervised"])
        example.check("L_u_USB_unsharpened", unsharpened.losses["unsupervised"])
        for schedule in ("linear", "exp", "log"):
            example.check(f"tsa_{schedule}_0p5", released(0.5, 3, schedule))
        half_way = annealed.step(_batch(), progress(step=15))
        example.check("sup_loss_tsa_linear_0p5", half_way.losses["supervised"])
        each = torch.tensor(EXAMPLES["supervised"]["per_sample"], dtype=torch.float64)
        counted = (half_way.losses["supervised"] * 2 - each).abs() < 1e-6  # one clip alone makes the loss
        example.check("sup_mask_linear_0p5", counted.double())


def test_uda_sharpens_by_default() -> None:
    made = build(UDA).step(_batch(), progress())
    weak = losses.probabilities(fixture("zw"))
    assert made.pseudo_label is not None
    assert (made.pseudo_label.amax(1) > weak.amax(1)).all()
    wrong = EXAMPLES["uda"]["L_u_USB_unsharpened"]
    assert float(made.losses["unsupervised"]) != pytest.approx(wrong, abs=1e-3)


def _dash(step: int, initial: float | None = None) -> tuple[Dash, Step]:
    """Dash, `step` 1024ths into its training; `initial` is the labeled loss that it starts from."""
    method = cast(Dash, build(Dash))
    if initial is not None:
        method.thresholding.labeled_loss.fill_(initial)
        method.thresholding.started.fill_(True)
    return method, method.step(_batch(), progress(step=step, total=1024))


def test_dash() -> None:
    with Example("dash") as example:
        example.same("rho_hat", 1.2)
        rho = [threshold_at(k, 1.2, 1.27, 0.05) for k in range(16)]
        example.check("rho_k0_to_15", rho)
        example.check("first_k_at_floor", rho.index(0.05))
        weak = losses.probabilities(fixture("zw"))
        example.check("loss_weak_soft", weak_loss(weak, sharpen(weak, 0.5)))
        example.check("mask_k0", _dash(0, 1.2)[1].weight)
        later, made = _dash(50, 1.2)
        assert later.thresholding.rho == pytest.approx(rho[5])
        example.check("mask_k5", made.weight)
        example.check("L_u_k5", made.losses["unsupervised"])


def test_dash_learns_hard_labels_at_the_floor() -> None:
    method, made = _dash(140, 1.2)
    assert method.thresholding.rho == 0.05
    assert made.pseudo_label is not None
    assert made.pseudo_label.tolist() == [0, 0, 1]
    assert made.weight is not None
    assert made.weight.tolist() == [0, 0, 1]  # losses 0.0659, 0.8801 and 0.0247
    assert float(made.losses["unsupervised"]) == pytest.approx(0.1547895947, abs=1e-6)


def test_dash_starts_from_the_loss_of_the_labeled_training_clips() -> None:
    supervised = EXAMPLES["supervised"]["L_sup"]
    method = cast(Dash, build(Dash))
    method.warm_up(_batch(), progress(step=0, total=4, warmup=1))
    method.step(_batch(), progress(step=1, total=4, warmup=1))
    assert float(method.thresholding.labeled_loss.mean()) == pytest.approx(supervised, abs=1e-6)
    other = replace(_batch(), label=torch.tensor([2, 1]))
    method.step(other, progress(step=1, total=4, warmup=1))  # too late to matter
    assert method.thresholding.rho == pytest.approx(threshold_at(0, supervised, 1.27, 0.05), abs=1e-6)


def test_flexmatch() -> None:
    method = build(FlexMatch)
    method.thresholding = FlexMatchThreshold(classes=3, unlabeled=6, threshold=0.95, warm=True)
    rule = method.thresholding
    with Example("flexmatch") as example:
        example.check("step1_threshold", rule.thresholds(torch.float64))
        made = method.step(_batch(), progress())
        example.check("step1_mask", made.weight)
        example.check("step1_L_u", made.losses["unsupervised"])
        example.check("beta_after_step1_N6", learning_status(rule.picked, 3, warm=True))
        example.check("thr_step2", rule.thresholds(torch.float64))

        given = build(FlexMatch)
        picked = cast(FlexMatchThreshold, given.thresholding).picked
        picked.copy_(torch.tensor([0, 0, 1]))
        example.check("beta_given", learning_status(picked, 3, warm=True))
        example.check("thr_given", cast(FlexMatchThreshold, given.thresholding).thresholds(torch.float64))
        made = given.step(_batch(), progress())
        example.check("mask_given", made.weight)
        example.check("L_u_given", made.losses["unsupervised"])


def test_freematch() -> None:
    method = cast(FreeMatch, build(FreeMatch, momentum=0.9, fairness_weight=0.01))
    made = method.step(_batch(), progress())
    rule = method.thresholding
    strong = losses.probabilities(fixture("zs"))
    shares = torch.bincount(strong.argmax(1), minlength=3) / 3
    with Example("freematch_m0p9") as example:
        example.check("tau", rule.level)
        example.check("p_tilde", rule.marginal)
        example.check("h_tilde", rule.histogram)
        example.check("thr", adaptive_thresholds(rule.level, rule.marginal))
        example.check("mask", made.weight)
        example.check("L_u", made.losses["unsupervised"])
        example.check("hist_strong", shares)
        example.check("modulated_p", modulated(rule.marginal, rule.histogram))
        example.check("modulated_q", modulated(strong.mean(0), shares.double()))
        example.check("L_f", made.losses["fairness"] / 0.01)
        example.check("total_wf0p01", _total(made))


def test_freematch_of_slow_momentum() -> None:
    method = cast(FreeMatch, build(FreeMatch, momentum=0.999))
    method.step(_batch(), progress())
    with Example("freematch_m0p999") as example:
        example.check("tau", method.thresholding.level)


def _adamatch(**settings: Any) -> tuple[AdaMatch, Step]:
    plain = {"alignment_momentum": 0.9, "ramp": False, "interpolation": False, **settings}
    method = cast(AdaMatch, build(AdaMatch, **plain))
    return method, method.step(_batch(), progress())


def test_adamatch_of_usb() -> None:
    method, made = _adamatch(threshold=0.95, targets="hard")
    _, made_soft = _adamatch(threshold=0.9, targets="soft")
    known, _ = method.guess(_batch())
    with Example("adamatch_usb_m0p9") as example:
        example.check("p_target", method.aligned.target)
        example.check("aligned", made_soft.pseudo_label)
        example.check("rel_threshold_0p95", adamatch.relative_threshold(known, 0.95))
        example.check("rel_threshold_0p9", adamatch.relative_threshold(known, 0.9))
        example.check("mask", made.weight)
        example.check("hard", made.pseudo_label)
        example.check("L_u_hard", made.losses["unsupervised"])
        example.check("L_u_soft_paper", made_soft.losses["unsupervised"])
        example.check("paper_ramp_t0p25", adamatch.cosine_ramp(0.25))
        ramped = build(AdaMatch, alignment_momentum=0.9, threshold=0.9, interpolation=False)
        quarter = ramped.step(_batch(), progress(step=25, total=100))
        ratio = quarter.losses["unsupervised"] / made_soft.losses["unsupervised"]
        assert float(ratio) == pytest.approx(0.5)


def test_adamatch_aligned_by_the_batch() -> None:
    _, made = _adamatch(alignment_momentum=0.0)
    with Example("adamatch_paper_DA") as example:
        example.check("ratio_DA", made.pseudo_label)


def test_defixmatch() -> None:
    made = build(DeFixMatch, threshold=0.7).step(_batch(), progress())
    assert made.weight is not None
    with Example("defixmatch_tau0p7") as example:
        example.check("L_sup", made.losses["supervised"])
        example.check("mask_u", made.weight)
        example.check("L_u", made.losses["unsupervised"] / 0.5)
        example.check("L_anti", -made.losses["debiasing"] / 0.5)
        example.check("total_lambda0p5", _total(made))
        known, index = losses.probabilities(fixture("zl")), torch.arange(2)
        for key, threshold in (("mask_l", 0.7), ("mask_l_tau0p95", 0.95)):
            method = cast(DeFixMatch, build(DeFixMatch, threshold=threshold))
            example.check(key, method.thresholding(known, index))
    strict = build(DeFixMatch, threshold=0.95).step(_batch(), progress())
    assert float(strict.losses["debiasing"]) == 0


def _sequencematch() -> tuple[SequenceMatch, Step]:
    method = cast(SequenceMatch, build(SequenceMatch, threshold=0.9))
    rule = cast(FlexMatchThreshold, method.thresholding)
    rule.picked.copy_(torch.tensor([0, 1, -1]))  # both predicted classes are learnt: their threshold is 0.9
    views = _batch(medium=clip(fixture("zm")))
    return method, method.step(views, progress())


def test_sequencematch() -> None:
    _, made = _sequencematch()
    assert made.weight is not None
    terms = {
        "m_from_w": ("medium_from_weak", "zw", "zm"),
        "s_from_m": ("strong_from_medium", "zm", "zs"),
        "s_from_w": ("strong_from_weak", "zw", "zs"),
    }
    flat = {"m_from_w": "USB_double_softmax_KL_m_from_w", "s_from_m": "USB_KL_s_from_m"}
    with Example("sequencematch_mask_tau0p9") as example:
        example.check("mask", made.weight)
        example.check("CE", made.losses["unsupervised"])
        for key, (name, target, view) in terms.items():
            example.check(f"KL_{key}", made.losses[name])
            twice = losses.probabilities(losses.probabilities(fixture(target)) / 0.5)
            wrong = divergence(twice, fixture(view), made.weight)
            example.check(flat.get(key, "USB_KL_s_from_w"), wrong)
            assert float(made.losses[name]) != pytest.approx(float(wrong), abs=1e-2)


def test_every_method_of_the_family_takes_labels_alone_in_its_warm_up() -> None:
    for method in (PseudoLabel, UDA, Dash, FlexMatch, FreeMatch, AdaMatch, DeFixMatch, SequenceMatch):
        made = build(method).warm_up(replace(_batch(), unlabeled={}), progress(step=0, warmup=5))
        assert set(made.losses) == {"supervised"}, method.name
        expected = pytest.approx(EXAMPLES["supervised"]["L_sup"], abs=1e-6)
        assert float(made.losses["supervised"]) == expected, method.name


def test_interpolated_logits_lie_between_both_passes() -> None:
    together, alone = torch.zeros(4, 3), torch.ones(4, 3)
    mixed = adamatch.interpolate(together, alone, FixedDraws())
    assert ((mixed >= 0) & (mixed <= 1)).all()
    assert len(mixed.unique()) == mixed.numel()  # an own share for each clip and class
    assert torch.equal(mixed, adamatch.interpolate(together, alone, FixedDraws()))


def test_uda_compares_the_confidence_before_sharpening() -> None:
    made = build(UDA, threshold=0.5).step(_batch(), progress())  # the second clip: 0.41, sharpened 0.54
    assert made.weight is not None
    assert made.weight.tolist() == [1, 0, 1]
