"""The work of `pipelines.prepare_texts`: checks all options and inputs, runs the pipeline, describes the result."""

import argparse
import json
import posixpath
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import apache_beam as beam
import fsspec
from apache_beam.options.pipeline_options import PipelineOptions

from configs.schema import ConfigError
from configs.values import at_home
from pipelines.cli.runners import container_problems, is_local, place_problems
from pipelines.corpora.preparation.corpus_graph import Target, build
from pipelines.corpora.preparation.corpus_records import DEV, MANIFEST, Rules
from pipelines.corpora.preparation.corpus_report import describe, describe_refused
from pipelines.corpora.preparation.given_words import NO_WORDS, read_words
from transforms.folders import ListingError, expand
from transforms.uris import absolute, check_uri
from transforms.write_whole import write_whole

RULES = ("vocabulary", "words", "caption_weight", "least", "most", "unknown", "held_out", "unit", "lower")
NAMED = re.compile(r"([a-z][a-z0-9_]*)=(.+)", re.DOTALL)


def prepare_texts(flags: argparse.Namespace, options: PipelineOptions) -> str:
    """Returns a description of what was made.

    Raises:
        ConfigError: options or inputs are wrong, or the inputs have no text to learn from.
    """
    files, rules, words = check(flags, options)
    output = absolute(flags.output).rstrip("/")
    print(f"Preparing texts of {len(files):,} files", file=sys.stderr)
    manifest = run(files, rules, Target(output, f"{output}/scratch", flags.shard_words), options, words)
    held_out = sum(entry["kind"].startswith(DEV) for entry in manifest["inputs"])
    if rules.books and held_out < (rules.held_out if isinstance(rules.held_out, int) else bool(rules.held_out)):
        print(f"--held-out {rules.held_out}: only {held_out} books are held out, as there are too few", file=sys.stderr)
    return describe(manifest, flags.output)


def check(flags: argparse.Namespace, options: PipelineOptions) -> tuple[dict[str, str], Rules, list[str]]:
    """Returns the kind of each file, by URI, the rules, and the words that are given, none if they are counted.

    Raises:
        ConfigError: lists all problems.
    """
    problems: list[str] = []
    files: dict[str, str] = {}
    kinds: dict[str, tuple[str, ...]] = {}
    places = [("--output", flags.output)]
    for flag, patterns in (("--books", flags.books), ("--captions", flags.captions)):
        named = [_named(pattern, flag.removeprefix("--")) for pattern in patterns]
        kinds[flag] = tuple(dict.fromkeys(kind for kind, _ in named))
        for kind, place in named:
            places.append((flag, place))
            problems += _add_files(files, flag, kind, place)
            if kind.startswith(DEV):
                problems.append(f"{flag} {kind}=...: names that begin with {DEV} are reserved for held-out texts")
    problems += [
        f"{kind}: is a name of both books and captions" for kind in set(kinds["--books"]) & set(kinds["--captions"])
    ]
    rules = Rules(kinds["--books"], kinds["--captions"], **{name: getattr(flags, name) for name in RULES})
    words, wrong = _given_words(flags.words)
    if words:
        rules = replace(rules, vocabulary=len(words) + NO_WORDS)
    problems += wrong + ([] if flags.books or flags.captions else ["--books or --captions is needed"])
    problems += _rule_problems(rules, sum(rules.is_book(kind) for kind in files.values()))
    problems += [] if flags.shard_words > 0 else ["--shard-words: must be at least 1"]
    problems += place_problems(options, places) + container_problems(options) + _output_problems(flags.output)
    if problems:
        raise ConfigError(problems)
    return files, rules, words


def _given_words(place: str) -> tuple[list[str], list[str]]:
    """Returns the words at a place, or nothing without a place, and the place's problems."""
    try:
        return (read_words(place) if place else []), []
    except ConfigError as error:
        return [], error.problems


def _named(pattern: str, kind: str) -> tuple[str, str]:
    """Returns the kind and the place in a flag's value."""
    found = NAMED.fullmatch(pattern)
    return (found[1], at_home(found[2])) if found else (kind, at_home(pattern))


def _add_files(files: dict[str, str], flag: str, kind: str, place: str) -> list[str]:
    """Adds the files of a place to `files` and returns the problems with it."""
    problem = check_uri(place)
    if problem:
        return [f"{flag} {problem}"]
    try:
        found = [listing.uri for listing in expand(place)]
    except ListingError as error:
        return [f"{flag} {error}"]
    twice = [uri for uri in found if files.setdefault(uri, kind) != kind]
    problems = [] if found else [f"{flag} {place}: no file matches"]
    return problems + [f"{flag} {uri}: is among the {files[uri]} already" for uri in twice]


def _rule_problems(rules: Rules, books: int) -> list[str]:
    held_out, share = rules.held_out, isinstance(rules.held_out, float)
    wrong = {
        "--vocabulary: must be at least 3": rules.vocabulary < 3,
        "--caption-weight: must be 0 or more": not rules.caption_weight >= 0,
        "--least: must be at least 1": rules.least < 1,
        f"--most {rules.most}: is below --least {rules.least}": rules.most < rules.least,
        "--unknown: must be a share from 0 to 1": not 0 <= rules.unknown <= 1,
        f"--held-out {held_out}: must be 0 or more": held_out < 0,
        f"--held-out {held_out}: a share must be below 1": share and held_out >= 1,
        f"--held-out {held_out}: leaves no book to learn from; there are {books}": not share
        and books > 0
        and held_out >= books,
    }
    return [problem for problem, is_so in wrong.items() if is_so]


def _output_problems(output: str) -> list[str]:
    problem = check_uri(output)
    if problem:
        return [f"--output {problem}"]
    filesystem, path = fsspec.core.url_to_fs(absolute(output))
    try:
        left = filesystem.ls(path, detail=False)
    except FileNotFoundError:
        return []
    if any(posixpath.basename(name) == MANIFEST for name in left):
        return [f"--output {output}: exists already"]
    return [f"--output {output}: is not empty; it may have files of a run that was stopped"] if left else []


def run(
    files: dict[str, str], rules: Rules, target: Target, options: PipelineOptions, words: Sequence[str] = ()
) -> dict[str, Any]:
    """Runs the pipeline and returns the manifest of the corpus; a run that fails leaves no files.

    Args:
        files: kind of each file by URI.
        rules: rules for the corpus.
        target: where the corpus is written.
        options: Beam's options.
        words: words of the corpus; if empty, the most frequent ones are chosen.

    Raises:
        ConfigError: there is no text to learn from.
    """
    filesystem, path = fsspec.core.url_to_fs(target.output)
    listing, given = f"{target.scratch}/files.json", f"{target.scratch}/words.json" if words else ""
    try:
        write_whole(listing, json.dumps(sorted(files.items())).encode())
        if given:
            write_whole(given, json.dumps(words).encode())
        with beam.Pipeline(options=options) as root:
            build(root, listing, rules, target, given)
        manifest: dict[str, Any] = json.loads(filesystem.cat_file(f"{path}/{MANIFEST}"))
        if not sum(entry["texts"] for kind, entry in manifest["kinds"].items() if not kind.startswith(DEV)):
            reasons = [line.strip() for line in describe_refused(manifest)]
            raise ConfigError(["--books, --captions: the files have no text to learn from", *reasons])
    except BaseException as error:  # a remote job continues when this process is interrupted
        if filesystem.exists(path) and (is_local(options) or isinstance(error, Exception)):
            filesystem.rm(path, recursive=True)
        raise
    filesystem.rm(fsspec.core.url_to_fs(target.scratch)[1], recursive=True)
    return manifest
