"""Hydra plugins of the command line. Imports nothing heavy."""

from hydra.core.plugins import Plugins

from sightseq.sweep.launcher import LocalLauncher
from sightseq.sweep.search import SearchSweeper
from sightseq.sweep.slurm import SlurmLauncher


def register() -> None:
    """Let configs name our plugins as `hydra_plugins.sightseq.CLASS`.

    Hydra looks a plugin up by name, and accepts names below `hydra_plugins` only. A package of that name would be
    loaded by all Hydra applications of the user.
    """
    plugins = Plugins.instance().class_name_to_class
    for plugin in (LocalLauncher, SlurmLauncher, SearchSweeper):
        plugins[f"hydra_plugins.sightseq.{plugin.__name__}"] = plugin
