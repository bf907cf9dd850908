"""Two small models of a kitchen: of clips without an order, and of stages."""

from skanticipate import LSTM, MLP, SmoothedAnticipator, VerbNounPrior
from skanticipate.datasets import make_kitchen

DATA = make_kitchen(10, 10, n_features=12, random_state=0)
CLIPS = make_kitchen(10, 10, n_steps=6, n_features=8, random_state=0)
X, Y = DATA.X_past, DATA.y


def anticipator(network=None, **params):
    return SmoothedAnticipator(
        MLP(8) if network is None else network,
        **{"max_epochs": 2, "random_state": 0, **params},
    )


def pooled_model():
    return anticipator(prior=VerbNounPrior(DATA.actions)).fit(X, Y)


def staged_model():
    spec = LSTM(8, anticipation_steps=4, anticipation_time=0.75)
    return anticipator(spec).fit(CLIPS.X_past, CLIPS.y)
