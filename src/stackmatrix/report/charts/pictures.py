"""Charts as files, and the library that draws them in a page."""

from functools import cache

import vl_convert

from stackmatrix.report.charts.style import Spec
from stackmatrix.report.palette import DARK, LIGHT, coloured, var


def svg(spec: Spec, *, dark: bool = False) -> str:
    return vl_convert.vegalite_to_svg(coloured(framed(spec), DARK if dark else LIGHT))


def png(spec: Spec, *, scale: float = 2) -> bytes:
    """Turn a chart into a bitmap, for places that show no SVG."""
    return vl_convert.vegalite_to_png(coloured(framed(spec), LIGHT), scale=scale)


def framed(spec: Spec) -> Spec:
    """Add the ground, the margin and the width that a page would give."""
    width = 720 if spec.get("width") == "container" else spec.get("width")
    config = {**spec["config"], "background": var("panel"), "padding": 16}
    return {**spec, "config": config, **({"width": width} if width else {})}


@cache
def library() -> str:
    """Bundle Vega, Vega-Lite and vega-embed from the installed package as one script: nothing is fetched."""
    script = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script.replace("</script", "<\\/script")
