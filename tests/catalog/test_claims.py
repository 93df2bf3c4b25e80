"""What an experiment's claims print: short sentences, with the figures filled in."""

import re

import pytest

from stackmatrix.catalog import ROOT
from stackmatrix.catalog.catalog import Catalog
from stackmatrix.catalog.experiments import PLACE, experiment_names, read_experiment

MOST_WORDS = 25
FIGURE = "2.51 s"  # most figures are a number and its unit


@pytest.mark.parametrize("name", experiment_names())
def test_claims_are_sentences_of_at_most_25_words(name: str) -> None:
    catalog = Catalog.of_checkout()
    claims = read_experiment(ROOT / "experiments" / f"{name}.toml", catalog.stacks, catalog.workloads).claims
    printed = [re.sub(PLACE, FIGURE, words) for claim in claims for words in (claim.holds, claim.fails)]
    sentences = [sentence for words in printed for sentence in re.split(r"(?<=[.!?])\s+", words)]
    assert [sentence for sentence in sentences if len(sentence.split()) > MOST_WORDS] == []
