"""Corpora by name: each is called with its folder and gives its tracks; its record says what it is."""

from __future__ import annotations

from majl_cli.data.corpora.corpus import Corpus
from majl_cli.data.corpora.ikala import IKALA
from majl_cli.data.corpora.medleydb import MEDLEYDB
from majl_cli.data.corpora.mir1k import MIR1K
from majl_cli.data.corpora.mir_st500 import MIR_ST500
from majl_cli.data.corpora.musdb18 import MUSDB18
from majl_cli.data.corpora.stems_folder import STEMS
from majl_cli.data.corpora.ultrastar import ULTRASTAR

corpora: dict[str, Corpus] = {
    corpus.name: corpus for corpus in (MIR1K, MUSDB18, MIR_ST500, MEDLEYDB, IKALA, ULTRASTAR, STEMS)
}
