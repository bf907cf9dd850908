"""A network of single frames that goes on from their mean."""

from skanticipate.networks.stepping import Stepper, kept


class MeanStepper(Stepper):
    """Steps of `FrameMLP`. A state holds the mean of the hidden units so far."""

    def start(self, n_clips):
        """Mean (n, H) and number of frames (n, 1)."""
        width = self.network.layers[-1].out_features
        return self.zeros(n_clips, width), self.zeros(n_clips, 1)

    def read(self, state, step, real):
        """Take a frame (n, e) into the mean."""
        mean, n_seen = state
        n_seen = n_seen + 1
        mean = mean + (self.network.hidden_units(step) - mean) / n_seen
        return kept(real, (mean, n_seen), state)

    def scores(self, state):
        """Classify the mean."""
        return self.network.classifier(state[0])
