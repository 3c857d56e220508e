"""Each rule of what counts, on a miniature package; then on a copy of the real one."""

import importlib
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import numpy
import pytest

import allyouneed
from allyouneed.errors import UserError
from allyouneed.lab.trials.source import Digest, trial_digest, value_digest

PACKAGE = {
    "__init__.py": """
        '''A package whose names are found lazily.'''
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from house.models import Decoder as Decoder
            from house.blocks.rope import Rope as Rope
        __version__ = "1.0"
        def __getattr__(name): return _find(name)
        """,
    "models/__init__.py": """
        from house.models.decoder import Decoder as Decoder
        from house.models.encoder import Encoder as Encoder
        from ..helpers import SIZE
        __all__ = ["Decoder", "Encoder"]
        def double(x): return SIZE * x
        def triple(x): return 3 * x
        """,
    "models/decoder.py": """
        '''A decoder.'''
        import torch
        from typing import TYPE_CHECKING
        from ..helpers import helper  # shared
        if TYPE_CHECKING:
            from house.blocks.alibi import Alibi
        class Decoder:
            '''Decodes.'''
            def forward(self, x: "Alibi"): return helper(x)
        """,
    "models/encoder.py": "class Encoder: ...",
    "blocks/__init__.py": "",
    "blocks/rope.py": "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Rope:\n    theta: float = 1e4",
    "blocks/alibi.py": "class Alibi: slope = 8",
    "helpers.py": "SIZE = 2\ndef helper(x): return x",
    "data/__init__.py": "from house.data import corpora as corpora",
    "data/corpora.py": "PACKAGES = ('numpy', 'no-such-package')\ndef text(): return 'words'",
    "recipes/plain/tools.py": "def tool(): return 1",
}

STUDY = """
    '''Does it?'''
    from dataclasses import dataclass
    import matplotlib.pyplot as plt
    from house.models import Decoder, Encoder
    from house.blocks.alibi import Alibi
    from lab import Study

    study = Study(scales={})
    RATE = 0.5
    LABEL, WIDTH = "a label", 3

    @dataclass
    class Base:
        x: int = 1

    class Batch(Base):
        '''Some rows.'''
        def rows(self): return [row for row in range(WIDTH)]

    def unreached(): return Encoder()

    def helper(rate=RATE):
        '''Helps.'''
        def inner(): return Batch
        return inner

    @study.trial(arm=["a", "b"])
    def train(arm, seed, scale, run):
        '''Trains.'''
        learned = Decoder()  # the gate's name, but a local one
        return helper()

    @study.trial(arm=["a"])
    def ablate(arm, seed, scale, run): return Encoder()

    @study.gate(baseline="chance")
    def learned(m): return m.below("loss", 1.0)

    @study.claim("C1", paper="better")
    def better(m):
        '''It is better.'''
        return m.less("loss", "a", than="b")

    @study.figure
    def curves(m): return plt.plot(m, label=LABEL)
    """


class World:
    """A folder with the package `house` in it and, beside it, a folder with a study."""

    def __init__(self, folder: Path) -> None:
        self.house, self.studies = folder / "house", folder / "studies"
        self.studies.mkdir()
        for name, text in PACKAGE.items():
            self.write(self.house / name, text)
        self.study = self.studies / "study.py"
        self.write(self.study, STUDY)

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))

    def edit(self, path: Path | str, old: str, new: str) -> None:
        path = self.house / path
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def trial(self, text: str) -> Digest:
        """The digest of `train` in a study that is nothing but this text."""
        self.write(self.study, text)
        return self.digest()

    def digest(self, name: str = "train") -> Digest:
        return trial_digest(function_in(self.study, name), roots={"house": self.house})


def function_in(path: Path, name: str):
    """A function as if `path` had been imported: its name and file are all that is read of it."""
    found: dict = {}
    exec(compile(f"def {name}(): ...", str(path), "exec"), found)
    return found[name]


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


