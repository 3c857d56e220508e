"""The vision encoder's promises: what order means to it, what it refuses, and how it is kept."""

import json

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, group_norm, relu

import allyouneed as ayn
from allyouneed.blocks import Attention, Learned, LMHead, NoHead, NoPositions, Patches, RMSNorm, Rope
from allyouneed.blocks.patches import patchify, resize_positions
from allyouneed.errors import UserError
from allyouneed.models import VisionConfig, VisionEncoder
from allyouneed.models.cnn import CNN, MLP, CNNConfig, Convolution, MLPConfig
from allyouneed.models.diff import diff
from allyouneed.models.rollout import attention_rollout, rollout_of
from allyouneed.models.vision import at_size


def model_of(positions=None, *, channels=2, height=6, width=9, **options):
    settings = {"vocab_size": 4, "d_model": 16, "n_heads": 2, "head": LMHead(bias=True)} | options
    config = VisionConfig(
        patches=Patches(3, channels), height=height, width=width, positions=positions or Learned(), **settings
    )
    model = VisionEncoder(config, seed=2).double()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(3)
    return model.requires_grad_(False)


def pictures(channels=2, height=6, width=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, channels, height, width, generator=generator, dtype=torch.float64)


def shuffled(pixels, order):
    """The same picture with its patches of 3 x 3 in another order."""
    rows, columns = pixels.shape[2] // 3, pixels.shape[3] // 3
    squares = patchify(pixels, 3)[:, order].unflatten(2, (-1, 3, 3)).unflatten(1, (rows, columns))
    return squares.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


def test_patches_are_read_row_by_row_and_channel_by_channel():
    pixels = torch.arange(2 * 4 * 6.0).reshape(1, 2, 4, 6)
    patches = patchify(pixels, 2)
    assert patches.shape == (1, 6, 8)
    assert patches[0, 0].tolist() == [0, 1, 6, 7, 24, 25, 30, 31]
    assert patches[0, 1].tolist() == [2, 3, 8, 9, 26, 27, 32, 33]
    assert patches[0, 3].tolist() == [12, 13, 18, 19, 36, 37, 42, 43]
    with pytest.raises(ValueError, match="do not fill"):
        patchify(pixels, 4)


def test_they_are_a_convolution():
    model, pixels = model_of(), pictures()
    kernel = model.embedding.projection.weight.unflatten(1, (2, 3, 3))
    convolved = torch.nn.functional.conv2d(pixels, kernel, model.embedding.projection.bias, stride=3)
    torch.testing.assert_close(model.embed(pixels)[:, 1:], convolved.flatten(2).transpose(1, 2))
    assert torch.equal(model.embed(pixels)[1, 0], model.embedding.class_token)


def test_without_positions_the_order_of_patches_is_nothing_and_with_them_it_is_something():
    pixels, order = pictures(), torch.tensor([3, 1, 5, 0, 4, 2])
    assert not torch.equal(shuffled(pixels, order), pixels)
    blind = model_of(NoPositions())
    torch.testing.assert_close(blind(shuffled(pixels, order)), blind(pixels), rtol=0, atol=1e-10)
    for positions in (Learned(), Rope()):
        seeing = model_of(positions)
        assert (seeing(shuffled(pixels, order)) - seeing(pixels)).abs().max() > 1e-3


def test_every_pixel_counts():
    model, pixels = model_of(), pictures().requires_grad_()
    (grad,) = torch.autograd.grad(model(pixels).square().sum(), pixels)
    assert (grad.abs() > 0).all()


def test_logits_are_the_class_tokens():
    model, pixels = model_of(), pictures()
    hidden = model.hidden(pixels)
    assert hidden.shape == (3, 7, 16)
    assert torch.equal(model(pixels), model.head(hidden[:, 0]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 7}, "do not fill 7 x 9"),
        ({"height": 0}, "do not fill 0 x 9"),
        ({"classes": ("cat",)}, "vocab_size is 4, but 1 classes"),
        ({"tie_embeddings": True}, "tie_embeddings must be False"),
    ],
)
def test_sizes_that_do_not_fit(changes, message):
    with pytest.raises(ValueError, match=message):
        model_of(**changes)
    with pytest.raises(ValueError, match="at least 1"):
        Patches(0)


def test_other_pictures_are_refused():
    model = model_of()
    with pytest.raises(ValueError, match="6 x 9 pixels, these are 9 x 6"):
        model(pictures(height=9, width=6))
    with pytest.raises(ValueError, match="1 channels, the model reads 2"):
        model(pictures(channels=1))


@pytest.mark.parametrize("positions", [Learned(), NoPositions(), Rope()])
def test_at_another_size(positions):
    model = model_of(positions)
    assert torch.equal(at_size(model, 6, 9)(pictures()), model(pictures()))
    other = at_size(model, 12, 12)
    assert other(pictures(height=12, width=12)).shape == (3, 4)
    assert other.config.max_seq_len == 17
    assert torch.equal(model(pictures()), model_of(positions)(pictures()))  # the first is left as it was
    with pytest.raises(ValueError, match="do not fill"):
        at_size(model, 10, 12)


