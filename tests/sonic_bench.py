"""SONiC beside the project: its own base classes where a checkout is there, else doubles of what a platform uses.

The doubles have no behaviour, so that tests of the platform's own part run everywhere; what SONiC makes of a module
is tested with the checkout alone. Of sonic-py-common, the library takes a logger and a question about the chassis.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from types import ModuleType
from typing import Any

from beside import SONIC

REAL = (SONIC / "sonic_platform_base").is_dir()


class _Silent:
    def __init__(self, *_: object, **__: object) -> None: ...

    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None


class _Sfp:
    SFP_STATUS_UNPLUGGED = "Unplugged"

    def __init__(self, bank: int = 0) -> None:
        self.bank = bank

    def get_xcvr_api(self) -> None:
        return None

    def get_error_description(self) -> str:
        return "OK"


def _module(name: str, **contents: object) -> None:
    found = ModuleType(name)
    found.__dict__.update(contents)
    found.__path__ = []
    sys.modules.setdefault(name, found)


def platform() -> Any:
    """The module `cmis_emu.integrations.sonic`, on SONiC's classes or on doubles."""
    if "sonic_py_common" not in sys.modules:
        _module("sonic_py_common")
        _module("sonic_py_common.syslogger", SysLogger=_Silent)
        _module("sonic_py_common.logger", Logger=_Silent)
        _module("sonic_py_common.device_info", get_cpo_data=lambda: None)
        sys.modules["sonic_py_common"].device_info = sys.modules["sonic_py_common.device_info"]  # type: ignore[attr-defined]
    if REAL:
        if str(SONIC) not in sys.path:
            sys.path.append(str(SONIC))
    else:
        for name in ("", ".sonic_xcvr"):
            _module(f"sonic_platform_base{name}")
        _module("sonic_platform_base.chassis_base", ChassisBase=type("ChassisBase", (), {"get_sfp": _sfp_of}))
        _module("sonic_platform_base.platform_base", PlatformBase=type("PlatformBase", (), {"get_chassis": _chassis}))
        _module("sonic_platform_base.sonic_xcvr.sfp_optoe_base", SfpOptoeBase=_Sfp)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        return importlib.import_module("cmis_emu.integrations.sonic")


def _sfp_of(self: Any, index: int) -> Any:
    return self._sfp_list[index]


def _chassis(self: Any) -> Any:
    return self._chassis
