"""The digests of the pocket pack stay: with another one, all photos that people have stories of are processed again."""

from typing import Any

import pytest

from configs.schema import check_config
from pipelines.cli.packs_at_hand import POCKET
from pipelines.telling.settings import resolve
from transforms.records import Networks

PACK = "562ad6285e322f7c67f204dd34f5a9ee8e3f9d25cd3e8f61fdcb174f215fca9d"  # of version 5; another pack has other values
DEFAULT = "c2ba614f91fa895ae6c0437443a897f08df9fd6e0ead406e54846087e5ce2bc2"
FEATURES = "78dc54a607927f46ab6fb29a248a954ccd4c53f923cacdf13e92c4ccbeb5d488"
BOTH = "e47f3ed02c2d3243c24d59f9d496e72459184fa7fe195d6f7391cbc69f5d7f6d"


def of_pocket(**options: Any) -> tuple[str, Networks | None]:
    settings = resolve(check_config({"pack": POCKET, "device": "cpu", **options}))
    assert settings.pack.digest == PACK
    return settings.digest, settings.networks()


@pytest.mark.parametrize(
    ("options", "digest", "features", "captions"),
    [
        ({}, DEFAULT, FEATURES, BOTH),
        ({"captions": "both"}, DEFAULT, FEATURES, BOTH),
        (
            {"captions": "written"},
            "20312cf39dff8a34f4eb8d4c544a500d96b69aa4c183221656c8b80464e415c4",
            FEATURES,
            "f286e778d42fd9d89650316610a8752d522b021b4fec34f0e4fdef4be5464617",
        ),
        (
            {"captions": "retrieved"},
            "31206e16342d4d0a28d731ca93be23a66837c4b8cbf27232b4e2fb92756c4072",
            FEATURES,
            "aff193d101e660feebcbadb7263e8310d6b54da4c4e4994ac8b94f28ec6eb832",
        ),
        (
            {"captions": "written", "captions_per_photo": 7, "written_captions": 3},
            "e7d417073b4d8d3a1baa7227d40bc6cd57676ef49d262fc95f165285ad88a7e6",
            FEATURES,
            "4a54259b6e2fd24312398c2282fe9a72ace6f4261adf2d878479a375b22db0a3",
        ),
        (
            {"preprocessing": "fast"},
            "af37dbc1154687470af6081024382815d141070a2a1f27b2300a253b8221277b",
            "a14925c030a552cd0e3b5a3520f7ad148ebbb32778a8af116f384f89c4315698",
            "56a7b2ae66023739de704da5414cf2dd67fbe462a9740623b94cdf70925c0f08",
        ),
        (
            {"precision": "bfloat16"},
            "11aa76b9fd65caf1f3bcc15a6013fb43c40c2b0a30b7443e67e828c21a3b6825",
            "2fdbac7b96b4cc1e322731120826bde055dfa537ab198b90fac068c7c7aa7f5d",
            "f3104efaae7f0f9d1950e58cb1effd9fd8e6e654adc03d842c3cd4a313819258",
        ),
        (
            {"decoding": "original"},
            "5ee5a779e22b4e43ae488480a27ddea95c6a71a1df1e597c005a87d566eed579",
            "69d38fef32a2f2b3d1804442d59abcd3f6e26023233927a9252a41bf940ac4c2",
            "602d52bf86c640cb4f2f9c1d9266780d947892665d95db492778195ac1c0821c",
        ),
        (
            {"lyric": True, "shift": "mean", "beam_width": 50},
            "0586e906effefe9d76b62c86146bd1b57559881fe9a5526c970150ba7c16c373",
            FEATURES,
            BOTH,
        ),
    ],
)
def test_settings_and_networks(options: dict[str, Any], digest: str, features: str, captions: str) -> None:
    assert of_pocket(**options) == (digest, Networks(features, captions))


def test_ready_feature_vectors() -> None:
    digest = "15921730bfa2215d588ff289a25b4865742c2a6b7f988e2ac2e049cb3269e373"
    assert of_pocket(features="f.parquet") == (digest, None)


@pytest.mark.parametrize(
    "options", [{"keep_features": False}, {"style": "austen"}, {"batch_size": 3, "device": "auto"}]
)
def test_options_that_change_no_story(options: dict[str, Any]) -> None:
    assert of_pocket(**options)[0] == DEFAULT
