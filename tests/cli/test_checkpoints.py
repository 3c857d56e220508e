"""generate, score, convert and diff on small checkpoints with a tokenizer of their own."""

import json

import pytest
import torch
import transformers as hf

import allyouneed as ayn
from allyouneed.blocks import Rope
from allyouneed.models import Decoder, DecoderConfig, Encoder, EncoderConfig
from allyouneed.tokenizers.subwords import train_subwords

TEXTS = ["the quick brown fox jumps over the lazy dog. " * 3, "pack my box with five dozen liquor jugs. " * 3]
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}"
)


def add_tokenizer(folder, template=TEMPLATE):
    tokenizer = train_subwords(TEXTS, 80, special=())
    (folder / "tokenizer.json").write_text(tokenizer.to_dict()["description"])
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [3]}))


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """A llama of the reference library, with a tokenizer."""
    folder = tmp_path_factory.mktemp("checkpoints") / "llama"
    torch.manual_seed(0)
    config = hf.LlamaConfig(
        vocab_size=80,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
        initializer_range=0.3,
    )
    hf.LlamaForCausalLM(config).save_pretrained(folder)
    add_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints") / "t5"
    torch.manual_seed(0)
    config = hf.T5Config(vocab_size=80, d_model=32, d_kv=8, d_ff=48, num_layers=1, num_heads=2, initializer_factor=3.0)
    hf.T5ForConditionalGeneration(config).save_pretrained(folder)
    add_tokenizer(folder)
    return folder


def expected(folder, prompt, **settings):
    """What the Python API writes."""
    model, tokenizer = ayn.load(folder), ayn.tokenizer(folder)
    tokens = torch.tensor([tokenizer.encode(prompt, special=True)])
    written = ayn.generate(model, tokens, stop_tokens=tokenizer.eos_ids, **settings)
    new = written[0, tokens.shape[1] if isinstance(model, Decoder) else 1 :].tolist()
    new = new[: new.index(3)] if 3 in new else new
    return tokenizer.decode(new, skip_special=True)


def test_one_prompt_is_streamed(cli, llama):
    answer = cli("generate", str(llama), "the quick", "--max-new-tokens", "12", "--seed", "4")
    assert answer.code == 0
    assert answer.out == expected(llama, "the quick", max_new_tokens=12, seed=4) + "\n"


def test_several_prompts_and_json(cli, llama):
    prompts = ["the quick", "pack my box with five"]
    words = ["--max-new-tokens", "9", "--temperature", "0", "--dtype", "float64"]
    answer = cli("generate", str(llama), *prompts, *words, "--json")
    found = json.loads(answer.out)
    assert [a["prompt"] for a in found["answers"]] == prompts
    assert [a["text"] for a in found["answers"]] == [
        expected(llama, prompt, max_new_tokens=9, temperature=0) for prompt in prompts
    ]
    shown = cli("generate", str(llama), *prompts, *words).out
    assert all(f"> {prompt}" in shown for prompt in prompts)
    drafted = cli("generate", str(llama), *prompts, *words, "--draft", str(llama), "--json")
    assert json.loads(drafted.out)["answers"] == found["answers"]
    assert cli("generate", str(llama), *prompts, *words, "--beams", "3").code == 0


def test_a_chat_and_standard_input(cli, llama, monkeypatch, tmp_path):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("the lazy dog"))
    words = ["--max-new-tokens", "5", "--temperature", "0"]
    answer = cli("generate", str(llama), "--chat", "--system", "pack", *words)
    prompt = "<system>pack<user>the lazy dog<a>"
    assert answer.out == expected(llama, prompt, max_new_tokens=5, temperature=0) + "\n"
    assert "add --chat" in cli("generate", str(llama), "x", "--system", "pack").err


def test_an_encoder_decoder_writes_about_its_prompt(cli, t5):
    answer = cli("generate", str(t5), "five dozen", "--max-new-tokens", "7", "--temperature", "0")
    assert answer.out == expected(t5, "five dozen", max_new_tokens=7, temperature=0) + "\n"


