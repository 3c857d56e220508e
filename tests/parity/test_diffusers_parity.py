"""Schedules, steps, the U-Net and whole pipelines against diffusers, in float64 and both ways."""

import itertools
import json

import diffusers
import pytest
import torch
from diffusers.models.embeddings import Timesteps
from safetensors.torch import load_file, save_file

from allyouneed.diffusion import DDIM, Ancestral, Cosine, Linear, Listed, PredictNoise, PredictX0, Process, fixed_large
from allyouneed.diffusion.pipeline import Pipeline, load_pipeline, save_pipeline
from allyouneed.diffusion.process import fixed_small
from allyouneed.diffusion.timesteps import SPACINGS
from allyouneed.errors import UserError
from allyouneed.models.unet import UNet, UNetConfig
from allyouneed.models.unet_checkpoint import WEIGHTS, load_unet, save_unet

diffusers.utils.logging.set_verbosity_error()

# diffusers keeps betas and their products in float32; what follows from them is compared with float64 put there.
IN_FLOAT32 = 2e-6
SHAPE = (2, 3, 4, 4)


def exact(scheduler, schedule):
    scheduler.alphas_cumprod = schedule.alphas_cumprod
    scheduler.one = torch.ones((), dtype=torch.float64)
    if hasattr(scheduler, "final_alpha_cumprod"):
        scheduler.final_alpha_cumprod = scheduler.one
    return scheduler


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Linear(), {}),
        (Linear(77, 3e-3, 0.3), {"num_train_timesteps": 77, "beta_start": 3e-3, "beta_end": 0.3}),
        (Cosine(60), {"num_train_timesteps": 60, "beta_schedule": "squaredcos_cap_v2"}),
        (Listed(3, (0.1, 0.5, 0.2)), {"num_train_timesteps": 3, "trained_betas": [0.1, 0.5, 0.2]}),
    ],
)
def test_schedules(ours, theirs):
    scheduler = diffusers.DDPMScheduler(**theirs)
    torch.testing.assert_close(ours.betas, scheduler.betas.double(), rtol=IN_FLOAT32, atol=1e-7)
    torch.testing.assert_close(ours.alphas_cumprod, scheduler.alphas_cumprod.double(), rtol=1e-4, atol=1e-6)


def test_noise_is_added_in_the_same_way():
    schedule = Linear(50, 1e-3, 0.2)
    scheduler, process = exact(diffusers.DDPMScheduler(num_train_timesteps=50), schedule), Process(schedule)
    x0, noise, t = drawn(5, 3, 4, 4), drawn(5, 3, 4, 4, seed=1), torch.tensor([0, 7, 49, 30, 1])
    xt, same_noise = process.diffuse(x0, t, torch.Generator().manual_seed(1))
    assert torch.equal(same_noise, noise)
    torch.testing.assert_close(xt, scheduler.add_noise(x0, noise, t), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize(("n_train", "n_steps"), [(1000, 50), (1000, 7), (77, 77), (40, 3)])
def test_the_same_steps_are_visited(spacing, n_train, n_steps):
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=n_train, timestep_spacing=spacing)
    scheduler.set_timesteps(n_steps)
    visited = scheduler.timesteps.tolist()[:n_steps]  # rounding gives "trailing" one too many now and then
    assert SPACINGS[spacing](n_train, n_steps) == visited


PREDICTIONS = {"epsilon": PredictNoise(), "sample": PredictX0()}


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("clip", [None, 1.0, 0.4])
@pytest.mark.parametrize(("variance", "name"), [(fixed_small, "fixed_small"), (fixed_large, "fixed_large")])
@pytest.mark.parametrize(("spacing", "n_steps"), [("leading", 7), ("linspace", 5), ("trailing", 6), ("leading", 60)])
def test_ancestral_steps(prediction, clip, variance, name, spacing, n_steps):
    schedule = Linear(60, 2e-3, 0.3)
    scheduler = exact(
        diffusers.DDPMScheduler(
            60, variance_type=name, prediction_type=prediction, timestep_spacing=spacing, **clipping(clip)
        ),
        schedule,
    )
    scheduler.set_timesteps(n_steps)
    ours = Ancestral(Process(schedule, PREDICTIONS[prediction], clip), variance)
    steps = scheduler.timesteps.tolist()
    for t, before in itertools.pairwise([*steps, -1]):
        if t > 0 and before < 0:
            continue  # the last of "trailing": diffusers adds noise to the finished picture; see below
        compare(ours, scheduler, t, before, {})


