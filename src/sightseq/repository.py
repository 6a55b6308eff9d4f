"""Reads config files for Hydra: parsed in C, and once in a process. Imports Hydra and nothing heavier."""

import copy
from functools import cache
from pathlib import Path
from typing import Any, Self

import yaml
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.config_source import ConfigLoadError, ConfigResult
from omegaconf import OmegaConf
from omegaconf._utils import get_yaml_loader

from sightseq.core.errors import ConfigError

YAML_LOADER: Any = get_yaml_loader()
if yaml.__with_libyaml__:
    PARSER: Any = yaml.cyaml.CParser  # type: ignore[attr-defined]  # only with libyaml

    class CLoader(PARSER, YAML_LOADER):  # type: ignore[misc]  # the bases are values
        """OmegaConf's YAML loader on the parser of libyaml, which is eight times as fast as the one in Python."""

        def __init__(self, stream: str) -> None:
            PARSER.__init__(self, stream)
            yaml.constructor.SafeConstructor.__init__(self)
            yaml.resolver.Resolver.__init__(self)

    YAML_LOADER = CLoader


class Files(FileConfigSource):
    """Hydra's source of config files; a file is read again only if it has changed."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Return the content of a file; Hydra changes what it gets, so it is a copy."""
        file = Path(self.path, self._normalize_file_name(config_path)).absolute()  # a key of `read`
        try:
            status = file.stat()
        except OSError as error:
            raise ConfigLoadError(f"Config not found : {file}") from error
        header, content = read(file, status.st_mtime_ns, status.st_size)
        return ConfigResult(
            provider=self.provider, path=f"file://{self.path}", config=copy.deepcopy(content), header=dict(header)
        )


@cache
def read(file: Path, modified: int, size: int) -> tuple[dict[str, str | None], Any]:
    """Return the header of a config file, such as its `@package`, and its content.

    Args:
        file: the file.
        modified: when it was modified; another time or size stands for another content.
        size: in bytes.

    Raises:
        ConfigError: it is not YAML.
    """
    try:
        text = file.read_text(encoding="utf-8")
        content = yaml.load(text, Loader=YAML_LOADER)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file} cannot be read as YAML: {' '.join(str(error).split())}") from error
    return FileConfigSource._get_header_dict(text[:512]), OmegaConf.create({} if content is None else content)


class Repository(ConfigRepository):
    """Hydra's config files, with `Files` in place of its own source.

    Hydra copies its repository for each composition, with everything that is registered for its own settings, because
    `hydra.searchpath` may exchange the list of sources. It is enough to copy the list.
    """

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        """Create the sources of a search path."""
        super().initialize_sources(config_search_path)
        self.sources = [Files(one.provider, one.path) if one.scheme() == "file" else one for one in self.sources]

    def __deepcopy__(self, memo: Any) -> Self:
        return copy.copy(self)
