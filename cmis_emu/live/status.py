"""The live status of a running emulator: a table on a terminal, plain lines elsewhere.

Fed with the snapshot of `control.status`; it never touches the emulator.
"""

from __future__ import annotations

import math
from types import TracebackType
from typing import Any, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table


class StatusView:
    """Shows status snapshots. Plain mode prints a line per port whenever its state changes."""

    def __init__(self, terminal: bool) -> None:
        self._console = Console()
        self._live = Live(console=self._console, auto_refresh=False) if terminal else None
        self._last: dict[str, str] = {}

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, status: dict[str, Any]) -> None:
        """Show the newest snapshot."""
        if self._live is not None:
            self._live.update(table(status), refresh=True)
            return
        for port in status["ports"]:
            paths = ", ".join(_paths(port).splitlines())
            state = f"{port.get('state', 'empty')} IntL={int(port['pins']['IntL'])} {paths}"
            if self._last.get(port["port"]) != state:
                self._last[port["port"]] = state
                print(f"{status['time_s']:10.1f} s  port {port['port']}: {state}", flush=True)


def table(status: dict[str, Any]) -> Table:
    """One row a port; lane readings below each other, so that the table fits a narrow terminal."""
    title = f"t = {status['time_s']:.1f} s, seed {status['seed']}"
    found = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
    for name in ("port", "bus", "module", "IntL", "module", "lanes"):
        found.add_column(name, no_wrap=True)
    for port in status["ports"]:
        if port["profile"] is None:
            found.add_row(port["port"], str(port["bus"]), "(empty)")
            continue
        found.add_row(
            port["port"],
            str(port["bus"]),
            f"{port['profile']}\n{port['state']}\n{_paths(port)}",
            "high" if port["pins"]["IntL"] else "LOW",
            f"{port['temperature_c']:.1f} degC\n{port['vcc_v']:.3f} V",
            "\n".join(
                (
                    f"Tx dBm  {_lanes(dbm(w) for w in port['tx_power_w'])}",
                    f"bias mA {_lanes(a * 1e3 for a in port['tx_bias_a'])}",
                    f"Rx dBm  {_lanes(dbm(w) for w in port['rx_power_w'])}",
                )
            ),
        )
    return found


def dbm(power_w: float) -> float:
    """Power in dBm; -40 for darkness, as hosts print it (MON-04)."""
    return 10 * math.log10(power_w * 1e3) if power_w > 1e-7 else -40.0


def _lanes(values: Any) -> str:
    return " ".join(f"{value:>5.1f}" for value in values)


def _paths(port: dict[str, Any]) -> str:
    return "\n".join(f"{p['lanes']} {p['state']}" for p in port.get("paths", []))