def compare(ours, scheduler, t, before, how):
    output, xt = drawn(*SHAPE, seed=t), 1.5 * drawn(*SHAPE, seed=t + 1)
    theirs = scheduler.step(output, t, xt, generator=torch.Generator().manual_seed(9), **how)
    x, x0 = ours.step(output, xt, torch.tensor([t]), torch.tensor([before]), torch.Generator().manual_seed(9))
    torch.testing.assert_close(x0, theirs.pred_original_sample, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(x, theirs.prev_sample, rtol=1e-10, atol=1e-10)


def clipping(clip):
    return {"clip_sample": clip is not None, "clip_sample_range": clip or 1.0}


def test_the_last_picture_has_no_noise_whatever_the_steps():
    schedule = Linear(60, 2e-3, 0.3)
    sampler, xt = Ancestral(Process(schedule), fixed_large), drawn(*SHAPE)
    x, x0 = sampler.step(drawn(*SHAPE, seed=1), xt, torch.tensor([9]), torch.tensor([-1]), None)
    torch.testing.assert_close(x, x0, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("clip", [None, 0.7])
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("spacing", "n_steps"), [("leading", 6), ("trailing", 6), ("leading", 60)])
def test_ddim_steps(prediction, clip, eta, spacing, n_steps):
    schedule = Linear(60, 2e-3, 0.3)
    scheduler = exact(
        diffusers.DDIMScheduler(60, prediction_type=prediction, timestep_spacing=spacing, **clipping(clip)), schedule
    )
    scheduler.set_timesteps(n_steps)
    ours = DDIM(Process(schedule, PREDICTIONS[prediction], clip), eta)
    for t, before in itertools.pairwise([*scheduler.timesteps.tolist(), -1]):
        compare(ours, scheduler, t, before, {"eta": eta, "use_clipped_model_output": True})


# U-Nets: their keys, and what ours are to be called

UNETS = {
    "plain": {
        "sample_size": 8,
        "block_out_channels": (8, 16),
        "down_block_types": ("DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "UpBlock2D"),
        "norm_num_groups": 4,
        "layers_per_block": 1,
        "add_attention": False,
        "in_channels": 1,
        "out_channels": 2,
    },
    "as the paper's": {  # the flags of its published checkpoints
        "sample_size": (8, 12),
        "block_out_channels": (8, 16, 16),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        "norm_num_groups": 4,
        "norm_eps": 1e-6,
        "layers_per_block": 2,
        "attention_head_dim": None,
        "flip_sin_to_cos": False,
        "freq_shift": 1,
        "downsample_padding": 0,
    },
    "attention here and there": {
        "sample_size": 16,
        "block_out_channels": (12, 12, 24),
        "down_block_types": ("AttnDownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        "norm_num_groups": 3,
        "norm_eps": 1e-2,
        "layers_per_block": 1,
        "attention_head_dim": 4,
    },
    "one level": {
        "sample_size": 5,
        "block_out_channels": (8,),
        "down_block_types": ("AttnDownBlock2D",),
        "up_block_types": ("AttnUpBlock2D",),
        "norm_num_groups": 2,
        "layers_per_block": 3,
        "attention_head_dim": 8,
    },
}


@pytest.fixture(autouse=True)
def time_in_the_models_precision(monkeypatch):
    """diffusers' waves of the time are float32 in a float64 model."""
    theirs = Timesteps.forward

    def forward(self, t):
        with monkeypatch.context() as patch:
            patch.setattr(torch.Tensor, "float", torch.Tensor.double)
            arange = torch.arange
            patch.setattr(torch, "arange", lambda *a, **how: arange(*a, **how | {"dtype": torch.float64}))
            return theirs(self, t)

    monkeypatch.setattr(Timesteps, "forward", forward)


def their_unet(name, seed=0):
    torch.manual_seed(seed)
    model = diffusers.UNet2DModel(**UNETS[name]).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():  # loud, and no gain at 1 or bias at 0 that could hide a wrong one
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("name", UNETS)
def test_a_unet_of_theirs_is_read(name, tmp_path):
    theirs = their_unet(name)
    theirs.save_pretrained(tmp_path)
    ours = load_unet(tmp_path)
    config = theirs.config
    x = drawn(3, config.in_channels, ours.config.height, ours.config.width)
    t = torch.tensor([0, 999, 37])
    expected, answer = theirs(x, t).sample, ours(x, t)
    torch.testing.assert_close(answer, expected, rtol=1e-10, atol=1e-10 * float(expected.detach().abs().max()))
    weights = drawn(*answer.shape, seed=5)
    (expected * weights).sum().backward()
    (answer * weights).sum().backward()
    grads = {name: p.grad for name, p in theirs.named_parameters()}
    save_unet(ours, tmp_path / "again")
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(parameter.grad)
    save_unet(ours, tmp_path / "gradients")
    saved = load_file(tmp_path / "gradients" / WEIGHTS)
    assert saved.keys() == grads.keys()
    largest = max(float(grad.abs().max()) for grad in grads.values())
    for key, grad in grads.items():
        torch.testing.assert_close(saved[key], grad, rtol=1e-8, atol=1e-10 * largest)
    before, after = (load_file(folder / WEIGHTS) for folder in (tmp_path, tmp_path / "again"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("name", UNETS)
def test_a_unet_of_ours_is_read_by_diffusers(name, tmp_path):
    their_unet(name).save_pretrained(tmp_path / "theirs")
    config = load_unet(tmp_path / "theirs").config
    ours = UNet(config, seed=3).double()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_unet(ours, tmp_path / "ours")
    theirs = diffusers.UNet2DModel.from_pretrained(tmp_path / "ours", torch_dtype=torch.float64)
    x, t = drawn(2, config.in_channels, config.height, config.width), torch.tensor([500, 3])
    torch.testing.assert_close(ours(x, t), theirs(x, t).sample, rtol=1e-10, atol=1e-10)


def test_attention_by_its_old_names(tmp_path):
    their_unet("one level").save_pretrained(tmp_path)
    new = load_unet(tmp_path)
    old = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    tensors = load_file(tmp_path / WEIGHTS)
    for today, then in old.items():
        tensors = {name.replace(today, then): tensor for name, tensor in tensors.items()}
    assert "mid_block.attentions.0.query.weight" in tensors
    save_file(tensors, tmp_path / WEIGHTS)
    again = load_unet(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(new.parameters(), again.parameters()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"down_block_types": ["SkipDownBlock2D", "DownBlock2D"]}, "SkipDownBlock2D"),
        ({"up_block_types": ["ResnetUpsampleBlock2D", "UpBlock2D"]}, "ResnetUpsampleBlock2D"),
        ({"resnet_time_scale_shift": "scale_shift"}, "scale_shift"),
        ({"class_embed_type": "timestep"}, "class_embed_type"),
        ({"mid_block_type": None}, "mid_block_type"),
        ({"sample_size": None}, "sample_size"),
        ({"sample_size": 7}, "7 x 7"),
        ({"block_out_channels": [8, 15]}, "15 channels"),
        ({"_class_name": "UNet2DConditionModel"}, "UNet2DConditionModel"),
        ({"layers_per_block": 2}, "missing"),
    ],
)
def test_what_is_not_read_is_named(change, message, tmp_path):
    save_unet(UNet(UNetConfig(height=8, width=8, channels=(8, 16))), tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UserError, match=message):
        load_unet(tmp_path)


# Pipelines

SMALL = UNetConfig(
    height=8, width=8, channels=(8, 16), norm_groups=4, down_attention=(False, True), up_attention=(False, True)
)


def a_pipeline(**process):
    unet = UNet(SMALL, seed=1)
    with torch.no_grad():  # a new one answers 0
        for parameter in unet.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    return Pipeline(unet, Process(**({"schedule": Linear(30, 1e-3, 0.3)} | process)))


@pytest.mark.parametrize(
    ("process", "settings"),
    [
        ({}, {}),
        ({"schedule": Cosine(30), "prediction": PredictX0()}, {"spacing": "trailing"}),
        ({"schedule": Listed.of(Linear(30, 1e-3, 0.4).betas), "clip": 0.8}, {"variance": fixed_large}),
        ({"clip": None}, {"spacing": "linspace"}),
    ],
)
def test_a_pipeline_of_ours_paints_the_same_picture_in_diffusers(process, settings, tmp_path):
    pipeline = a_pipeline(**process)
    for name, value in settings.items():
        setattr(pipeline, name, value)
    save_pipeline(pipeline, tmp_path)
    assert load_pipeline(tmp_path).process == pipeline.process
    theirs = diffusers.DDPMPipeline.from_pretrained(tmp_path)
    theirs.set_progress_bar_config(disable=True)
    expected = theirs(2, torch.Generator().manual_seed(4), 10, output_type="pt").images
    *_, last = pipeline.draw(
        2, Ancestral(pipeline.process, pipeline.variance), pipeline.timesteps(10), torch.Generator().manual_seed(4)
    )
    # float32: their products of alphas and our exact ones differ by 1e-6, and unclipped noise multiplies it
    picture = (last.x / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(picture, expected, rtol=0, atol=1e-3)
    assert float(expected.std()) > 0.1  # not all black, not all white


@pytest.mark.parametrize("kind", ["DDPM", "DDIM"])
def test_a_pipeline_of_theirs_paints_the_same_picture_here(kind, tmp_path):
    torch.manual_seed(0)
    unet = diffusers.UNet2DModel(**UNETS["one level"])
    scheduler = getattr(diffusers, f"{kind}Scheduler")(40, beta_end=0.2)
    theirs = getattr(diffusers, f"{kind}Pipeline")(unet=unet, scheduler=scheduler)
    theirs.set_progress_bar_config(disable=True)
    theirs.save_pretrained(tmp_path)
    how = {"use_clipped_model_output": True} if kind == "DDIM" else {}
    expected = theirs(2, torch.Generator().manual_seed(4), num_inference_steps=8, output_type="np", **how).images
    ours = load_pipeline(tmp_path)
    sampler = Ancestral(ours.process, ours.variance) if kind == "DDPM" else DDIM(ours.process)
    *_, last = ours.draw(2, sampler, ours.timesteps(8), torch.Generator().manual_seed(4))
    picture = (last.x / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    torch.testing.assert_close(picture, torch.from_numpy(expected), rtol=0, atol=1e-3)


def test_the_first_pipelines_have_their_parts_side_by_side(tmp_path):
    save_pipeline(a_pipeline(), tmp_path)
    for part in ("unet", "scheduler"):
        for file in (tmp_path / part).iterdir():
            file.rename(tmp_path / file.name)
        (tmp_path / part).rmdir()
    assert load_pipeline(tmp_path).process.schedule == Linear(30, 1e-3, 0.3)


def test_what_is_no_pipeline_is_named(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        load_pipeline(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"no model_index\.json"):
        load_pipeline(tmp_path)
    save_pipeline(a_pipeline(), tmp_path)
    file = tmp_path / "scheduler" / "scheduler_config.json"
    whole = json.loads(file.read_text())
    for change in ({"prediction_type": "v_prediction"}, {"thresholding": True}, {"beta_schedule": "sigmoid"}):
        file.write_text(json.dumps(whole | change))
        with pytest.raises(UserError, match=next(iter(change))):
            load_pipeline(tmp_path)
    (tmp_path / "model_index.json").write_text(json.dumps({"unet": ["diffusers", "UNet2DConditionModel"]}))
    with pytest.raises(UserError, match="scheduler = None"):
        load_pipeline(tmp_path)
