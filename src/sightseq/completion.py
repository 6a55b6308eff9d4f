"""Bash completion of commands, groups, options and keys. Imports nothing heavy."""

from collections.abc import Iterable, Sequence

from sightseq.core.errors import ConfigError

FLAGS = ("--shell-completion", "-sc")
SCRIPT = r"""_sightseq()
{
    local line=${COMP_LINE:0:COMP_POINT}
    local word=${line##* } words choices
    read -r -a words <<< "$line"
    if (( ${#words[@]} - (${#word} > 0) < 2 )); then
        choices="COMMANDS"
    else
        local rest="${words[*]:2}"
        [[ -z $word ]] && rest+=" "
        choices=$(COMP_LINE="sightseq $rest" "${words[0]}" "${words[1]}" -sc query=bash 2> /dev/null)
    fi
    local IFS=$' \n'
    COMPREPLY=($(compgen -W "$choices" -- "$word"))
    if (( ${#COMPREPLY[@]} == 1 )) && [[ ${COMPREPLY[0]} != *[=./] ]]; then
        COMPREPLY=("${COMPREPLY[0]} ")
    fi
    if [[ $COMP_WORDBREAKS == *=* && $word == *=* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*=}"}"}")
    fi
}
complete -o nospace -o default -F _sightseq sightseq"""
"""The bash function. If = is one of its word breaks, Readline replaces only the part after the last =."""


def completion_script(arguments: Sequence[str], commands: Iterable[str]) -> str:
    """Return the shell code that enables or disables the completion of `sightseq`.

    Args:
        arguments: `install=bash` or `uninstall=bash`.
        commands: the names of all commands.

    Raises:
        ConfigError: `arguments` is anything else.
    """
    if list(arguments) == ["install=bash"]:
        return SCRIPT.replace("COMMANDS", " ".join(commands))
    if list(arguments) == ["uninstall=bash"]:
        return "complete -r sightseq; unset -f _sightseq"
    raise ConfigError('completion supports only bash: eval "$(sightseq --shell-completion install=bash)"')
