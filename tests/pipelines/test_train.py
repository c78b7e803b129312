"""The training command, as far as it gets without data."""

from pathlib import Path

import pytest

from pipelines.train import main

CONFIGS = Path(__file__).parents[2] / "configs" / "training"


@pytest.mark.parametrize("config", [str(CONFIGS / "joint_embedding.yaml"), "nowhere.yaml"])
def test_a_missing_file_is_named(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--config", config, "--data", str(tmp_path / "nothing"), "--output", str(tmp_path / "out")]
    assert main(["joint_embedding", *flags]) == 2
    missing = "nowhere.yaml" if config == "nowhere.yaml" else f"{tmp_path}/nothing/flickr8k/captions.tsv"
    assert f"{missing}: not there" in capsys.readouterr().err