def test_resized_positions_keep_the_class_tokens_and_the_sides():
    """Which splines is said by the reference (tests/parity); here, that rows stay rows and the sides alike."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(4, 1, 2, generator=generator, dtype=torch.float64).expand(4, 6, 2)
    table = torch.cat((torch.full((1, 2), 7.0, dtype=torch.float64), rows.flatten(0, 1)))
    resized = resize_positions(table, (4, 6), (8, 3))
    assert torch.equal(resized[0], table[0])
    grid = resized[1:].unflatten(0, (8, 3))
    torch.testing.assert_close(grid, grid[:, :1].expand(8, 3, 2))
    mirrored = torch.cat((table[:1], table[1:].flip(0)))
    torch.testing.assert_close(resize_positions(mirrored, (4, 6), (8, 3))[1:], resized[1:].flip(0))
    assert resize_positions(table, (4, 6), (4, 6)) is table


def test_kept_in_the_format_of_transformers_or_in_our_own(tmp_path):
    classes = ("cat", "dog", "fox", "owl")
    published = model_of(classes=classes, mixer=Attention(bias=True))
    assert ayn.save(published, tmp_path / "vit") == "vit"
    assert json.loads((tmp_path / "vit" / "config.json").read_text())["id2label"]["2"] == "fox"
    ours = model_of(Rope(), classes=classes, norm=RMSNorm())
    assert ayn.save(ours, tmp_path / "ours") == "allyouneed"
    for model, name in ((published, "vit"), (ours, "ours")):
        again = ayn.load(tmp_path / name)
        assert again.config.classes == classes
        torch.testing.assert_close(again(pictures()), model(pictures()), rtol=0, atol=1e-10)
    bare = model_of(vocab_size=1, head=NoHead(), mixer=Attention(bias=True))
    assert ayn.save(bare, tmp_path / "bare") == "vit"
    with pytest.raises(ValueError, match="no head"):
        ayn.load(tmp_path / "bare")(pictures())


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("patch_size", [3, 1], "patches are squares"),
        ("pooler_act", "relu", "pooler_act"),
        ("image_size", 7, "do not fill"),
        ("hidden_act", "mish", "hidden_act"),
        ("architectures", ["ViTForMaskedImageModeling"], "whose head is not read"),
    ],
)
def test_checkpoints_that_mean_something_else_are_refused(key, value, message, tmp_path):
    ayn.save(model_of(mixer=Attention(bias=True)), tmp_path)
    raw = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(raw | {key: value}))
    with pytest.raises(UserError, match=message):
        ayn.load(tmp_path)


def test_diff_feeds_pictures(tmp_path):
    ayn.save(model_of(mixer=Attention(bias=True), channels=3).float(), tmp_path)
    assert [place.place for place in diff(tmp_path)] == ["embedding", "layer 0", "layer 1", "logits"]
    assert not any(place.is_one for place in diff(tmp_path))


def test_rollout_is_a_product_of_means():
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(2, 3, 5, 5, generator=generator, dtype=torch.float64).softmax(-1) for _ in range(3)]
    expected = torch.eye(5, dtype=torch.float64).expand(2, 5, 5)
    for layer in maps:
        expected = (0.5 * layer.mean(1) + 0.5 * torch.eye(5)) @ expected
    rollout = attention_rollout(maps)
    torch.testing.assert_close(rollout, expected)
    torch.testing.assert_close(rollout.sum(-1), torch.ones(2, 5, dtype=torch.float64))
    assert not torch.allclose(attention_rollout(maps[::-1]), rollout)


def test_rollout_lies_on_the_grid_and_leaves_the_model_as_it_was():
    model = model_of(dropout=0.5).train()
    shares = rollout_of(model, pictures())
    assert shares.shape == (3, 2, 3)
    torch.testing.assert_close(shares.sum((1, 2)), torch.ones(3, dtype=torch.float64))
    assert model.training
    # A class token that never looks away from itself but in the first layer sees what that layer looks at.
    record = {"attention": []}
    model.eval().hidden(pictures(), record)
    assert [maps.shape for maps in record["attention"]] == [(3, 2, 7, 7)] * 2
    nothing: dict = {}
    model.hidden(pictures(), nothing)
    assert nothing == {}


def test_the_cnn_halves_the_picture_and_the_mlp_reads_it_flat():
    cnn = CNN(CNNConfig(channels=2, n_classes=4, width=8, n_stages=3), seed=0).double()
    assert [*map(type, (block.shortcut for block in cnn.blocks))] == [nn.Identity, Convolution, Convolution]
    assert cnn.blocks(cnn.stem(pictures(height=12, width=9))).shape == (3, 32, 3, 3)
    mlp = MLP(MLPConfig(n_inputs=2 * 6 * 9, n_classes=4, width=8), seed=0).double()
    for model in (cnn, mlp):
        pixels = pictures().requires_grad_()
        (grad,) = torch.autograd.grad(model(pixels).square().sum(), pixels)
        assert (grad.abs() > 0).any(0).all()
    with pytest.raises(ValueError, match="even"):
        CNNConfig(channels=1, n_classes=2, width=7)


def test_a_residual_block_is_its_shortcut_and_two_convolutions_of_the_norm():
    block = CNN(CNNConfig(channels=1, n_classes=2, width=4), seed=0).double().blocks[1]
    x = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first, second = (convolution.weight for convolution in block.convolutions)
    y = conv2d(relu(group_norm(x, 2)), first, stride=2, padding=1)
    y = conv2d(relu(group_norm(y, 2)), second, padding=1)
    torch.testing.assert_close(block(x), y + conv2d(x, block.shortcut.weight, stride=2))


@pytest.mark.parametrize(
    "build",
    [
        lambda seed: CNN(CNNConfig(channels=1, n_classes=3), seed=seed),
        lambda seed: MLP(MLPConfig(n_inputs=4, n_classes=3), seed=seed),
    ],
)
def test_rivals_follow_from_their_seed(build):
    one, same, other = build(0), build(0), build(1)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters()))
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters()))
