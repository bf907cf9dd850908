"""A network as a user would write it."""

from torch import nn

from skanticipate import NetworkSpec, Output


class UserNetwork(NetworkSpec):
    """As a user would write it: plain modules, torch's global stream."""

    def __init__(self, p=0.5):
        self.p = p

    def build(self, input_shape, n_classes, *, generator):
        return _UserNetwork(input_shape[0], n_classes, self.p)


class _UserNetwork(nn.Module):
    def __init__(self, n_inputs, n_classes, p):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_inputs, 8),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Dropout(p),
            nn.Linear(8, n_classes),
        )

    def forward(self, clips):
        return Output(self.layers(clips).unsqueeze(1))
