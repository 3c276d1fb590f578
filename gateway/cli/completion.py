"""`tillway completion SHELL`: the script that completes commands and flags on Tab."""

from typing import Annotated, Final

import typer

PROGRAM: Final = "tillway"
VARIABLE: Final = "_TILLWAY_COMPLETE"
SHELLS: Final = ("bash", "zsh", "fish", "powershell")


def completion(shell: Annotated[str, typer.Argument(help=", ".join(SHELLS))]) -> None:
    """Print the shell's completion script; `tillway --install-completion` installs it.

    Example: tillway completion bash > ~/.local/share/bash-completion/completions/tillway
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    if shell not in SHELLS:
        raise typer.BadParameter(f"{shell!r} is none of {', '.join(SHELLS)}", param_hint="SHELL")
    print(get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell))
