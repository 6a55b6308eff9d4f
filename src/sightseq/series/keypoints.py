"""Key points of bodies and hands, such as those of MediaPipe: independent of where and how large a person appears."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from sightseq.core.errors import ConfigError, nearest
from sightseq.series.features import Features, changes, without_padding

SMALLEST = 1e-3  # of a unit, in pixels
HOLISTIC = tuple(
    f"{part}_{number}_{axis}"
    for part, count in (("face", 4), ("pose", 33), ("left", 21), ("right", 21))
    for number in range(count)
    for axis in "xy"
)
"""Channels of 4 points of the face, 33 of the pose and 21 of each hand, numbered as MediaPipe does."""


class KeyPoints(Features):
    """Coordinates relative to a body, and the shape of each hand relative to its wrist; missing ones become 0.

    The body's origin is the middle between two points, its unit their distance (such as the shoulders), both averaged
    over the frames of a sequence: a person who leans keeps leaning. The origin of a part, such as a hand, is its first
    reference point, its unit the distance to the second, in each frame.

    Args:
        channels: names "POINT_x" and "POINT_y" of the values, such as "pose_11_x"; POINT starts with its part.
        mean: of each channel over the training split: body of a sequence in which it is always missing.
        body: the two reference points of the body.
        parts: the two reference points of each further part, by its name.
        leave_out: points that are not used, such as those of the legs.
        mask: add a feature for each part that is 1 where it is missing.
        differences: add the velocities relative to the body, in units per frame, times this factor; 0 adds nothing.
    """

    mean: Tensor
    used: Tensor

    def __init__(
        self,
        channels: tuple[str, ...],
        mean: tuple[float, ...],
        body: Sequence[str] = ("pose_11", "pose_12"),
        parts: Mapping[str, Sequence[str]] | None = None,
        leave_out: Sequence[str] = (),
        mask: bool = True,
        differences: float = 0.0,
    ) -> None:
        super().__init__()
        points = [channel.removesuffix("_x") for channel in channels[::2]]
        if list(channels) != [f"{point}_{axis}" for point in points for axis in "xy"]:
            raise ConfigError(
                "model.features: key points need the channels POINT_x and POINT_y of each point, in order"
            )
        references = {"body": body, **(parts or {})}
        for name, pair in references.items():
            for point in pair:
                if point not in points:
                    raise ConfigError(f"model.features.{name}: there is no point {point!r}; {nearest(point, points)}")
        if wrong := [name for name, pair in references.items() if len(pair) != 2]:
            raise ConfigError(f"model.features.{wrong[0]}: name two reference points")
        part_of = [point.partition("_")[0] for point in points]
        self.register_buffer("mean", torch.tensor(mean).view(-1, 2), persistent=False)
        chosen = [number for number, point in enumerate(points) if point not in leave_out]
        self.register_buffer("used", torch.tensor(chosen), persistent=False)
        self.body = [points.index(point) for point in body]
        self.parts = [
            ([number for number, own in enumerate(part_of) if own == name], [points.index(point) for point in pair])
            for name, pair in (parts or {}).items()
        ]
        self.first = [part_of.index(name) for name in dict.fromkeys(part_of) if mask]  # a point of each part
        self.differences = differences
        shapes = sum(len(numbers) for numbers, _ in self.parts)
        self.width = 2 * (len(chosen) * (1 + bool(differences)) + shapes) + len(self.first)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """See `features`."""
        points = values.view(*values.shape[:2], -1, 2)  # [B, T, points, 2]
        missing = points.isnan()
        inside = torch.arange(points.shape[1], device=points.device) < lengths[:, None]
        pair = points[:, :, self.body]  # [B, T, 2, 2]
        seen = inside & ~missing[:, :, self.body].any(3).any(2)
        count = seen.sum(1)
        origin = self._over_time(pair.mean(2), seen, count, self.mean[self.body].mean(0))
        unit = self._over_time(_distance(pair), seen, count, _distance(self.mean[self.body]))
        body = (points - origin[:, None, None]) / unit[:, None, None].clamp(min=SMALLEST)
        body = body.masked_fill(missing, 0)[:, :, self.used].flatten(2)
        features = [body, missing[:, :, self.first, 0].to(body.dtype)]
        for numbers, references in self.parts:
            hand, (wrist, knuckle) = points[:, :, numbers], references
            size = _distance(points[:, :, [wrist, knuckle]])[:, :, None].clamp(min=SMALLEST)
            shape = (hand - points[:, :, wrist : wrist + 1]) / size
            features.append(shape.nan_to_num(0).flatten(2))
        if self.differences:
            features.append(self.differences * changes(body, missing[:, :, self.used].flatten(2)))
        return without_padding(torch.cat(features, dim=2), lengths)

    @staticmethod
    def _over_time(values: Tensor, seen: Tensor, count: Tensor, otherwise: Tensor) -> Tensor:
        """Return the mean of values [B, T, ...] over the frames where they are seen [B, T]; [B, ...]."""
        total = values.masked_fill(~seen[..., None], 0).sum(1)
        return torch.where((count > 0)[:, None], total / count.clamp(min=1)[:, None], otherwise)


def _distance(pair: Tensor) -> Tensor:
    """Return the distance of two points [..., 2, 2]; [..., 1]."""
    return (pair[..., 0, :] - pair[..., 1, :]).square().sum(-1, keepdim=True).sqrt()