def changes(world: World, path: Path | str, old: str, new: str) -> bool:
    before = world.digest().sha256
    world.edit(path, old, new)
    return world.digest().sha256 != before


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("../studies/study.py", "'''Does it?'''", "'''It does.'''\n# a comment"),
        ("../studies/study.py", "'''Helps.'''", ""),
        ("../studies/study.py", "'''Some rows.'''", "'''Rows.'''"),
        ("../studies/study.py", "def helper(rate=RATE):", "def helper(\n    rate = RATE,\n):"),
        ("../studies/study.py", "def unreached(): return Encoder()", "def unreached(): return 5"),
        ("../studies/study.py", "def ablate(arm, seed, scale, run): return Encoder()", "def ablate(arm): return 1"),
        ("../studies/study.py", 'm.less("loss", "a", than="b")', 'm.less("loss", "b", than="a")'),
        ("../studies/study.py", 'm.below("loss", 1.0)', 'm.below("loss", 2.0)'),
        ("../studies/study.py", "plt.plot(m, label=LABEL)", "plt.plot(m)"),
        ("../studies/study.py", "scales={}", "scales={1: 2}"),
        ("../studies/study.py", 'arm=["a", "b"]', 'arm=["a", "b", "c"]'),
        (
            "../studies/study.py",
            "from house.models import Decoder, Encoder",
            "from house.models import Encoder, Decoder",
        ),
        ("../studies/study.py", "from house.models import Decoder, Encoder", "from house import Decoder"),
        ("models/encoder.py", "class Encoder: ...", "class Encoder: x = 1"),
        ("blocks/alibi.py", "slope = 8", "slope = 16"),
        ("models/__init__.py", "return SIZE * x", "return 2 * x"),
        ("models/__init__.py", '["Decoder", "Encoder"]', '["Decoder"]'),
        ("models/decoder.py", "# shared", "# by all"),
        ("models/decoder.py", "'''Decodes.'''", ""),
        ("models/decoder.py", "from house.blocks.alibi import Alibi", "from house.blocks.nowhere import Alibi"),
    ],
)
def test_what_cannot_change_the_trial_does_not_count(world, path, old, new):
    assert not changes(world, path, old, new)


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("../studies/study.py", "learned = Decoder()", "learned = Decoder(2)"),
        ("../studies/study.py", "RATE = 0.5", "RATE = 0.6"),
        ("../studies/study.py", '"a label", 3', '"a label", 4'),
        ("../studies/study.py", "x: int = 1", "x: int = 2"),
        ("../studies/study.py", "@dataclass\n", "@dataclass(frozen=True)\n"),
        ("../studies/study.py", "def inner(): return Batch", "def inner(): return Batch()"),
        ("../studies/study.py", "RATE = 0.5", "RATE = 0.5\nRATE += 1"),
        (
            "../studies/study.py",
            "from house.models import Decoder, Encoder",
            "from house.models import Encoder as Decoder",
        ),
        ("models/decoder.py", "return helper(x)", "return helper(-x)"),
        ("helpers.py", "return x", "return x + 1"),
        ("helpers.py", "SIZE = 2", "SIZE = 3"),
    ],
)
def test_what_may_change_the_trial_counts(world, path, old, new):
    assert changes(world, path, old, new)


def test_the_modules_and_packages_reached_are_named(world):
    digest = world.digest()
    assert digest.modules == ["house.helpers", "house.models.decoder", "study"]
    assert list(digest.packages) == ["torch"]


def test_a_digest_is_the_same_wherever_the_files_lie(world, tmp_path):
    shutil.copytree(tmp_path, tmp_path / "copy" / "of", ignore=shutil.ignore_patterns("copy"))
    copy = trial_digest(
        function_in(tmp_path / "copy/of/studies/study.py", "train"), roots={"house": tmp_path / "copy/of/house"}
    )
    assert copy == world.digest()


@pytest.mark.parametrize(
    "text",
    [
        "from house.blocks.rope import Rope\ndef train(): return Rope()",
        "import house.blocks.rope\ndef train(): return house.blocks.rope.Rope()",
        "import house.blocks.rope as r\ndef train(): return r.Rope()",
        "from house.blocks import rope\ndef train(): return rope.Rope()",
        "from house import blocks\ndef train(): return blocks.rope.Rope()",
        "import house as h\ndef train(): return h.Rope()",
        "import house as h\ndef train(): return h.blocks.rope.Rope()",
        "from house import Rope\ndef train(): return Rope()",
        "from house.blocks.rope import *\ndef train(): return Rope()",
        "def train():\n    from house.blocks.rope import Rope\n    return Rope()",
        "def train():\n    from house import blocks\n    return blocks.rope.Rope()",
        "def train():\n    import house\n    return house.Rope()",
        "try:\n    from house import Rope\nexcept ImportError:\n    Rope = None\ndef train(): return Rope()",
        "from house import Rope\nARMS = {'rope': Rope()}\ndef train(): return ARMS",
        "from house import Rope\ndef train(x: Rope = None): return x",
        "from house import Rope\ndef train(): return [lambda: Rope for Rope in [Rope]]",
    ],
)
def test_every_way_to_import_a_name_leads_to_its_module_alone(world, text):
    digest = world.trial(text)
    assert digest.modules == ["house.blocks.rope", "study"]
    assert digest.packages == {}


