"""Self-critical training: policy gradients with CIDEr-D as the reward."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightseq.core.arrays import ArrayDataset
from sightseq.core.baseline import CHUNK
from sightseq.core.errors import ConfigError
from sightseq.core.loading import PAD_INDEX, Batch
from sightseq.core.scores import MeanLoss, Output, Score
from sightseq.decoding.sampling import Sampling, sample
from sightseq.decoding.states import select_rows
from sightseq.tasks.captioning.task import CaptioningTask
from sightseq.tasks.conditional_generation.task import shift_right
from sightseq.text.consensus import CiderD
from sightseq.text.quality import TextMean
from sightseq.text.tokenizer import EOS, EOS_ID, UNKNOWN_ID


class SelfCriticalTask(CaptioningTask):
    """Second stage of training: maximises the expected CIDEr-D of sampled captions (Rennie et al., 2017, arXiv
    1612.00563).

    The gradient of a sampled caption's log-probability is weighted by its reward minus a baseline. With one sample the
    baseline is the reward of the greedy caption (Rennie et al., 2017); with more it is the mean reward of the other
    samples of the image (Luo, 2020, arXiv 2003.09971). The reward is CIDEr-D with the document frequencies of the
    training captions. The end of a text counts as a word, otherwise captions would learn to end with "on a".

    The training loss is the negative mean reward of the samples. Training has no dropout: the gradients are those of
    the network that samples. Training batches need `reference`: set data.references=true. An epoch reads each image
    once for each of its captions. Start from a model that was trained with cross-entropy: set `init_from`.

    Args:
        samples: number of captions that are sampled for each row of a batch.
        captioning: see `CaptioningTask`. Label smoothing, scheduled sampling and the attention penalty are not used.
    """

    def __init__(self, *, samples: int = 5, **captioning: Any) -> None:
        super().__init__(**captioning)
        if samples < 1:
            raise ConfigError(f"model.samples={samples} must be at least 1")
        for name in ("label_smoothing", "scheduled_sampling", "attention_penalty"):
            if getattr(self, name):
                raise ConfigError(f"model.{name}={getattr(self, name)}: self-critical training does not use it; set 0")
        self.samples = samples
        self._cider: CiderD | None = None

    def prepare_training(self, train: ArrayDataset) -> None:
        """Count in how many training images each n-gram of the captions occurs."""
        chunks = (chunk["captions"] for chunk in train.chunks(CHUNK))
        self._cider = CiderD(
            [self._ended(caption) for caption in lines.split("\n")] for chunk in chunks for lines in chunk
        )

    def scores(self, stage: str) -> Mapping[str, Score]:
        """Return the loss and the CIDEr of the samples for training; see `CaptioningTask` for validation and test."""
        if stage != "train":
            return super().scores(stage)
        return {
            "loss": Score(MeanLoss(), "negative reward", ("penalty", "captions")),
            "cider": Score(TextMean(), "CIDEr of samples", ("cider", "index")),
        }

    def step(self, batch: Batch, stage: str) -> Output:
        """Compute the loss of one batch; in training the one whose gradient is the policy gradient, over all tokens.

        `values` in training: `cider` [B], the mean reward of the samples of each row times 100; `penalty`, the sum of
        the negative rewards, and `captions`, the number of samples; and `index` [B].
        """
        if stage != "train":
            return super().step(batch, stage)
        if "reference" not in batch:
            raise ConfigError("self-critical training needs all captions of an image: set data.references=true")
        index = batch["index"]
        with self._without_dropout():
            memory, state = self.encode(batch)
            rows = torch.arange(len(index), device=self.device).repeat_interleave(self.samples)
            state = select_rows(state, rows)
            tokens = self.sample(batch, memory, state)
            ended = (tokens == EOS_ID).cumsum(1)
            real = ended - (tokens == EOS_ID).long() == 0  # to the first EOS
            real &= (index != PAD_INDEX)[rows, None]
            features, *_ = self.net.features(shift_right(tokens), state, memory)
            nll = self.negative_log_p(features[real], tokens[real])
            reward = self.reward(tokens, batch)  # [B, K]
            if self.samples > 1:
                baseline = (reward.sum(1, keepdim=True) - reward) / (self.samples - 1)
            else:
                baseline = self.reward(self.greedy(batch), batch)
        advantage = (reward - baseline).flatten()[:, None].expand_as(tokens)[real]
        rewards = reward[index != PAD_INDEX]
        values = {
            "cider": 100 * reward.mean(1),
            "penalty": -rewards.sum(),
            "captions": torch.tensor(rewards.numel(), device=self.device),
            "index": index,
        }
        return Output((advantage * nll).sum(), real.sum(), values)

    @contextmanager
    def _without_dropout(self) -> Iterator[None]:
        """Sample, and compute gradients, with the same network: without dropout and with fixed batch statistics."""
        training = self.training
        self.eval()
        for module in self.net.modules():
            if isinstance(module, nn.RNNBase):  # cuDNN computes no gradients of these in eval mode
                module.train()
        try:
            yield
        finally:
            self.train(training)

    def sample(self, batch: Batch, memory: Any, state: Any) -> Tensor:
        """Sample captions.

        Args:
            batch: the images.
            memory: memory of the B images.
            state: initial state, with one row for each of the N = B * K samples.

        Returns:
            Tokens [N, T]; what follows an EOS is to be ignored.
        """
        start = torch.full((len(batch["index"]) * self.samples, 1), EOS_ID, device=self.device)
        seed = int(torch.randint(2**31, ()))  # from the generator that a resumed training restores
        chosen = Sampling(forbidden=(UNKNOWN_ID,))  # never generated: see `settings`
        going, tokens = torch.ones_like(start[:, 0], dtype=torch.bool), []
        for token in sample(self.net.decode, start, int(self.longest(batch).max()), chosen, seed, state, memory):
            tokens.append(token)
            going &= token != EOS_ID
            if not going.any():
                break
        return torch.stack(tokens, 1)

    def negative_log_p(self, features: Tensor, tokens: Tensor) -> Tensor:
        """Return the negative log-probability of R tokens [R], given the features before them [R, width]."""
        logits = self.net.project(features).float()
        logits = logits.index_fill(1, torch.tensor([UNKNOWN_ID], device=self.device), -torch.inf)
        return F.cross_entropy(logits, tokens, reduction="none")

    @torch.no_grad()
    def greedy(self, batch: Batch) -> Tensor:
        """Return the tokens of the greedy captions [B, T], padded with EOS."""
        found = [best.tokens for best, *_ in self.search(batch, self.settings(batch, beam=1))]
        rows = [torch.tensor([*row, EOS_ID], device=self.device) for row in found]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=EOS_ID)

    def reward(self, tokens: Tensor, batch: Batch) -> Tensor:
        """Return the CIDEr-D of captions in 0..10, float32 [B, K].

        Args:
            tokens: [B * K, T], the K captions of an image after each other; what follows an EOS is ignored.
            batch: `reference` of the B images.
        """
        if self._cider is None:
            raise RuntimeError("prepare_training was not called")
        texts = [self._text(row) for row in tokens.tolist()]
        references = [[self._ended(one) for one in several] for several in self.references(batch)]
        per_row = [several for several in references for _ in range(len(tokens) // len(references))]
        rewards = torch.from_numpy(self._cider.scores(texts, per_row)).float()
        return rewards.view(len(references), -1).to(self.device)

    def _text(self, tokens: list[int]) -> str:
        """Return a caption as it is scored; without the end as a word if it has none."""
        if EOS_ID not in tokens:
            return self.normalise(self.tokenizer.decode(tokens))
        return self._ended(self.tokenizer.decode(tokens[: tokens.index(EOS_ID)]))

    def _ended(self, caption: str) -> str:
        """Return a whole caption as it is scored: normalised, with its end as a word."""
        return f"{self.normalise(caption)} {EOS}".strip()

    def training_differences(self) -> list[str]:
        """Add sampling; there is no dropout."""
        others = [name for name in super().training_differences() if name != "dropout"]
        return ["sampling of captions", *others]