def test_stop_texts_are_not_shown(cli, llama):
    words = ["generate", str(llama), "the quick", "--max-new-tokens", "20", "--temperature", "0"]
    whole = cli(*words).out.rstrip("\n")
    stop = whole[5:7]
    assert cli(*words, "--stop", stop).out == whole[: whole.index(stop)] + "\n"


def test_scores_are_sums_of_log_probabilities(cli, llama):
    continuations = [" brown fox", " lazy"]
    answer = cli("score", str(llama), "the quick", *continuations, "--json")
    found = {entry["continuation"]: entry for entry in json.loads(answer.out)}
    model, tokenizer = ayn.load(llama), ayn.tokenizer(llama)
    for text in continuations:
        whole, n = tokenizer.encode("the quick" + text), len(tokenizer.encode("the quick"))
        with torch.no_grad():
            log_p = model(torch.tensor([whole])).log_softmax(-1)[0]
        values = [float(log_p[place - 1, whole[place]]) for place in range(n, len(whole))]
        assert found[text]["log_probabilities"] == pytest.approx(values, abs=1e-5)
        assert found[text]["total"] == pytest.approx(sum(values), abs=1e-4)
    table = cli("score", str(llama), "the quick", *continuations).out
    assert repr(max(found, key=lambda text: found[text]["total"])) in table.splitlines()[2]


def test_convert_writes_all_and_says_what(cli, llama, tmp_path):
    answer = cli("convert", str(llama), "out", "--dtype", "bfloat16", "--shard-gb", "0.00002")
    assert answer.code == 0
    assert answer.out.startswith("llama: ")
    assert "tokenizer.json" in answer.out
    assert len(list((tmp_path / "out").glob("*.safetensors"))) > 1
    again = hf.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert again.dtype == torch.bfloat16
    before = hf.AutoModelForCausalLM.from_pretrained(llama, dtype=torch.bfloat16)
    for name, tensor in before.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
    assert cli("generate", "out", "the quick", "--max-new-tokens", "2").code == 0


def test_diff_names_the_first_layer_that_differs(cli, llama, t5, monkeypatch):
    for folder in (llama, t5):
        answer = cli("diff", str(folder))
        assert answer.code == 0
        assert "no place differs" in answer.out
    from allyouneed.models import diff

    load = diff.load

    def spoiled(*args, **settings):
        model = load(*args, **settings)
        with torch.no_grad():
            model.layers[1].sublayers["feedforward"].up.weight.mul_(1.1)
        return model

    monkeypatch.setattr(diff, "load", spoiled)
    answer = cli("diff", str(llama))
    assert answer.code == 1
    assert "the first to differ is layer 1" in answer.out
    found = {entry["place"]: entry["differs"] for entry in json.loads(cli("diff", str(llama), "--json").out)}
    assert found == {"embedding": False, "layer 0": False, "layer 1": True, "logits": True}


def test_what_cannot_write_says_so(cli, tmp_path):
    ayn.save(Encoder(EncoderConfig(vocab_size=80, positions=Rope())), tmp_path / "encoder")
    add_tokenizer(tmp_path / "encoder")
    answer = cli("generate", "encoder", "x")
    assert answer.code == 1
    assert "cannot write" in answer.err
    ayn.save(Decoder(DecoderConfig(vocab_size=80, positions=Rope())), tmp_path / "decoder")
    assert "no tokenizer" in cli("generate", "decoder", "x").err
    assert "there is no folder ./nowhere" in cli("generate", "./nowhere", "x").err
    add_tokenizer(tmp_path / "decoder", template="")
    assert "no chat template" in cli("generate", "decoder", "x", "--chat").err
    ayn.save(Decoder(DecoderConfig(vocab_size=9, positions=Rope())), tmp_path / "small")
    add_tokenizer(tmp_path / "small")
    assert "not of the model's vocabulary" in cli("generate", "small", "the quick").err
    assert "not of the model's vocabulary" in cli("score", "small", "the quick", " brown").err
    assert "top_p" in cli("generate", "decoder", "x", "--top-p", "7").err
