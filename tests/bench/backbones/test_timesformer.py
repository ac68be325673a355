"""TimeSformer: what it computes at the start, its levels, its shapes, and where its weights come from."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.backbones import timesformer, vit_weights
from bench.backbones.timesformer import TimeSformer
from bench.experiment import build_backbone
from bench.spec import Net
from datasets.errors import UserError

D, HEADS, DEPTH, SIDE = 192, 3, 4, 32


@pytest.fixture(scope="module")
def vit() -> nn.Module:
    """An image ViT by another hand, with random weights that are far from their initial zeros."""
    torch.manual_seed(0)
    made: nn.Module = timm.create_model(
        "vit_tiny_patch16_224", pretrained=False, depth=DEPTH, img_size=SIDE, num_classes=7
    )
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.05)
    return made.eval()


@pytest.fixture
def weights(vit: nn.Module, tmp_path: Path) -> Path:
    path = tmp_path / "vit.pth"
    torch.save(vit.state_dict(), path)
    return path


def tiny(**settings: Any) -> TimeSformer:
    torch.manual_seed(1)
    return timesformer.tiny(image=SIDE, **settings).eval()


def clip(n: int, frames: int, seed: int = 2) -> Tensor:
    return torch.randn(n, 3, frames, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def image_feature(vit: nn.Module, x: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, D): the class token after the last norm."""
    tokens: Tensor = vit.forward_features(x)  # type: ignore[operator]
    return tokens[:, 0]


def test_at_the_start_a_still_clip_looks_like_its_frame(vit: nn.Module, weights: Path) -> None:
    frame = clip(2, 1)
    net = tiny(weights=str(weights))
    torch.testing.assert_close(net(frame), image_feature(vit, frame[:, :, 0]), rtol=1e-4, atol=1e-5)
    still = frame.expand(-1, -1, 5, -1, -1)
    torch.testing.assert_close(net(still), image_feature(vit, frame[:, :, 0]), rtol=1e-4, atol=1e-5)


def test_at_the_start_frames_share_nothing_but_the_class_token(vit: nn.Module, weights: Path) -> None:
    x, frames = clip(2, 3), 3
    each = []
    for t in range(frames):  # the image net's tokens, frame by frame
        tokens = vit.patch_embed(x[:, :, t])  # type: ignore[operator]
        each.append(tokens + vit.pos_embed[:, 1:])  # type: ignore[index]
    cls = (vit.cls_token + vit.pos_embed[:, :1]).expand(2, -1, -1)  # type: ignore[index, operator]
    for block in vit.blocks:  # type: ignore[union-attr]
        after = []
        for t in range(frames):
            together = torch.cat([cls, each[t]], 1)
            after.append(together + block.attn(block.norm1(together)))
        cls = torch.stack([tokens[:, :1] for tokens in after]).mean(0)
        cls = cls + block.mlp(block.norm2(cls))
        each = [tokens[:, 1:] + block.mlp(block.norm2(tokens[:, 1:])) for tokens in after]
    expected = vit.norm(cls[:, 0])  # type: ignore[operator]
    torch.testing.assert_close(tiny(weights=str(weights))(x), expected, rtol=1e-4, atol=1e-5)


