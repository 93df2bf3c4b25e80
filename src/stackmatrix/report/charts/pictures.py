"""Charts as files, and the library that draws them in a page."""

from functools import cache

import vl_convert

from stackmatrix.report.charts.style import Spec
from stackmatrix.report.palette import DARK, LIGHT, coloured, var


def svg(spec: Spec, *, dark: bool = False) -> str:
    """A chart as a picture file."""
    return vl_convert.vegalite_to_svg(coloured(framed(spec), DARK if dark else LIGHT))


def png(spec: Spec, *, scale: float = 2) -> bytes:
    """A chart as a bitmap, for places that show no SVG."""
    return vl_convert.vegalite_to_png(coloured(framed(spec), LIGHT), scale=scale)


def framed(spec: Spec) -> Spec:
    """With the ground and the margin that a picture needs by itself, and a width where the page would give one."""
    width = 720 if spec.get("width") == "container" else spec.get("width")
    config = {**spec["config"], "background": var("panel"), "padding": 16}
    return {**spec, "config": config, **({"width": width} if width else {})}


@cache
def library() -> str:
    """Vega, Vega-Lite and vega-embed as one script, from the installed package: nothing is fetched."""
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script.replace("</script", "<\\/script")
