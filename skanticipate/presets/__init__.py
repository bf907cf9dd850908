"""The papers' settings: estimators with the numbers of an experiment.

Each function gives an unfitted estimator with every number that its paper, or its
authors' code, states. What no source states is marked *ours* in the docstring, and is
to be searched. Any parameter may be given by keyword, nested ones as in a grid search::

    presets.tran2019_epic(max_epochs=2, network__width=0.1)

They are settings, not results: features, splits and pre-trained weights are the
reader's. `docs/choices.md` tells where our methods differ from the papers'.
"""

from skanticipate.presets.camporese import camporese2020_lstm, camporese2020_rulstm
from skanticipate.presets.ghosh import ghosh2022_egtea, ghosh2022_epic55
from skanticipate.presets.tran import tran2019_epic, tran2019_jhmdb

__all__ = [
    "camporese2020_lstm",
    "camporese2020_rulstm",
    "ghosh2022_egtea",
    "ghosh2022_epic55",
    "tran2019_epic",
    "tran2019_jhmdb",
]