def test_a_package_handed_around_as_a_value_counts_with_all_it_names(world):
    digest = world.trial("from house import models\ndef train(arm): return getattr(models, arm)")
    assert {"house.models", "house.models.decoder", "house.models.encoder"} <= set(digest.modules)


def test_an_init_counts_only_by_the_definitions_reached_in_it(world):
    text = "from house.models import double\ndef train(): return double(1)"
    assert world.trial(text).modules == ["house.helpers", "house.models", "study"]
    assert changes(world, "models/__init__.py", "SIZE * x", "SIZE * x + 1")
    assert not changes(world, "models/__init__.py", "3 * x", "4 * x")


def test_an_init_may_import_its_own_submodules(world):
    digest = world.trial("from house.data import corpora\ndef train(): return corpora.text()")
    assert digest.modules == ["house.data.corpora", "study"]


def test_swapping_two_names_counts_though_the_same_modules_are_reached(world):
    text = "from house import Rope as {}\nfrom house.blocks.alibi import Alibi as {}\ndef train(): return a, b()"
    first, second = world.trial(text.format("a", "b")), world.trial(text.format("b", "a"))
    assert first.modules == second.modules
    assert first.sha256 != second.sha256


def test_files_beside_the_study_count_whole_with_what_they_import(world):
    world.write(world.studies / "mine.py", "from parts.small import small\ndef mine(): return small\nOTHER = 1")
    world.write(
        world.studies / "parts" / "small.py", "from . import deeper\nfrom house.helpers import helper\nsmall = 1"
    )
    world.write(world.studies / "parts" / "deeper.py", "DEEP = 1")
    digest = world.trial("import mine\nimport numpy\ndef train(): return mine.mine()")
    assert digest.modules == ["deeper", "house.helpers", "mine", "small", "study"]
    assert digest.packages == {}
    assert changes(world, world.studies / "mine.py", "OTHER = 1", "OTHER = 2")
    assert changes(world, world.studies / "parts/deeper.py", "DEEP = 1", "DEEP = 2")


def test_relative_imports_of_a_study_inside_a_package_are_followed(world):
    world.write(world.studies / "__init__.py", "")
    world.write(world.studies / "mine.py", "from ..far import FAR\ndef mine(): return FAR")
    world.write(world.studies.parent / "far.py", "FAR = 1")
    assert world.trial("from .mine import mine\ndef train(): return mine()").modules == [
        "far",
        "studies.mine",
        "studies.study",
    ]


def test_the_users_own_package_on_the_path_counts_by_its_source(world, monkeypatch):
    world.write(world.studies.parent / "elsewhere" / "my_own_tools" / "__init__.py", "TOOL = 1")
    monkeypatch.syspath_prepend(world.studies.parent / "elsewhere")
    digest = world.trial("import my_own_tools\ndef train(): return my_own_tools.TOOL")
    assert digest.modules == ["my_own_tools", "study"]


def test_a_folder_of_data_beside_the_study_does_not_hide_an_installed_package(world):
    (world.studies / "numpy").mkdir()
    (world.studies / "numpy" / "notes.py").write_text("")
    digest = world.trial("import numpy\ndef train(): return numpy.zeros(1)")
    assert (digest.modules, list(digest.packages)) == (["study"], ["numpy"])


def test_the_lab_and_the_errors_never_count(world):
    text = """
        from allyouneed.lab import grid, found_at_run_time
        from allyouneed.errors import UserError
        def train(): return grid, found_at_run_time, UserError
        """
    world.write(world.study, text)
    digest = trial_digest(function_in(world.study, "train"))
    assert (digest.modules, digest.packages) == (["study"], {})


def test_installed_packages_count_by_version_and_missing_ones_as_absent(world):
    imports = (
        "import torch.nn.functional as F\nimport os.path, yaml, nowhere_to_be_found\nfrom house.data import corpora"
    )
    digest = world.trial(f"{imports}\ndef train(): return F, yaml, nowhere_to_be_found, corpora, os")
    assert list(digest.packages) == ["no-such-package", "nowhere_to_be_found", "numpy", "torch", "yaml"]
    assert digest.packages["numpy"] == numpy.__version__
    assert digest.packages["no-such-package"] == digest.packages["nowhere_to_be_found"] == "absent"
    assert digest.packages["yaml"][0].isdigit()


