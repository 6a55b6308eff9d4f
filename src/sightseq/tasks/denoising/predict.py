"""Prediction with a trained denoiser: restores photographs in the format of the originals."""

import time
from collections.abc import Collection, Sequence
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
from sightseq.core.page import Widget
from sightseq.core.predictor import Predictor, Row
from sightseq.vision.files import ImageSource, as_source
from sightseq.vision.photo_files import Photo, check_target, read_photo, write_photo
from sightseq.vision.photo_jobs import PhotoJob, check_jobs, plan_jobs
from sightseq.vision.tiles import split_into_tiles

if TYPE_CHECKING:
    from sightseq.tasks.denoising.task import DenoisingTask


class DenoisingSettings(BaseModel):
    """Options of a denoiser."""

    output: str | None = Field(
        None, description="file or folder; null: NAME-denoised for a file, the folder denoised for a folder or pattern"
    )
    overwrite: bool = Field(False, description="replace existing files; an input is never replaced")
    strength: Annotated[float, Field(ge=0, le=255)] | None = Field(
        None,
        description="noise level (0..255) to remove, for networks with a noise map; null: the median test level, or 25",
    )
    tile: PositiveInt = Field(512, description="side of the tiles of a large image, in pixels")
    overlap: NonNegativeInt = Field(32, description="overlap of the tiles, in pixels")
    quality: Annotated[int, Field(ge=1, le=100)] = Field(95, description="quality of JPEG, WebP and AVIF files")


@dataclass(frozen=True)
class DecodedJob:
    """A job and its decoded photograph."""

    job: PhotoJob
    photo: Photo