def test_at_the_start_the_order_of_frames_does_not_matter_and_after_training_it_does() -> None:
    net, x = tiny(), clip(2, 8)
    torch.testing.assert_close(net(x), net(x.flip(2)), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "temporal_fc" in name or "time_embed" in name:
                nn.init.normal_(parameter, std=0.5)
    assert (net(x) - net(x.flip(2))).abs().max() > 1e-2


def test_time_is_attended_at_each_place_alone() -> None:
    net = tiny(depth=1)
    block = net.blocks[0]
    nn.init.normal_(block.temporal_fc.weight, std=0.5)
    nn.init.zeros_(block.attn.proj.weight)  # without spatial attention nothing may pass from place to place
    nn.init.zeros_(block.attn.proj.bias)
    cls, tokens = torch.randn(1, 1, D), torch.randn(1, 4, 3, D)
    changed = tokens.clone()
    changed[:, 0, 1] = torch.randn(1, D)  # not a constant: the norm would remove it
    moved = (block(cls, changed)[1] - block(cls, tokens)[1]).abs().amax((0, 3))
    assert (moved[:, 1] > 1e-4).all()  # every frame at this place
    assert moved[:, [0, 2]].max() < 1e-6  # no other place


def test_the_temporal_attention_starts_as_a_copy_of_the_spatial_one() -> None:
    for block in tiny().blocks:
        assert torch.equal(block.temporal_attn.qkv.weight, block.attn.qkv.weight)
        assert torch.equal(block.temporal_norm1.weight, block.norm1.weight)
        assert not block.temporal_fc.weight.any()
        assert not block.temporal_fc.bias.any()


def test_levels_differ_by_their_time_table_alone() -> None:
    net, x = tiny(frames_per_level=(4, 4)), clip(2, 4)
    torch.testing.assert_close(net(x, 0), net(x, 1))
    nn.init.normal_(net.time_embed[1])
    assert (net(x, 0) - net(x, 1)).abs().max() > 1e-3
    assert [table.shape for table in net.time_embed] == [(1, 4, D), (1, 4, D)]


@pytest.mark.parametrize(("frames", "height", "width"), [(1, 32, 32), (3, 48, 32), (8, 40, 64), (16, 16, 16)])
def test_any_number_of_frames_and_any_crop(frames: int, height: int, width: int) -> None:
    net = tiny(frames_per_level=(8,))
    assert net(torch.randn(2, 3, frames, height, width)).shape == (2, D)
    assert (net.dim, net.patch) == (D, (1, 16, 16))


def test_time_tables_are_interpolated_linearly() -> None:
    net = tiny(frames_per_level=(4,))
    with torch.no_grad():
        net.time_embed[0].copy_(torch.arange(4.0).view(1, 4, 1).expand(1, 4, D))
    moved = net._times(0, 8)[0, :, 0, 0]
    expected = torch.tensor([0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0])
    torch.testing.assert_close(moved, expected)


def test_every_parameter_learns_after_the_first_step() -> None:
    net = tiny(frames_per_level=(4,)).train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        net(clip(2, 4)).square().sum().backward()
        optimizer.step()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("training", [False, True])
def test_the_last_block_leaves_out_only_what_nothing_reads(training: bool) -> None:
    net = TimeSformer(D, HEADS, 1, image=SIDE, drop_path=0.5).train(training)
    block = net.blocks[0]
    block.drop_path.p = 0.5
    nn.init.normal_(block.temporal_fc.weight, std=0.1)
    cls, tokens = torch.randn(3, 1, D), torch.randn(3, 5, 4, D)
    made = []
    for form in (block.class_token, lambda *given: block(*given)[0]):
        torch.manual_seed(3)
        block.zero_grad()
        out = form(cls, tokens)
        out.sum().backward()
        made.append([out, *(parameter.grad.clone() for parameter in block.parameters())])
    for short, whole in zip(*made, strict=True):
        torch.testing.assert_close(short, whole, rtol=1e-4, atol=1e-4)


def test_in_bfloat16_gradients_are_those_of_the_fused_kernel() -> None:
    layer, x = timesformer.Attention(D, HEADS), torch.randn(4, 50, D)
    made = []
    for kernels in (timesformer._kernels, lambda q: nullcontext()):
        layer.zero_grad()
        with pytest.MonkeyPatch.context() as patch, torch.autocast("cpu", torch.bfloat16):
            patch.setattr(timesformer, "_kernels", kernels)
            layer(x).square().sum().backward()
        assert layer.qkv.weight.grad is not None
        made.append(layer.qkv.weight.grad.clone())
    assert (made[0] - made[1]).norm() < 0.02 * made[1].norm()


def test_drop_path_grows_linearly_to_a_tenth_and_rests_in_evaluation() -> None:
    net = tiny(depth=5)
    assert [block.drop_path.p for block in net.blocks] == pytest.approx([0, 0.025, 0.05, 0.075, 0.1])
    x = clip(4, 2)
    assert torch.equal(net(x), net(x))
    many = timesformer.DropPath(0.25).train()(torch.ones(20000, 1, 1))
    assert many.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert float(many.mean()) == pytest.approx(1.0, abs=0.02)


def test_a_level_without_a_time_table_is_refused_with_the_cure() -> None:
    with pytest.raises(UserError, match="frames_per_level"):
        tiny(frames_per_level=(2, 2))(clip(1, 4), 2)


def test_safetensors_and_wrapped_files_load_the_same(vit: nn.Module, weights: Path, tmp_path: Path) -> None:
    state = {name: value.contiguous() for name, value in vit.state_dict().items()}
    save_file(state, tmp_path / "vit.safetensors")
    torch.save({"model": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "wrapped.pt")
    x, expected = clip(1, 2), tiny(weights=str(weights))(clip(1, 2))
    for name in ("vit.safetensors", "wrapped.pt"):
        torch.testing.assert_close(tiny(weights=str(tmp_path / name))(x), expected)


def test_positions_of_another_crop_are_interpolated(weights: Path) -> None:
    larger = timesformer.tiny(image=64, weights=str(weights))
    given = torch.load(weights)["pos_embed"]
    assert larger.pos_embed.shape == (1, 17, D)
    assert torch.equal(larger.pos_embed[:, 0], given[:, 0])
    same = vit_weights.resize_places(larger.pos_embed[:, 1:], 4, 4)
    assert torch.equal(same, larger.pos_embed[:, 1:])


def test_a_trained_timesformer_keeps_what_it_learnt_about_time(tmp_path: Path) -> None:
    trained = tiny(frames_per_level=(4,))
    for parameter in trained.parameters():
        nn.init.normal_(parameter, std=0.1)
    torch.save(trained.state_dict(), tmp_path / "trained.pth")
    loaded = tiny(frames_per_level=(4,), weights=str(tmp_path / "trained.pth"))
    torch.testing.assert_close(loaded(clip(2, 4)), trained(clip(2, 4)))


def test_weights_of_another_width_are_refused_naming_file_and_entry(weights: Path) -> None:
    with pytest.raises(UserError, match=r"vit\.pth.*has shape \(1, 1, 192\).*\(1, 1, 384\)"):
        timesformer.small(weights=str(weights), image=SIDE)


def test_weights_with_too_few_and_too_many_blocks_are_refused(weights: Path) -> None:
    with pytest.raises(UserError, match=r"'blocks\.4\..*' is missing"):
        tiny(weights=str(weights), depth=5)
    with pytest.raises(UserError, match=r"'blocks\.3\..*' has no place"):
        tiny(weights=str(weights), depth=3)


@pytest.mark.parametrize(
    "content",
    [b"", b"not a checkpoint", b"\x80\x04K\x01.", b"https://example.org/vit.pth\n", b".", b"\x80\x02K"],
)
def test_unreadable_files_are_refused_in_one_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.pth"):
        tiny(weights=str(path))
    other = tmp_path / "broken.safetensors"
    other.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.safetensors"):
        tiny(weights=str(other))


@pytest.mark.parametrize("places", [0, 1])
def test_a_table_of_positions_without_places_is_refused_in_one_sentence(weights: Path, places: int) -> None:
    state = torch.load(weights, weights_only=True)
    state["pos_embed"] = state["pos_embed"][:, :places]
    torch.save(state, weights)
    with pytest.raises(UserError, match=rf"'pos_embed' has shape \(1, {places}, 192\)"):
        tiny(weights=str(weights))


def test_missing_files_and_unknown_models_are_refused_with_the_way_on() -> None:
    with pytest.raises(UserError, match=r"no such file.*random"):
        tiny(weights="nowhere.pth")
    with pytest.raises(UserError, match=r"no such model in timm.*random"):
        tiny(weights="vit_huge_patch99")


def test_a_refused_download_says_which_file_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> nn.Module:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(UserError) as caught:
        tiny(weights="vit_tiny_patch16_224")
    assert str(caught.value) == (
        "weights 'vit_tiny_patch16_224' cannot be downloaded here (ConnectionError); give the file "
        "https://huggingface.co/timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k/resolve/main/"
        "model.safetensors as --init FILE, or go on with --init random."
    )


def test_a_timm_model_name_loads_its_weights(vit: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: vit)
    net = tiny(weights="vit_tiny_patch16_224.augreg_in21k")
    assert torch.equal(net.blocks[2].attn.qkv.weight, vit.state_dict()["blocks.2.attn.qkv.weight"])


def test_weights_of_the_specification_reach_the_builder(weights: Path, vit: nn.Module) -> None:
    net = build_backbone(Net(name="timesformer_tiny", config={"image": SIDE}, weights=str(weights)))
    assert torch.equal(net.state_dict()["norm.weight"], vit.state_dict()["norm.weight"])


def test_a_backbone_without_ready_made_weights_says_so() -> None:
    with pytest.raises(UserError, match=r"'shiftnet' has no ready-made weights.*weights: random"):
        build_backbone(Net(name="shiftnet", weights="vit_small_patch16_224"))


def test_an_unknown_backbone_setting_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(UserError, match=r"backbone 'shiftnet'.*'widht'.*Did you mean 'width'"):
        build_backbone(Net(name="shiftnet", config={"widht": 8}))
