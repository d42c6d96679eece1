"""What SONiC's own module library makes of the products here, through the platform: its readings and its control.

Simulated time passes in its sleeps. Skipped without a checkout of SONiC beside the project.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from beside import SONIC, SONIC_DAEMONS, needs_sonic, needs_sonic_daemons
from sonic_bench import platform

from cmis_emu import Emulator, ManualClock
from cmis_emu.layouts.firmware_image import Version, sample
from cmis_emu.module.profile.library import load_profile, profile_names

pytestmark = needs_sonic

UNKNOWN_TO_SONIC = {"osfpxd-1600g-2xdr8"}  # it makes nothing of identifier 21h
PRODUCTS = [name for name in profile_names() if name not in UNKNOWN_TO_SONIC]
PAGED = [name for name in PRODUCTS if not load_profile(name).flat]
UPDATABLE = [name for name in PRODUCTS if load_profile(name).firmware is not None]

PORTS = {
    "osfp-800g-2xfr4": (4, 400_000),
    "osfp-800g-2xfr4-lpo": (1, 100_000),
    "osfp-800g-aec": (8, 800_000),
    "osfp-800g-dr8": (8, 800_000),
    "qsfp28-100g-dr1": (4, 100_000),
    "qsfpdd-400g-aoc": (8, 400_000),
    "qsfpdd-400g-dr4": (8, 400_000),
    "qsfpdd-400g-fr4": (8, 400_000),
    "qsfpdd-400g-lr4": (8, 400_000),
    "qsfpdd-400g-sr8": (8, 400_000),
    "qsfpdd-400g-zr": (8, 400_000),
}
"""How the switch uses each product: lanes and speed (Mbit/s) of its port."""


class Switch:
    """One product in a switch, with what SONiC knows it by."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.emu = Emulator.load(name, clock=ManualClock(), seed=1)
        self.emu.settle()
        self.emu.clock.advance(1.0)  # the first readings after that are in
        self.sfp = platform().Chassis(self.emu).get_sfp(1)
        clock = self.emu.clock
        time = SimpleNamespace(sleep=clock.advance, time=lambda: clock.now, monotonic=lambda: clock.now)
        for module in [m for n, m in sys.modules.items() if n.startswith("sonic_platform_base.")]:
            if hasattr(module, "time"):
                monkeypatch.setattr(module, "time", time)
        self.api = self.sfp.get_xcvr_api()
        self.module = self.emu.ports["1"].module

    def wait(self, condition: Callable[[], bool], limit_s: float) -> None:
        """Look ten times a second, as a daemon would more seldom."""
        end = self.emu.clock.now + limit_s
        while not condition():
            assert self.emu.clock.now < end
            self.emu.clock.advance(0.1)


@pytest.fixture
def switch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Switch]:
    found = Switch(request.param, monkeypatch)
    yield found
    found.emu.close()


@pytest.mark.parametrize("switch", PRODUCTS, indirect=True)
def test_identity_and_readings(switch: Switch) -> None:
    sfp, module = switch.sfp, switch.module
    info = sfp.get_transceiver_info()
    assert info["manufacturer"] == module.get("VendorName").strip()
    assert (sfp.get_model(), sfp.get_serial()) == (module.get("VendorPN").strip(), module.get("VendorSN").strip())
    assert info["cmis_rev"] == ".".join(map(str, module.profile.revision))
    assert None not in info.values()
    assert sfp.get_revision() == module.get("VendorRev").strip()
    readings = sfp.get_transceiver_dom_real_value()
    assert None not in readings.values()
    if switch.api.is_flat_memory():
        return
    assert readings["temperature"] == pytest.approx(module.get("TempMonValue"), abs=0.5)
    for lane in range(1, module.profile.plant.media_lanes + 1 if readings["tx1power"] != "N/A" else 1):
        watts = module.get("OpticalPowerTx", lane=lane)
        assert readings[f"tx{lane}power"] == pytest.approx(10 * math.log10(watts * 1e3), abs=0.1)
    assert None not in sfp.get_transceiver_threshold_info().values()
    assert None not in sfp.get_transceiver_status().values()
    assert None not in sfp.get_transceiver_status_flags().values()
    vdm = sfp.get_transceiver_vdm_real_value()
    assert vdm is None or None not in vdm.values()


