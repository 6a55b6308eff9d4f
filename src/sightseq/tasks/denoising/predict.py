"""Using a trained denoiser: photographs in, restored photographs out, in the format of the originals."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, Field, NonNegativeInt, PositiveInt

from sightseq.core.errors import ConfigError, InputError
from sightseq.core.files import creating
from sightseq.core.predictor import Predictor, Row
from sightseq.vision.files import ImageSource, as_source
from sightseq.vision.photo_files import Photo, check_target, read_photo, write_photo
from sightseq.vision.photo_jobs import Job, check_jobs, find_jobs
from sightseq.vision.tiles import tiles

if TYPE_CHECKING:
    from sightseq.tasks.denoising.task import DenoisingTask


class DenoisingSettings(BaseModel):
    """The options of a denoiser."""

    output: str | None = Field(None, description="file or folder; null: NAME-denoised, or the folder denoised")
    overwrite: bool = Field(False, description="replace files that exist; never an input")
    strength: Annotated[float, Field(ge=0, le=255)] | None = Field(
        None, description="noise level (0..255) to remove, for networks with a noise map; null: that of training"
    )
    tile: PositiveInt = Field(512, description="side of the tiles of a large image, in pixels")
    overlap: NonNegativeInt = Field(32, description="of tiles, in pixels")
    quality: Annotated[int, Field(ge=1, le=100)] = Field(95, description="of JPEG, WebP and AVIF files")


@dataclass(frozen=True)
class DecodedJob:
    """A job with its photograph."""

    job: Job
    photo: Photo


class DenoisingPredictor(Predictor):
    """A trained denoiser. Arguments and errors: see `Predictor`.

    Each photograph becomes a file: see `find_jobs` for its name. It has the size, orientation, transparency, bit depth,
    EXIF and colour profile of the original. The rows are `output`, the file; `width` and `height`; and `seconds`, for
    restoring and writing it.
    """

    Settings: ClassVar[type[DenoisingSettings]] = DenoisingSettings
    task: "DenoisingTask"

    def check(self, inputs: Sequence[Any], options: DenoisingSettings) -> None:
        """Refuses options that do not fit the model or the inputs: see `check_jobs`."""
        self._level(options.strength)
        next(tiles(1, 1, options.tile, options.overlap))
        jobs: list[Job] = []
        for given in inputs:
            with suppress(InputError):  # it is listed when the input is expanded
                jobs += [given] if isinstance(given, Job) else [job for _, job in self.expand(given, options)]
        check_jobs(jobs, options.output)

    def expand(self, given: str, options: DenoisingSettings) -> list[tuple[str, Job]]:
        """See `find_jobs`."""
        jobs = find_jobs(given, options.output, "denoised", options.overwrite)
        return [(str(job.source), job) for job in jobs]

    def predict(self, inputs: Sequence[str | Path], **options: Any) -> list[Row]:
        """Restores files, folders and patterns, as on the command line. For pictures in memory there is `denoise`.

        Returns:
            The row of each file, in order.

        Raises:
            InputError: an input cannot be read, or a file exists already.
            ConfigError: there is no such option, or a value does not fit.
        """
        if options.get("output") is not None:
            options["output"] = str(options["output"])
        settings = self.options(options)
        if wrong := [one for one in inputs if not isinstance(one, str | Path)]:
            raise InputError(
                f"inputs are files, folders or patterns, not {type(wrong[0]).__name__}; use denoise(image)"
            )
        paths = [str(path) for path in inputs]
        self.check(paths, settings)
        return super().predict([job for path in paths for _, job in self.expand(path, settings)], **options)

    def read(self, raw: Job) -> DecodedJob:
        """The photograph, if its result can be written.

        Raises:
            InputError: see `read_photo` and `check_target`; or the target exists already.

        Warns:
            InputWarning: see `read_photo` and `check_target`.
        """
        if raw.target.exists() and not raw.overwrite:
            raise InputError(f"{raw.source}: {raw.target} exists already; to replace it, add overwrite=true")
        photo = read_photo(raw.source)
        check_target(photo, raw.target)
        return DecodedJob(raw, photo)

    def predict_items(self, items: Sequence[DecodedJob], options: DenoisingSettings) -> list[Row]:
        """Writes the restored photographs."""
        rows = []
        for item in items:
            start, target = time.perf_counter(), item.job.target
            pixels = self._restore(item.photo.pixels, self._level(options.strength), options.tile, options.overlap)
            with creating(target.parent, "output="):
                target.parent.mkdir(parents=True, exist_ok=True)
            write_photo(replace(item.photo, pixels=pixels), target, options.quality)
            height, width = pixels.shape[:2]
            seconds = round(time.perf_counter() - start, 2)
            rows.append({"output": str(target), "width": width, "height": height, "seconds": seconds})
        return rows

    def cells(self, row: Row) -> dict[str, str]:
        """Input, output, width x height, and seconds."""
        size = f"{row['width']} x {row['height']}"
        return {"input": row["input"], "output": row["output"], "size": size, "seconds": f"{row['seconds']:.2f}"}

    @torch.inference_mode()
    def denoise(
        self, image: ImageSource, strength: float | None = None, tile: int = 512, overlap: int = 32
    ) -> Image.Image:
        """A restored picture, not turned, with EXIF and colour profile in its `info`.

        Args:
            image: a file, a PIL image, or an array uint8 [H, W] or [H, W, 3].
            strength: noise level (0..255) to remove, for networks with a noise map; None: that of training.
            tile: side of the tiles of a large image, in pixels.
            overlap: of tiles, in pixels.

        Returns:
            Of mode "L", "LA", "RGB", "RGBA" or "I;16" (16 bits), as the picture is; palettes become RGB.

        Raises:
            InputError: it cannot be read.
            ConfigError: the network takes no noise level, or the tile is too small.
        """
        photo = read_photo(as_source(image))
        return replace(photo, pixels=self._restore(photo.pixels, self._level(strength), tile, overlap)).image()

    def _level(self, strength: float | None) -> float:
        """The noise level, 0..255, that the network is given."""
        if strength is None:
            return self.task.default_level
        if not self.task.noise_map:
            raise ConfigError(
                f"strength={strength:g}: this network takes no noise level and removes the noise of its training; "
                "train one with model.net.noise_map=true"
            )
        return strength

    def _restore(self, pixels: NDArray[Any], level: float, side: int, overlap: int) -> NDArray[Any]:
        """Pixels [H, W, C] of uint8 or uint16 to restored ones."""
        restored = np.empty_like(pixels)
        for tile in tiles(pixels.shape[0], pixels.shape[1], side, overlap):
            restored[tile.kept] = self._restore_tile(pixels[tile.seen], level)[tile.inner]
        return restored

    def _restore_tile(self, pixels: NDArray[Any], level: float) -> NDArray[Any]:
        """As `_restore`. A grey image is replicated for a network of colours, whose result is averaged; for a grey
        network, the channels of a colour image are images of their own.
        """
        white, channels = np.iinfo(pixels.dtype).max, self.task.spec.channels
        values = np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32) / white  # [C, H, W]
        images = torch.from_numpy(values)[None].to(self.task.device)
        if images.shape[1] < channels:
            images = images.expand(-1, channels, -1, -1)
        elif images.shape[1] > channels:
            images = images.transpose(0, 1)  # [C, 1, H, W]
        found = self.task.restore(images.contiguous(), torch.full((len(images),), level, device=images.device))
        if len(found) > 1:
            found = found.transpose(0, 1)
        elif pixels.shape[2] < channels:
            found = found.mean(1, keepdim=True)
        values = found[0].float().cpu().numpy().transpose(1, 2, 0)
        rounded: NDArray[Any] = np.rint(values * white).astype(pixels.dtype)
        return rounded
