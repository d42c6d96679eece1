"""A program: SONiC's own CMIS daemon brings up one product, on simulated time; prints what states it went through.

    python sonic_daemon.py PRODUCT LIBRARY DAEMONS HOST_LANES SPEED

The daemon's state machine is as in the checkouts; its data bases and its logger are doubles, in a process of their own.
"""

from __future__ import annotations

import datetime
import json
import sys
import time
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

from cmis_emu import Emulator, ManualClock
from cmis_emu.emulator import Emulator as Emulated

PORT = "Ethernet0"
LASER_GHZ, TX_DBM = 193400, -9.0  # as its configuration has them for a coherent port
LIMIT_S = 300


def doubles() -> None:
    """What the daemon imports of a switch and does not need for one module."""
    parts = ("daemon_base", "multi_asic", "syslogger", "logger", "device_info", "interface", "general")
    for name in ("swsscommon", "swsscommon.swsscommon", "natsort", *(f"sonic_py_common.{part}" for part in parts)):
        sys.modules[name] = MagicMock()
    package: Any = MagicMock()
    for part in parts:
        setattr(package, part, sys.modules[f"sonic_py_common.{part}"])
    package.daemon_base.DaemonBase = object
    package.device_info.get_cpo_data = lambda: None
    sys.modules["sonic_py_common"] = package


def simulate(emu: Emulated, daemon: Any) -> None:
    """The process lives in the emulator's time."""
    begin = datetime.datetime(2026, 1, 1)

    class Now(datetime.datetime):
        @classmethod
        def now(cls, tz: object = None) -> Any:
            return begin + datetime.timedelta(seconds=emu.clock.now)

    daemon.datetime = SimpleNamespace(datetime=Now, timedelta=datetime.timedelta)
    time.sleep = emu.clock.advance  # noqa: TID251 # the daemon's
    time.time = lambda: emu.clock.now  # noqa: TID251


def main(product: str, lanes: int, speed: int) -> None:
    doubles()
    import xcvrd.xcvrd  # before its parts, which import it again
    from xcvrd.cmis import cmis_manager_task as daemon
    from xcvrd.xcvrd_utilities import common

    from cmis_emu.integrations.sonic import Chassis

    assert xcvrd.xcvrd
    testbed = {
        "version": 1,
        "ports": {"1": {"profile": product, "bus": 1, "state": {"LPMode": True}}},
        "fibres": {"loop": {"from": "1", "to": "1"}},
    }
    with Emulator.load(testbed, clock=ManualClock(), seed=1) as emu:
        emu.settle()
        simulate(emu, daemon)
        states = [daemon.CMIS_STATE_INSERTED]

        def update(_: str, state: str) -> None:
            if states[-1] != state:
                states.append(state)

        common.get_cmis_state_from_state_db = lambda *_: states[-1]
        daemon.media_settings_parser.notify_media_setting = lambda *_, **__: None
        daemon.optics_si_parser.optics_si_present = lambda: False
        ports = MagicMock(logical_to_asic={PORT: 0}, get_logical_to_physical=lambda _: [1])
        sfp = Chassis(emu).get_sfp(1)
        daemon.CmisManagerTask.initialize_fast_reboot_status = lambda _: {}
        task = daemon.CmisManagerTask([""], ports, {1: sfp}, MagicMock())
        task.xcvr_table_helper = MagicMock()
        task.update_port_transceiver_status_table_sw_cmis_state = update
        task.get_host_tx_status = lambda _: "true"
        task.get_port_admin_status = lambda _: "up"
        task.get_host_lane_count = lambda *_: lanes
        task.is_decommission_required = lambda *_: False
        task.post_port_active_apsel_to_db = lambda *_, **__: None
        names = ",".join(str(lane) for lane in range(lanes))
        task.port_dict[PORT].update(index="1", speed=str(speed), lanes=names, subport=0)
        task.port_dict[PORT].update(laser_freq=LASER_GHZ, tx_power=TX_DBM)  # taken for coherent modules only
        while states[-1] not in ("READY", "FAILED") and emu.clock.now < LIMIT_S:
            task.process_single_lport(PORT, task.port_dict[PORT])
            emu.clock.advance(1.0)
        api = sfp.get_xcvr_api()
        paths = [] if api.is_flat_memory() else [api.get_datapath_state()[f"DP{n}State"] for n in range(1, lanes + 1)]
        retries = task.port_dict[PORT].get("cmis_retries", 0)
        found = {"states": states, "paths": sorted(set(paths)), "retries": retries}
        if not api.is_flat_memory() and api.is_coherent_module():
            found["laser"] = [api.get_current_laser_freq(), api.get_tx_config_power()]
        print(json.dumps(found))


if __name__ == "__main__":
    sys.path[:0] = sys.argv[2:4]
    main(sys.argv[1], int(sys.argv[4]), int(sys.argv[5]))
