"""Hydra plugins of the command line. Imports nothing heavy."""

from hydra.core.plugins import Plugins

from sightseq.sweep.launcher import LocalLauncher


def register() -> None:
    """Let configs name our plugins as `hydra_plugins.sightseq.CLASS`.

    Hydra looks a plugin up by name, and accepts names below `hydra_plugins` only. A package of that name would be
    loaded by all Hydra applications of the user.
    """
    plugins = Plugins.instance().class_name_to_class
    plugins["hydra_plugins.sightseq.LocalLauncher"] = LocalLauncher
