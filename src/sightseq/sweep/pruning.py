"""Callback that ends a poor trial of a search early."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from sightseq.core.extras import require


class PruneCallback(Callback):
    """Report the validation score to the study after each epoch; end the training when the pruner says so.

    The run then finishes as usual: its best checkpoint is scored, and results.json has the epoch as `pruned`.

    Args:
        storage: the study's file.
        trial: number of the trial.
        pruner: median or hyperband.
        pruner_args: further arguments of the pruner; its steps are epochs, counted from 1.
        epochs: length of every training of the study, if it is the same.
        score: the score to report, such as val/accuracy; None for the task's main score.
    """

    def __init__(
        self,
        storage: str,
        trial: int,
        pruner: str,
        pruner_args: Mapping[str, Any] | None = None,
        epochs: int | None = None,
        score: str | None = None,
    ) -> None:
        require("optuna", "sweep")
        from sightseq.sweep.samplers import make_pruner

        self.file, self.number, self.score = Path(storage), trial, score
        self.pruner = make_pruner(pruner, pruner_args or {}, epochs)
        self.pruned: int | None = None
        self._validated = False

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: the epoch after which the trial was pruned."""
        return {"pruned": self.pruned}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of `state_dict`."""
        self.pruned = state_dict["pruned"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.pruned is not None:  # the run was interrupted between the decision and its end
            trainer.should_stop = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated |= trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._validated:
            return
        self._validated = False
        score = trainer.callback_metrics[self.score or f"val/{pl_module.headline}"].item()
        epoch = trainer.current_epoch + 1
        stop = trainer.is_global_zero and self._report(epoch, score)
        if trainer.strategy.broadcast(stop):
            self.pruned = epoch
            trainer.should_stop = True

    def _report(self, epoch: int, score: float) -> bool:
        """Report a score; return whether to stop. An epoch that is repeated after an interruption counts once."""
        from optuna.trial import Trial

        from sightseq.sweep.study import PRUNED, load_study

        study = load_study(self.file, self.pruner)
        frozen = study.get_trials(deepcopy=False)[self.number]
        trial = Trial(study, frozen._trial_id)
        if epoch not in frozen.intermediate_values:
            trial.report(score, epoch)
        if not trial.should_prune():
            return False
        trial.set_user_attr(PRUNED, epoch)
        return True
