"""A cable drawn as text: the light in dBm at every point, and what is left of the margins.

Fed with the plain data of `link_budget.link_budget`; it never touches the emulator.
"""

from __future__ import annotations

from typing import Any

DARK = "dark"
OTHER_FREQUENCY_GHZ = 4.0  # further off, a coherent receiver hears nothing
MARGINS = ("budget left", "light over", "eSNR over", "BER", "")


def draw(link: dict[str, Any]) -> str:
    """Several lines of at most some 110 characters: for each direction of each leg the path, then a row a lane."""
    ends = ", ".join(f"{port} {profile or '(empty)'}" for port, profile in link["ends"].items())
    lines = [f"{link['fibre']}: {ends}"]
    for leg in link["legs"]:
        many = f"leg {leg['leg']}: " if len(link["legs"]) > 1 else ""
        if leg["dark"] is not None:
            lines += ["", f"{many}{leg['from']} to {leg['to'] or 'nothing'}: dark, {leg['dark']}"]
        elif not leg["strands"]:
            lines += ["", f"{many}{leg['from']} to {leg['to']}: no light, the cable is electrical"]
        for sender in dict.fromkeys(strand["from"] for strand in leg["strands"]):
            strands = [strand for strand in leg["strands"] if strand["from"] == sender]
            lines += ["", *_direction(many, strands)]
    return "\n".join(lines)


def _direction(title: str, strands: list[dict[str, Any]]) -> list[str]:
    first = strands[0]
    heads = ["lanes", "Tx dBm", *(_passed(point) for point in first["points"][1:]), *MARGINS]
    rows = [heads, *(_row(strand) for strand in strands)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(heads))]
    lines = [f"{title}{first['from']} to {first['to']}{_promise(first)}"]
    return lines + [
        "  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _passed(point: dict[str, Any]) -> str:
    """Head of the column behind one thing on the way."""
    loss = "" if point["loss_db"] is None else f" {-point['loss_db']:+.2f}"
    return f"--[{point['at']}{loss}]->"


def _promise(strand: dict[str, Any]) -> str:
    """What the standard promises, against which the margins count."""
    margins, reception = strand["margins"], strand["reception"]
    said = []
    if margins is not None:
        if margins["budget_db"] is not None:
            said.append(f"budget {margins['budget_db']:.1f} dB for {margins['span']}")
        said.append(f"light from {margins['rx_min_dbm']:.1f} dBm")
    if reception["limit_ber"] is not None:
        said.append(f"eSNR from {reception['limit_esnr_db']:.2f} dB (BER {reception['limit_ber']:.1e})")
    return f": {', '.join(said)}" if said else ""


def _row(strand: dict[str, Any]) -> list[str]:
    reception, margins = strand["reception"], strand["margins"] or {"left_db": None, "above_min_db": None}
    states = [text for text, holds in (("LOS", reception["los"]), ("no lock", reception["locked"] is False)) if holds]
    if reception.get("offset_ghz") is not None and abs(reception["offset_ghz"]) > OTHER_FREQUENCY_GHZ:
        states.append(f"tuned {abs(reception['offset_ghz']):.1f} GHz away")
    if reception.get("osnr_db") is not None:
        states.append(f"OSNR {reception['osnr_db']:.1f} dB")
    over_db = reception["esnr_db"] - reception["limit_esnr_db"] if reception["locked"] else None
    return [
        f"{strand['tx_lane']} > {strand['rx_lane']}",
        *(DARK if point["dbm"] is None else f"{point['dbm']:+.2f}" for point in strand["points"]),
        _number(margins["left_db"], "+.2f"),
        _number(margins["above_min_db"], "+.2f"),
        _number(over_db, "+.2f"),
        _number(reception["ber"], ".1e"),
        ", ".join(states),
    ]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
