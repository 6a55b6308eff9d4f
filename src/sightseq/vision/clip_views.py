"""Parts of a clip: a network reads one of them at random in training, and votes over several afterwards."""

import torch
from torch import Tensor

from sightseq.vision.video_spec import Sampling


def positions(lengths: Tensor, count: int, sampling: Sampling, place: Tensor) -> Tensor:
    """Choose `count` frames of each clip.

    Args:
        lengths: frames of each clip [B], without padding.
        count: frames to choose; in a shorter clip, frames are repeated.
        sampling: "uniform" takes one frame of each of `count` equal segments (Wang et al., 2016, arXiv 1608.00859);
            "dense" takes successive frames.
        place: in 0..1, of each frame in its segment ([B, count] or [1, 1]), or of the successive frames in the clip
            ([B, 1] or [1, 1]).

    Returns:
        Indices of frames [B, count], in ascending order.
    """
    number = torch.arange(count, device=lengths.device)
    ends = lengths[:, None]
    if sampling == "uniform":
        found = (number + place) * ends / count
    else:
        found = number + (place * (ends - count).clamp(min=0)).round()
    return torch.minimum(found.long(), ends - 1)


def take(frames: Tensor, chosen: Tensor) -> Tensor:
    """Return the frames [B, count, ...] with the indices [B, count] of clips [B, T, ...]."""
    return frames[torch.arange(len(frames), device=frames.device)[:, None], chosen]