class DenoisingPredictor(Predictor):
    """A trained denoiser. Arguments and errors: see `Predictor`.

    Each restored photograph is written to a file, which `plan_jobs` names. It has the size, orientation, transparency,
    bit depth, EXIF data and colour profile of the original. A row contains `output`, the path of the file; `width` and
    `height` in pixels; and `seconds`, the time for restoring and writing.
    """

    Settings: ClassVar[type[DenoisingSettings]] = DenoisingSettings
    widget: ClassVar[Widget | None] = Widget("image", "a photo")
    local: ClassVar[Collection[str]] = ("output", "overwrite", "tile", "overlap")
    task: "DenoisingTask"

    def check(self, inputs: Sequence[Any], options: DenoisingSettings) -> None:
        """Check the options against the model and the inputs: see `check_jobs`."""
        self._level(options.strength)
        next(split_into_tiles(1, 1, options.tile, options.overlap))
        jobs: list[PhotoJob] = []
        for given in inputs:
            with suppress(InputError):  # reported when the input is expanded
                jobs += [given] if isinstance(given, PhotoJob) else [job for _, job in self.expand(given, options)]
        check_jobs(jobs, options.output)

    def expand(self, given: str, options: DenoisingSettings) -> list[tuple[str, PhotoJob]]:
        """Return the jobs of one input: see `plan_jobs`."""
        jobs = plan_jobs(given, options.output, "denoised", options.overwrite)
        return [(str(job.source), job) for job in jobs]

    def predict(self, inputs: Sequence[str | Path], **options: Any) -> list[Row]:
        """Restore files, folders and patterns, as on the command line. For images in memory, use `denoise`.

        Returns:
            The rows of the files, in order.

        Raises:
            InputError: an input cannot be read, or an output file already exists.
            ConfigError: an option is unknown, or its value is invalid.
        """
        if options.get("output") is not None:
            options["output"] = str(options["output"])
        settings = self.options(options)
        if others := [value for value in inputs if not isinstance(value, str | Path)]:
            raise InputError(
                f"inputs must be files, folders or patterns, not {type(others[0]).__name__}; use denoise(image)"
            )
        paths = [str(path) for path in inputs]
        self.check(paths, settings)
        return super().predict([job for path in paths for _, job in self.expand(path, settings)], **options)

    def write_to(self, folder: Path, options: DenoisingSettings) -> DenoisingSettings:
        """See `Predictor`."""
        return options.model_copy(update={"output": f"{folder}/"})

    def read(self, raw: PhotoJob) -> DecodedJob:
        """Read the photograph, and check that its result can be written.

        Raises:
            InputError: see `read_photo` and `check_target`; or the target already exists.

        Warns:
            InputWarning: see `read_photo` and `check_target`.
        """
        if raw.target.exists() and not raw.overwrite:
            raise InputError(f"{raw.source}: {raw.target} already exists; add overwrite=true to replace it")
        photo = read_photo(raw.source)
        check_target(photo, raw.target)
        return DecodedJob(raw, photo)

    def predict_items(self, items: Sequence[DecodedJob], options: DenoisingSettings) -> list[Row]:
        """Restore and write the photographs."""
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
        """Return the columns input, output, size (width x height) and seconds."""
        size = f"{row['width']} x {row['height']}"
        return {"input": row["input"], "output": row["output"], "size": size, "seconds": f"{row['seconds']:.2f}"}

    @torch.inference_mode()
    def denoise(
        self, image: ImageSource, strength: float | None = None, tile: int = 512, overlap: int = 32
    ) -> Image.Image:
        """Return a restored image, with EXIF data and colour profile in its `info`.

        Args:
            image: a file, a PIL image, or an array uint8 [H, W] or [H, W, 3].
            strength: noise level (0..255) to remove, for networks with a noise map; None: `default_level` of the task.
            tile: side of the tiles of a large image, in pixels.
            overlap: overlap of the tiles, in pixels.

        Returns:
            An image of the mode of the input, "L", "LA", "RGB", "RGBA" or "I;16" (16-bit grey); palettes are converted
            to RGB. It is not rotated: the orientation stays in the EXIF data.

        Raises:
            InputError: the image cannot be read.
            ConfigError: the network takes no noise level, or the tile is too small.
        """
        photo = read_photo(as_source(image))
        return replace(photo, pixels=self._restore(photo.pixels, self._level(strength), tile, overlap)).image()

    def _level(self, strength: float | None) -> float:
        """Return the noise level (0..255) for the network."""
        if strength is None:
            return self.task.default_level
        if not self.task.noise_map:
            raise ConfigError(
                f"strength={strength:g}: this network takes no noise level; leave strength out, or "
                "train a network with model.net.noise_map=true"
            )
        return strength

    def _restore(self, pixels: NDArray[Any], level: float, side: int, overlap: int) -> NDArray[Any]:
        """Restore pixels [H, W, C], uint8 or uint16."""
        restored = np.empty_like(pixels)
        for tile in split_into_tiles(pixels.shape[0], pixels.shape[1], side, overlap):
            restored[tile.output] = self._restore_tile(pixels[tile.input], level)[tile.crop]
        return restored

    def _restore_tile(self, pixels: NDArray[Any], level: float) -> NDArray[Any]:
        """Restore one tile.

        For a colour network, a grey image is replicated to three channels and the result is averaged. For a grey
        network, each channel of a colour image is a separate image.
        """
        white, channels = np.iinfo(pixels.dtype).max, self.task.spec.channels
        values = np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32) / white  # [C, H, W]
        images = torch.from_numpy(values)[None].to(self.task.device)
        if images.shape[1] < channels:
            images = images.expand(-1, channels, -1, -1)
        elif images.shape[1] > channels:
            images = images.transpose(0, 1)  # [C, 1, H, W]
        restored = self.task.restore(images.contiguous(), torch.full((len(images),), level, device=images.device))
        if len(restored) > 1:
            restored = restored.transpose(0, 1)
        elif pixels.shape[2] < channels:
            restored = restored.mean(1, keepdim=True)
        values = restored[0].float().cpu().numpy().transpose(1, 2, 0)
        rounded: NDArray[Any] = np.rint(values * white).astype(pixels.dtype)
        return rounded
