"""What all pages have in common: the templates, the script library, colours, and a policy that lets nothing out."""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Final

import jinja2
import msgspec
from markupsafe import Markup, escape

from stackmatrix.report.charts.pictures import library
from stackmatrix.report.palette import DARK, FONT, LIGHT, css

# names with hyphens, and ratios with their interval
WHOLE: Final = r"[a-z0-9]+(?:-[a-z0-9]+)+|[0-9.\u202f]+×(?: \([^)]*\))?"
UNIT: Final = re.compile(r"(?<=\d) (?=(?:%|ms|s|µs|kB|MiB)(?!\w))")  # the space between a figure and its unit
ASSETS: Final = files("stackmatrix.report.html") / "assets"


@cache
def templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("stackmatrix.report.html"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(sentence=sentence, emphasis=emphasis, breakable=breakable, command=typed_command)
    return environment


def render(template: str, scripts: tuple[str, ...], data: object, **page: object) -> str:
    """Write a whole page: its template reads what `page` names; `data` is what its scripts draw."""
    drawing, theme = library(), asset("theme.js")
    script = "\n".join(asset(name) for name in ("page.js", *scripts))
    return (
        templates()
        .get_template(template)
        .render(
            **page,
            policy=policy(theme, drawing, script),
            font=FONT,
            light=css(LIGHT),
            dark=css(DARK),
            style=asset("page.css"),
            theme=theme,
            library=drawing,
            script=script,
            data=inert(data),
        )
    )


def asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def policy(*scripts: str) -> str:
    """Let the page run these scripts and nothing else, and ask nobody for anything."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts
    )
    rest = "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {hashes}; {rest}"


def inert(data: object) -> str:
    """Write JSON that can stand in a script element whatever it says."""
    return msgspec.json.encode(data).decode().replace("<", "\\u003c")


def sentence(text: str) -> Markup:
    return Markup(UNIT.sub("\u00a0", str(escape(text))))


def emphasis(text: str) -> Markup:
    """Mark up a sentence: `**so**` in bold, names and ratios never broken over two lines."""
    marked = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", str(sentence(text)))
    return Markup(re.sub(WHOLE, r'<span class="whole">\g<0></span>', marked))


def breakable(text: str) -> Markup:
    """Let a name break after its hyphens, commas and the like."""
    return Markup(re.sub(r"([-,=\[])", r"\1<wbr>", str(escape(text))))


def typed_command(text: str) -> Markup:
    return Markup(" ").join(Markup("<span>{}</span>").format(word) for word in text.split(" "))