@pytest.mark.parametrize("switch", PAGED, indirect=True)
def test_low_power_and_reset(switch: Switch) -> None:
    sfp, api = switch.sfp, switch.api
    assert sfp.set_lpmode(True)
    assert (sfp.get_lpmode(), api.get_module_state()) == (True, "ModuleLowPwr")
    assert sfp.set_lpmode(False)
    assert (sfp.get_lpmode(), api.get_module_state()) == (False, "ModuleReady")
    assert sfp.tx_disable(True)
    assert all(sfp.get_tx_disable())
    assert sfp.reset()
    switch.emu.settle()
    assert not any(sfp.get_tx_disable())


@pytest.mark.parametrize("switch", PAGED, indirect=True)
def test_bring_up_in_the_order_of_its_daemon(switch: Switch) -> None:
    api = switch.api
    app = api.get_active_apsel_hostlane()["ActiveAppSelLane1"]
    lanes = api.get_application_advertisement()[app]["host_lane_count"]
    media = api.get_application_advertisement()[app]["media_lane_count"]
    mask = (1 << lanes) - 1

    def all_in(state: str) -> Callable[[], bool]:
        return lambda: all(api.get_datapath_state()[f"DP{lane}State"] == state for lane in range(1, lanes + 1))

    assert switch.sfp.set_lpmode(True)  # as the daemon finds a module
    api.set_datapath_deinit(0xFF)
    assert api.tx_disable_channel(0xFF, True)
    api.set_lpmode(False, wait_state_change=False)
    switch.wait(lambda: api.get_module_state() == "ModuleReady", api.get_module_pwr_up_duration() / 1000)
    switch.wait(all_in("DataPathDeactivated"), api.get_datapath_deinit_duration() / 1000)
    api.set_application(mask, app, 0)
    assert api.scs_apply_datapath_init(mask)
    status = api.get_config_datapath_hostlane_status
    switch.wait(lambda: all(status()[f"ConfigStatusLane{n}"] == "ConfigSuccess" for n in range(1, lanes + 1)), 5)
    if switch.module.profile.revision >= (5, 0):
        assert all(api.get_dpinit_pending()[f"DPInitPending{lane}"] for lane in range(1, lanes + 1))
    api.set_datapath_init(mask)
    switch.wait(all_in("DataPathInitialized"), api.get_datapath_init_duration() / 1000)
    assert api.tx_disable_channel((1 << media) - 1, False)
    switch.wait(all_in("DataPathActivated"), api.get_datapath_tx_turnon_duration() / 1000 + 0.1)


@pytest.mark.parametrize("write_max", [1, 64])
@pytest.mark.parametrize("switch", UPDATABLE, indirect=True)
def test_firmware_update(switch: Switch, write_max: int, tmp_path: Path) -> None:
    image = tmp_path / "new.bin"
    image.write_bytes(sample(Version(9, 8, 7), 8192))
    switch.sfp.set_optoe_write_max(write_max)
    assert switch.api.module_fw_upgrade(str(image))[0]
    assert switch.api.get_module_fw_info()["result"][8] == "9.8.7"


@needs_sonic_daemons
@pytest.mark.parametrize("name", PAGED)
def test_bring_up_by_its_daemon(name: str) -> None:
    lanes, speed = PORTS[name]
    program = [sys.executable, "-W", "ignore", "tests/sonic_daemon.py", name]
    done = subprocess.run(
        [*program, str(SONIC), str(SONIC_DAEMONS / "sonic-xcvrd"), str(lanes), str(speed)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["states"] == [
        "INSERTED",
        "DP_PRE_INIT_CHECK",
        "DP_DEINIT",
        "AP_CONFIGURED",
        "DP_INIT",
        "DP_TXON",
        "DP_ACTIVATION",
        "READY",
    ]
    assert found["paths"] == ["DataPathActivated"]
    assert found["retries"] == 0
    assert found.get("laser") == ([193400.0, -9.0] if load_profile(name).tuning is not None else None)