@pytest.mark.parametrize(
    "effect",
    [
        "torch.set_default_dtype(torch.float64)",
        "torch.backends.flag = True",
        "if torch:\n    torch.set_num_threads(1)",
        "ARMS['b'] = 2",
        "ARMS.update(b=2)",
        "ARMS |= {'b': 2}",
        "for name in 'bc':\n    ARMS[name] = 2",
        "@register\ndef b(): return 2",
    ],
)
def test_statements_that_may_change_what_the_trial_finds_count(world, effect):
    start = "import torch\nARMS = {'a': 1}\ndef register(f): return ARMS.setdefault(f.__name__, f)\n"
    end = "\ndef train(arm): return ARMS[arm]"
    assert world.trial(start + end).sha256 != world.trial(start + effect + end).sha256


@pytest.mark.parametrize(
    "statement",
    ["LABELS['b'] = 2", "study.figure(plot)", "if __name__ == '__main__':\n    print(train(1))", "'a bare string'"],
)
def test_statements_about_what_is_not_reached_do_not_count(world, statement):
    start = "LABELS = {}\nstudy = object()\ndef plot(): return LABELS\n"
    end = "\ndef train(arm): return arm"
    assert world.trial(start + end).sha256 == world.trial(start + statement + end).sha256


@pytest.mark.parametrize(
    ("train", "reads"),
    [
        ("def train(data): return data", False),
        ("def train():\n    data = 1\n    return lambda: data", False),
        ("def train(): return [data for data in [1]], lambda data: data", False),
        ("def train():\n    for data, _ in []: pass\n    with open() as data: return data", False),
        ("def train():\n    global data\n    data = data()", True),
        ("def train(x=data): return x", True),
        ("def train():\n    def inner(data): return data\n    return data()", True),
        ("def train(): return [data for data in data()]", True),
    ],
)
def test_a_local_name_hides_a_definition_of_the_same_name(world, train, reads):
    text = f"def data(): return 1\n{train}"
    assert (world.trial(text).sha256 != world.trial(text.replace("return 1", "return 2")).sha256) is reads


def test_a_study_imported_by_another_counts_only_by_what_is_reached(world):
    world.study.rename(world.studies / "first.py")
    assert world.trial("from first import helper\ndef train(): return helper()").modules == ["first", "study"]
    assert not changes(world, world.studies / "first.py", 'm.below("loss", 1.0)', 'm.below("loss", 2.0)')
    assert changes(world, world.studies / "first.py", "RATE = 0.5", "RATE = 0.25")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nfrom .nowhere import x\ndef train(): return x", r"study.py:2: there is no module .nowhere"),
        ("from house.nowhere import x\ndef train(): return x", r"study.py:1: there is no module house.nowhere"),
        ("from house.models import Nobody\ndef train(): return Nobody", r"study.py:1: house.models has no 'Nobody'"),
        ("import house\ndef train():\n    return house.Nobody", r"study.py:3: house has no 'Nobody'.*TYPE_CHECKING"),
    ],
)
def test_an_import_that_leads_nowhere_is_an_error_with_file_and_line(world, text, message):
    with pytest.raises(UserError, match=message):
        world.trial(text)


def test_the_error_names_the_file_that_has_the_wrong_import(world):
    world.edit("models/decoder.py", "from ..helpers import helper", "from ..helper import helper")
    with pytest.raises(UserError, match=r"decoder.py:5: there is no module ..helper to import"):
        world.digest()


def test_a_function_that_is_not_at_the_top_of_a_file_is_refused(world):
    with pytest.raises(UserError, match=r"<lambda>' must be defined with def"):
        trial_digest(lambda: 1)
    with pytest.raises(UserError, match="save it in one"):
        trial_digest(function_in(Path("<notebook>"), "train"))
    with pytest.raises(UserError, match=r"'nobody' must be defined"):
        world.digest("nobody")
    with pytest.raises(UserError, match="written with def"):
        trial_digest(print)


@dataclass(frozen=True)
class Arm:
    size: int
    inner: object = None


@dataclass
class Loose:
    size: int


PLAIN = [
    None,
    True,
    1,
    1.0,
    "1",
    "",
    (),
    (1,),
    (1, 2),
    ((1,), 2),
    float("nan"),
    -0.0,
    0.0,
    Arm(1),
    Arm(2),
    Arm(1, Arm(1)),
    Arm,
]


