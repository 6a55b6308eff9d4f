"""The export graph of an image classifier."""

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from sightseq.core.errors import ExportError
from sightseq.core.loading import Batch
from sightseq.tasks.classification.graph import ClassifierGraph
from sightseq.vision.drawings import drawing_style
from sightseq.vision.spec import ImageSpec

DRAWN = 32  # pixels: larger grey images are photographs more often than drawings


class ImageClassifierGraph(ClassifierGraph):
    """A classifier of images, which a web page can run."""

    spec: ImageSpec

    def web_page(self, batches: Iterable[Batch]) -> dict[str, Any]:
        """Return `labels` and `preprocessing` (see `ImageSpec.metadata`), and `drawing`, the style of the training
        images (see `drawing_style`) if they are grey and small; otherwise None.

        Raises:
            ExportError: the model crops photographs to the largest face.
        """
        if self.spec.subject == "face":
            raise ExportError("the model looks at faces, and the web page cannot find them; use format=onnx")
        channels, height, width = self.spec.prepared
        drawing = None
        if channels == 1 and max(height, width) <= DRAWN:
            drawing = drawing_style(np.concatenate([batch["input"][:, 0].numpy() for batch in batches]))
        return {
            "kind": "image",
            **{name: json.loads(text) for name, text in self.metadata().items()},
            "drawing": drawing,
        }
