"""A causal transformer that keeps the keys and values of the steps it has read."""

import torch
from torch.nn import functional

from skanticipate.networks.stepping import Stepper, kept


class CausalStepper(Stepper):
    """Steps of `AVTHead`. A state holds the last guess, and what attention looks at.

    Keys and values (n, layers, heads, N, c) have a place for each step; they grow, and
    are written where no earlier state looks.
    """

    def start(self, n_clips):
        """Guess (n, d), number of real steps (n,), no keys and no values."""
        blocks = self.network.blocks
        n_heads = blocks[0].attention.n_heads
        width = self.network.encoder.out_features
        places = n_clips, len(blocks), n_heads, 0, width // n_heads
        return (
            self.zeros(n_clips, self.network.input.n_outputs),
            self.zeros(n_clips, dtype=torch.int64),
            self.zeros(*places),
            self.zeros(*places),
        )

    def check(self, state, n_more):
        """Refuse steps for which there are no positions."""
        n_steps = int((state[1] + n_more).max())
        n_positions = self.network.positions.num_embeddings
        if n_steps + self.network.n_fed > n_positions:
            fed = self.network.n_fed
            raise ValueError(
                f"A stream of {n_steps} steps is longer than the {n_positions} "
                f"positions of AVTHead{f' less {fed} for its guesses' if fed else ''}: "
                "reset() the stream, or fit with more max_steps. LSTM and RULSTM read "
                "streams of any length."
            )

    def read(self, state, step, real):
        """Guess what follows a step (n, d)."""
        guess, n_seen, *memory = state
        memory = _with_room(memory, int(n_seen.max()) + 1)
        new_guess = self._guess(step, n_seen, memory)
        after = kept(real, (new_guess, n_seen + 1), (guess, n_seen))
        return *after, *memory

    def scores(self, state):
        """Classify the guess, or the last of those that are read in their turn."""
        guess, n_seen, *memory = state
        n_fed = self.network.n_fed
        if n_fed:  # in a copy: later steps stand where the guesses would be written
            room = int(n_seen.max()) + n_fed
            memory = [part[..., :room, :].clone() for part in memory]
            memory = _with_room(memory, room)
            for k in range(n_fed):
                guess = self._guess(guess, n_seen + k, memory)
            guess = guess * (n_seen > 0).unsqueeze(-1)
        return self.network.classifier(guess)

    def _guess(self, step, place, memory):
        """Guess what follows a step (n, d) at a place (n,), and remember the step."""
        network = self.network
        # A missing step may stand behind the last position: nothing looks at it.
        known = place.clamp(max=network.positions.num_embeddings - 1)
        states = network.encoder(step) + network.positions(known)
        states = states.unsqueeze(1)  # (n, 1, H)
        rows = torch.arange(len(step), device=step.device)
        n_places = int(place.max()) + 1
        seen = torch.arange(n_places, device=step.device) <= place.unsqueeze(1)
        hidden = None if bool(seen.all()) else ~seen[:, None, :, None]

        for layer, block in enumerate(network.blocks):

            def remembered(*new, layer=layer):
                for part, of_step in zip(memory, new, strict=True):
                    part[rows, layer, :, place] = of_step.squeeze(2)
                known = [part[:, layer, :, :n_places] for part in memory]
                if hidden is not None:  # what is left there may be no number
                    known = [part.masked_fill(hidden, 0) for part in known]
                return *known, seen

            states = block.go_on(states, remembered)
        return network.decoder(network.norm(states)).squeeze(1)


def _with_room(memory, n_places):
    """Keys and values with room for so many steps, at least doubled if they grow."""
    n_now = memory[0].shape[-2]
    if n_places <= n_now:
        return memory
    more = max(n_places - n_now, n_now)
    return [functional.pad(part, (0, 0, 0, more)) for part in memory]
