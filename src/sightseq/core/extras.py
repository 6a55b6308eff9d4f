"""Import of optional packages, which are installed as extras."""

import importlib
from types import ModuleType

from sightseq.core.errors import ConfigError


def require(module: str, extra: str) -> ModuleType:
    """Import and return a module of an optional package.

    Args:
        module: full name of the module, such as "skimage.data".
        extra: extra of this package that installs it, such as "denoising".

    Raises:
        ConfigError: the module is not installed or cannot be imported; the message names the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ConfigError(f"the package {package} is needed ({error}); run: pip install 'sightseq[{extra}]'") from error