def test_different_values_have_different_digests_and_equal_ones_the_same():
    assert len({value_digest(value).sha256 for value in PLAIN}) == len(PLAIN)
    assert value_digest(Arm(1, (2, "x"))) == value_digest(Arm(1, (2, "x")))
    assert trial_digest(write_nothing, [Arm(1)]) != trial_digest(write_nothing, [Arm(2)])


def write_nothing() -> None: ...


@pytest.mark.parametrize("value", [Loose(1), [1], {"a": 1}, object(), Arm(1, inner=[2]), numpy.float64(1.0)])
def test_a_value_that_cannot_be_described_is_refused(value):
    with pytest.raises(UserError, match="an arm may be a string, a number"):
        value_digest(value)


def test_a_class_made_inside_a_function_is_refused():
    class Local: ...

    with pytest.raises(UserError, match="not inside a function"):
        value_digest(Local)


def test_an_object_counts_with_its_module_and_what_that_reaches(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_helpers.py").write_text("import torch\nSIZE = 1")
    (tmp_path / "my_block.py").write_text(
        "from dataclasses import dataclass\nfrom my_helpers import SIZE\n"
        "@dataclass(frozen=True)\nclass Mine:\n    size: int = SIZE\n"
    )
    monkeypatch.delitem(sys.modules, "my_block", raising=False)
    module = importlib.import_module("my_block")
    before = value_digest(module.Mine())
    assert before.modules == ["my_block", "my_helpers"]
    assert list(before.packages) == ["torch"]
    assert value_digest(module.Mine).sha256 != before.sha256
    assert value_digest(module.Mine(2)).sha256 != before.sha256
    (tmp_path / "my_helpers.py").write_text("import torch\nSIZE = 1  # one")
    assert value_digest(module.Mine()) == before
    (tmp_path / "my_helpers.py").write_text("import torch\nSIZE = 1 + 0")
    assert value_digest(module.Mine()) != before


def test_a_class_of_an_installed_package_counts_by_its_version():
    import torch

    digest = value_digest(torch.nn.GELU)
    assert (digest.modules, digest.packages) == ([], {"torch": torch.__version__})
    assert value_digest(Path).packages == {}


# The real package, from a copy.

ROPE_STUDY = """
    from allyouneed.blocks.positions.{module} import {name}
    from allyouneed.data.text import corpora
    from allyouneed.lab import Study
    from allyouneed.models import Decoder, DecoderConfig
    from allyouneed.objectives import causal_lm
    from allyouneed.training import evaluate, fit

    study = Study(paper="rope", scales={{}})

    @study.trial(arm=["one"])
    def train(arm, seed, scale, run):
        text = corpora.python_code()
        model = Decoder(DecoderConfig(vocab_size=256, positions={name}()), seed=seed)
        fit(model, causal_lm, text.train.windows(16), lr=1e-3, max_steps=3)
        return {{"loss": evaluate(model, causal_lm, text.test.windows(16))}}
    """


@pytest.fixture(scope="module")
def copy_of_ours(tmp_path_factory) -> Path:
    copy = tmp_path_factory.mktemp("ours") / "allyouneed"
    shutil.copytree(Path(allyouneed.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for module, name in (("rope", "Rope"), ("sinusoidal", "Sinusoidal")):
        (copy.parent / f"{module}_study.py").write_text(dedent(ROPE_STUDY.format(module=module, name=name)))
    return copy


def digest_of_ours(copy: Path, module: str) -> Digest:
    return trial_digest(function_in(copy.parent / f"{module}_study.py", "train"), roots={"allyouneed": copy})


def test_editing_rope_changes_the_studies_that_use_it_and_no_other(copy_of_ours):
    rope, sinusoidal = (digest_of_ours(copy_of_ours, module) for module in ("rope", "sinusoidal"))
    assert {"allyouneed.blocks.positions.rope", "allyouneed.models.decoder"} <= set(rope.modules)
    assert "allyouneed.blocks.positions.rope" not in sinusoidal.modules
    assert not [name for name in rope.modules if name.startswith("allyouneed.lab")]
    home = copy_of_ours / "blocks" / "positions" / "rope.py"
    home.write_text(home.read_text() + "\n\n# only a comment\n")
    assert digest_of_ours(copy_of_ours, "rope") == rope
    home.write_text(home.read_text() + "\n\nONE_MORE = 1\n")
    assert digest_of_ours(copy_of_ours, "rope").sha256 != rope.sha256
    assert digest_of_ours(copy_of_ours, "sinusoidal") == sinusoidal
