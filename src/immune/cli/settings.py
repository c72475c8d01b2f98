"""``immune settings``: what is set, where it came from, and what it means."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from immune.cli import options
from immune.cli.configured import configured

if TYPE_CHECKING:
    import msgspec


def settings(
    config: options.Config = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what each means, in which unit, and why.")
    ] = False,
) -> None:
    """Print every setting with its value and where it came from."""
    from rich.padding import Padding
    from rich.text import Text

    from immune.cli.show import console, table
    from immune.settings import Settings, listing

    found, origins = configured(config)
    rows = [
        (name, _shown(name, value), origins.get(name, "default")) for name, value in listing(found)
    ]
    if not explain:
        console.print(table(("setting", "value", "origin"), rows))
        return
    meanings = dict(explanations(Settings))
    for name, value, origin in rows:
        console.print(Text(name, "bold"), Text(f"= {value}"), Text(f"({origin})", "dim"))
        console.print(Padding(Text(meanings.get(name, "")), (0, 0, 1, 4)), soft_wrap=False)


def _shown(name: str, value: Any) -> str:
    if name.endswith("secret"):
        return "(set)" if value else "(not set)"
    if name.endswith("_url"):
        return re.sub(r"(://[^:/@]*:)[^@]*@", r"\1***@", value)  # its password is nobody's business
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def explanations(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield each setting's dotted name and the docstring under its field."""
    import msgspec

    said = docstrings(kind)
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from explanations(field.type, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", said.get(field.name, "")


def docstrings(kind: type) -> dict[str, str]:
    """The strings under a class's fields, which Python itself does not keep."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    found: dict[str, str] = {}
    field = ""
    for statement in tree.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name)):
                field = name
            case ast.Expr(value=ast.Constant(value=str(text))) if field:
                found[field] = " ".join(text.split())
                field = ""
            case _:
                field = ""
    return found
