"""Heads of piano-roll networks: from the features of a frame to the keys that sound in it.

A head maps features [N, ...] to logits [N, K], or draws frames [N, K] from them with `sample`.

- `Independent`: the keys of a frame are independent given the features.
- `NADE` and `TiedNADE`: each key also depends on the higher keys of the same frame. All keys are computed at once if
  the frame is known, and one after another, from the highest, if it is drawn.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RARE = -3.0  # initial bias of the logits: a key sounds with probability 0.05


def draw(logits: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
    """Draw 0 or 1 for each logit; at temperature 0 the more probable one."""
    if temperature == 0:
        return (logits > 0).to(logits.dtype)
    chance = (logits / temperature).sigmoid()
    return (torch.rand(chance.shape, generator=generator, device=chance.device) < chance).to(logits.dtype)


class Independent(nn.Module):
    """Head whose keys are independent given the features.

    Args:
        layer: features [N, ...] to logits [N, K], or [N, K, 1].
    """

    joint = False

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer
        nn.init.constant_(layer.bias, RARE)

    def forward(self, features: Tensor, target: Tensor | None = None) -> Tensor:
        """Features to logits; the target is not read."""
        logits: Tensor = self.layer(features)
        return logits[..., 0] if logits.shape[-1] == 1 else logits

    @torch.no_grad()
    def sample(
        self,
        features: Tensor,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        given: Tensor | None = None,
    ) -> Tensor:
        """See `Joint.sample`."""
        frames = draw(self(features).float(), temperature, generator)
        return frames if given is None else torch.where(given < 0, frames, given)


class Joint(nn.Module, ABC):
    """Base of heads in which each key depends on the higher keys of its frame.

    A hidden layer is the sum of a function of the features and of the weights of the higher keys that sound.
    """

    joint = True

    def __init__(self, keys: int) -> None:
        super().__init__()
        self.keys = keys

    @abstractmethod
    def start(self, features: Tensor) -> Tensor:
        """Return the hidden layer [N, ...] before any key is known, for features [N, ...]."""

    @abstractmethod
    def key(self, features: Tensor, hidden: Tensor, key: int) -> Tensor:
        """Return the logits [N] of a key."""

    @abstractmethod
    def add(self, hidden: Tensor, rows: Tensor, key: int) -> None:
        """Add a key that sounds in the frames `rows` [M] to their hidden layers, in place."""

    @torch.no_grad()
    def sample(
        self,
        features: Tensor,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
        given: Tensor | None = None,
    ) -> Tensor:
        """Draw a frame for each row, key by key from the highest.

        Args:
            features: [N, ...].
            temperature: divides the logits; 0 takes the more probable value of each key.
            generator: of the random numbers.
            given: keys that are fixed [N, K]: 0, 1, or -1 for a key that is drawn; None: all are drawn.

        Returns:
            Frames [N, K] of 0 and 1.
        """
        hidden, keys = self.start(features), []
        for key in reversed(range(self.keys)):
            sounding = draw(self.key(features, hidden, key).float(), temperature, generator)
            if given is not None:
                sounding = torch.where(given[:, key] < 0, sounding, given[:, key].to(sounding.dtype))
            self.add(hidden, sounding.nonzero()[:, 0], key)  # few keys sound: faster than adding zeros
            keys.append(sounding)
        return torch.stack(keys[::-1], dim=1)


class NADE(Joint):
    """Neural autoregressive distribution estimator (Larochelle and Murray, 2011), whose biases are linear functions of
    the features, as in RNN-NADE (Boulanger-Lewandowski et al., 2012, arXiv 1206.6392).

    Args:
        width: size of the features.
        keys: number of keys.
        hidden: size of the hidden layer.
    """

    def __init__(self, width: int, keys: int, hidden: int) -> None:
        super().__init__(keys)
        self.hidden_bias, self.visible_bias = nn.Linear(width, hidden), nn.Linear(width, keys)
        self.weight = nn.Parameter(torch.randn(keys, hidden) / math.sqrt(hidden))
        self.output = nn.Parameter(torch.randn(keys, hidden) / hidden)
        nn.init.constant_(self.visible_bias.bias, RARE)

    def forward(self, features: Tensor, target: Tensor | None = None) -> Tensor:
        """Features [..., width] and frames [..., K] to logits [..., K]. Without frames no higher key sounds."""
        visible: Tensor = self.visible_bias(features)
        hidden = self.hidden_bias(features)[..., None, :]
        if target is not None:
            sounding = target[..., None] * self.weight  # [..., K, hidden]
            hidden = hidden + sounding.sum(-2, keepdim=True) - sounding.cumsum(-2)  # of the higher keys
        logits: Tensor = visible + (hidden.sigmoid() * self.output).sum(-1)
        return logits

    def start(self, features: Tensor) -> Tensor:
        hidden: Tensor = self.hidden_bias(features)
        return hidden

    def key(self, features: Tensor, hidden: Tensor, key: int) -> Tensor:
        visible = features @ self.visible_bias.weight[key] + self.visible_bias.bias[key]
        return visible + hidden.sigmoid() @ self.output[key]

    def add(self, hidden: Tensor, rows: Tensor, key: int) -> None:
        hidden[rows] += self.weight[key]


class Intervals(nn.Module):
    """Linear layer from all keys of a frame to each key; its weights depend only on the interval between both keys.

    A weight is the sum of one for the interval, up to `reach` semitones, of one for the interval modulo an octave, and
    of one that all higher keys share, or all lower ones: so the layer can count the voices above and below a key.

    Args:
        keys: number of keys.
        width: number of outputs for each key.
        reach: largest interval with a weight of its own, in semitones.
        above: read only the higher keys.
    """

    def __init__(self, keys: int, width: int, reach: int, above: bool = False) -> None:
        super().__init__()
        self.keys, self.reach, self.above = keys, reach, above
        count = reach if above else 2 * reach + 1
        self.near = nn.Parameter(0.2 * torch.randn(count, width))
        self.octaves = nn.Parameter(0.2 * torch.randn(12, width))
        self.sides = nn.Parameter(torch.zeros(1 if above else 2, width))

    def weight(self, key: int | slice = slice(None)) -> Tensor:
        """Return the weights [K (input), K (output), width], or those of one input key [K (output), width]."""
        # Computed here, because an average of the weights (EMA) would also average buffers of integers.
        keys = torch.arange(self.keys, device=self.near.device)
        interval = (keys[:, None] - keys)[key]  # from the key of the output to that of the input
        first = 1 if self.above else -self.reach
        own = (interval >= first) & (interval <= self.reach)
        near = F.pad(self.near, (0, 0, 0, 1))[torch.where(own, interval - first, len(self.near))]
        octaves = self.octaves[interval % 12]
        if self.above:
            return (near + octaves + self.sides) * (interval > 0)[..., None]
        return near + octaves + self.sides[(interval < 0).long()]

    def forward(self, frames: Tensor) -> Tensor:
        """Frames [..., K] to [..., K, width]."""
        weight = self.weight()
        return (frames @ weight.flatten(1)).view(*frames.shape[:-1], *weight.shape[1:])


class TiedNADE(Joint):
    """As `NADE`, but with the same weights for all keys, which depend on intervals: see `Intervals`.

    Args:
        width: size of the features of each key.
        keys: number of keys.
        hidden: size of the hidden layers.
        reach: see `Intervals`.
    """

    def __init__(self, width: int, keys: int, hidden: int, reach: int) -> None:
        super().__init__(keys)
        self.bias, self.above = nn.Linear(width, hidden), Intervals(keys, hidden, reach, above=True)
        last = nn.Linear(hidden, 1)
        nn.init.constant_(last.bias, RARE)
        self.output = nn.Sequential(nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), last)

    def forward(self, features: Tensor, target: Tensor | None = None) -> Tensor:
        """Features [..., K, width] and frames [..., K] to logits [..., K]. Without frames no higher key sounds."""
        hidden = self.bias(features)
        if target is not None:
            hidden = hidden + self.above(target)
        logits: Tensor = self.output(hidden)
        return logits[..., 0]

    def start(self, features: Tensor) -> Tensor:
        hidden: Tensor = self.bias(features)
        return hidden

    def key(self, features: Tensor, hidden: Tensor, key: int) -> Tensor:
        logits: Tensor = self.output(hidden[:, key])
        return logits[:, 0]

    def add(self, hidden: Tensor, rows: Tensor, key: int) -> None:
        hidden[rows, :key] += self.above.weight(key)[:key]
