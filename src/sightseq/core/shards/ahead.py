"""Downloads shards in the background before they are needed."""

import logging
import threading
from collections import OrderedDict
from queue import SimpleQueue

from torch import Tensor
from torch.utils.data import Dataset

from sightseq.core.loading import Batch

THREADS = 4
RECENT = 1024  # shards that were announced last
log = logging.getLogger("sightseq")


class DownloadAhead:
    """Called with the indices of a later batch, reads it in a background thread: its shards are then on the disk.

    Args:
        dataset: dataset whose columns are in shards.
        shards: number of the shard of each sample; if given, one sample of each new shard is read. Otherwise the whole
            batch is read.
    """

    def __init__(self, dataset: Dataset[Batch], shards: Tensor | None) -> None:
        self.dataset, self.shards = dataset, shards
        self._recent: OrderedDict[int, None] = OrderedDict()
        self._queue: SimpleQueue[Tensor | None] = SimpleQueue()
        self._started = False

    def __call__(self, indices: Tensor) -> None:
        if not self._started:  # only now, so that no thread runs when workers are forked
            self._started = True
            for _ in range(THREADS):
                threading.Thread(target=_read, args=(self.dataset, self._queue), daemon=True).start()
        if self.shards is None:
            self._queue.put(indices)
            return
        indices = indices[indices >= 0]
        for shard, index in dict(zip(self.shards[indices].tolist(), indices.tolist(), strict=True)).items():
            if shard not in self._recent:
                self._queue.put(indices.new_tensor([index]))
            self._recent[shard] = None
            self._recent.move_to_end(shard)
        while len(self._recent) > RECENT:
            self._recent.popitem(last=False)

    def __del__(self) -> None:
        for _ in range(THREADS):
            self._queue.put(None)


def _read(dataset: Dataset[Batch], queue: "SimpleQueue[Tensor | None]") -> None:
    while (indices := queue.get()) is not None:
        try:
            dataset[indices]
        except Exception:  # the training reads the same shard and raises the error
            log.debug("a download ahead failed", exc_info=True)
