"""The faster products are taken where they gain, stay exact, and leave torch's setting as it was."""

import pytest
import torch

from allyouneed.blocks import Rope
from allyouneed.models import Decoder, DecoderConfig, products


@pytest.fixture
def settings(monkeypatch):
    """Every setting that torch is given from now on."""
    seen = []
    given = torch.set_float32_matmul_precision
    monkeypatch.setattr(torch, "set_float32_matmul_precision", lambda value: seen.append(value) or given(value))
    monkeypatch.setattr(products, "_is_exact", lambda: True)
    yield seen
    given("highest")


@pytest.mark.parametrize(
    ("rows", "width", "dtype", "taken"),
    [
        (2, 512, torch.float32, True),
        (1, 512, torch.float32, False),
        (2, 511, torch.float32, False),
        (2, 512, torch.float64, False),
        (2, 512, torch.bfloat16, False),
    ],
)
def test_where_they_are_taken(rows, width, dtype, taken, settings):
    with products.fast_products(rows, width, torch.zeros(1, dtype=dtype)):
        assert torch.get_float32_matmul_precision() == ("medium" if taken else "highest")
    assert torch.get_float32_matmul_precision() == "highest"


def test_a_setting_of_the_users_own_stays(settings):
    torch.set_float32_matmul_precision("high")
    with products.fast_products(9, 900, torch.zeros(1)):
        assert torch.get_float32_matmul_precision() == "high"


def test_not_where_they_would_round(settings, monkeypatch):
    monkeypatch.setattr(products, "_is_exact", lambda: False)
    with products.fast_products(9, 900, torch.zeros(1)):
        assert torch.get_float32_matmul_precision() == "highest"


def test_a_step_of_several_rows_takes_them_and_one_of_one_does_not(settings):
    config = DecoderConfig(vocab_size=9, d_model=512, n_layers=1, n_heads=4, d_ff=32, positions=Rope())
    model = Decoder(config)
    tokens = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        logits, state = model.step(tokens, model.new_state(1))
        assert settings == ["medium", "highest"]
        model.step(tokens[:, :1], state)
        assert settings == ["medium", "highest"]
        assert torch.allclose(logits, model(tokens)[:, -1], atol=1e-5)


def test_whether_a_processor_is_exact_is_asked_once():
    products._is_exact.cache_clear()
    before = torch.get_float32_matmul_precision()
    assert products._is_exact() in (True, False)
    assert torch.get_float32_matmul_precision() == before
