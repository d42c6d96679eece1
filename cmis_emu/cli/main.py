"""The command `cmis-emu`: arguments in, text or JSON out, exit codes as the README promises.

Exit codes: 0 done, 1 a check or expectation failed, 2 usage or bad input, 3 not available here.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from cmis_emu.cli import check as checking
from cmis_emu.cli import plugging, running
from cmis_emu.cli import scenario as scenarios
from cmis_emu.cli.demo import play
from cmis_emu.cli.firmware import firmware
from cmis_emu.cli.show import is_fibre, show_link, show_page
from cmis_emu.control import RefusedError
from cmis_emu.errors import AttachError, CmisEmuError, InputError, NotAvailableError, UnknownFieldError
from cmis_emu.module.profile.library import load_profile, profile_names
from cmis_emu.testbed import read_testbed
from cmis_emu.testbeds import names as testbed_names

EXIT_FAILED, EXIT_INPUT, EXIT_NOT_AVAILABLE = 1, 2, 3


class _Group(click.Group):
    """Turns the package's errors into one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (InputError, RefusedError, UnknownFieldError) as error:
            _stop(error, EXIT_INPUT)
        except (NotAvailableError, AttachError) as error:
            _stop(error, EXIT_NOT_AVAILABLE)
        except CmisEmuError as error:
            _stop(error, EXIT_FAILED)


def _stop(error: CmisEmuError, code: int) -> None:
    click.echo(f"cmis-emu: {error}", err=True)
    sys.exit(code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cmis-emu")
def cli() -> None:
    """Software that is a CMIS optical module."""


attach_option = click.option("--attach", metavar="NAME", help="running emulator, by name or socket path")


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="machine-readable")
def testbeds(as_json: bool) -> None:
    """The testbeds that come with the package, one line each; `run` and `exec` take them by name."""
    found = {name: read_testbed(name) for name in testbed_names()}
    if as_json:
        rows = [{"name": name, "title": each.title, "ports": len(each.ports)} for name, each in found.items()]
        click.echo(json.dumps(rows, indent=2))
        return
    for name, each in found.items():
        click.echo(f"{name:<20} {len(each.ports):>3} ports  {each.title}")


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="machine-readable")
def profiles(as_json: bool) -> None:
    """The module library, one line each."""
    rows = [_describe(name) for name in profile_names()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(
            f"{row['name']:<20} {row['form_factor']:<9} CMIS {row['revision']}  {row['max_power_w']:>5.2f} W  "
            f"{len(row['applications'])} application{'s' * (len(row['applications']) != 1):<1}  {row['title']}"
        )


def _describe(name: str) -> dict[str, Any]:
    profile = load_profile(name)
    enums = profile.regmap.enums
    hosts = enums["host_interface_id"]
    return {
        "name": name,
        "title": profile.title,
        "form_factor": profile.form_factor,
        "revision": f"{profile.revision[0]}.{profile.revision[1]}",
        "max_power_w": profile.registers.get("MaxPower", 0) * 0.25,
        "applications": [
            {
                "app_sel": a.app_sel,
                "host_interface": hosts.get(a.host_interface_id, f"code {a.host_interface_id:02X}h"),
                "media_interface_id": a.media_interface_id,
                "host_lanes": a.host_lanes,
                "media_lanes": a.media_lanes,
            }
            for a in profile.applications
        ],
    }


@cli.command()
@click.argument("source", metavar="TESTBED|PROFILE")
@click.option("--name", default="default", show_default=True, help="how commands find this emulator")
@click.option("--speed", default=1.0, show_default=True, help="simulated seconds per second")
@click.option("--seed", type=int, help="seed of all noise (default: the testbed's)")
@click.option(
    "--serve",
    multiple=True,
    metavar="KIND:ADDRESS",
    help="another way in: unix:PATH, usbip:[HOST:]PORT, vhost-user:PATH, grpc:[HOST:]PORT[?OPTIONS], "
    "pico:DEVICE[@BUS][?OPTIONS], ft232h:URL, rpi-bsc:OPTIONS",
)
@click.option(
    "--nvm",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="where modules keep user pages, passwords and firmware",
)
@click.option("--forget", is_flag=True, help="modules as from the factory, and nothing is kept")
def run(
    source: str, name: str, speed: float, seed: int | None, serve: tuple[str, ...], nvm: Path | None, forget: bool
) -> None:
    """Run an emulator until interrupted; prints how to attach, then a live status.

    What modules keep without power (user page 03h, host password, firmware) is kept under the emulator's name.
    """
    running.run(source, name, speed, seed, serve, nvm, forget=forget)


@cli.command()
@click.option("--bus", "buses", type=int, multiple=True, metavar="N", help="only this bus (may be given again)")
@attach_option
def attach(buses: tuple[int, ...], attach: str | None) -> None:
    """Make real /dev/i2c-N adapters of the buses, in this machine's kernel (as root).

    Needs the kernel modules vhci-hcd, i2c-tiny-usb and i2c-dev. The adapters go when the emulator stops, or by
    `cmis-emu detach`; attach again when it is back.
    """
    plugging.attach(attach, buses)


@cli.command()
@attach_option
def detach(attach: str | None) -> None:
    """Remove the adapters that `cmis-emu attach` made (as root)."""
    plugging.detach(attach)


class _ProgramCommand(click.Command):
    """Everything behind `--` is the program and its arguments, untouched."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta["program"] = args[at + 1 :]
            args = args[:at]
        return super().parse_args(ctx, args)


@cli.command(name="exec", cls=_ProgramCommand, options_metavar="[OPTIONS]")
@click.argument("source", required=False, metavar="[TESTBED|PROFILE] -- PROGRAM ARG...")
@attach_option
@click.option("--speed", default=1.0, show_default=True, help="simulated seconds per second")
@click.option("--seed", type=int, help="seed of all noise")
@click.option("--plugged-now", is_flag=True, help="start at the moment of insertion, not with settled modules")
@click.pass_context
def exec_(
    ctx: click.Context,
    source: str | None,
    attach: str | None,
    speed: float,
    seed: int | None,
    plugged_now: bool,
) -> None:
    """Run an unmodified program that sees the emulated /dev/i2c-N."""
    program = ctx.meta.get("program") or []
    if not program:
        raise click.UsageError("found no program, expected '-- PROGRAM ARG...'")
    if source is not None and attach is not None:
        raise click.UsageError("found both a testbed and --attach, expected one of them")
    if source is None:
        sys.exit(running.execute_attached(attach, program))
    sys.exit(running.execute(source, program, speed, seed, settled=not plugged_now))


@cli.command()
@click.argument("what", metavar="PORT|FIBRE|DUMPFILE")
@click.option("--page", help="such as 11h; lower memory when not given")
@click.option("--link", is_flag=True, help="the fibre in this port: the light at every point, and margins")
@click.option("--bank", default=0, show_default=True)
@click.option("--raw", is_flag=True, help="hex rows instead of fields")
@click.option("--json", "as_json", is_flag=True, help="machine-readable")
@attach_option
def show(what: str, page: str | None, link: bool, bank: int, raw: bool, as_json: bool, attach: str | None) -> None:
    """Read and decode a page by CMIS field name, without side effects, or draw a link as text."""
    if link and (page is not None or raw):
        raise click.UsageError("found both --link and --page or --raw, expected one of them")
    if link or (page is None and is_fibre(what, attach)):
        show_link(what, as_json, attach)
    else:
        show_page(what, page or "lower", bank, raw, as_json, attach)


@cli.command()
@click.argument("port")
@click.argument("field")
@click.option("--bank", default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="machine-readable")
@attach_option
def get(port: str, field: str, bank: int, as_json: bool, attach: str | None) -> None:
    """Print one field by CMIS name, in its unit, without side effects."""
    with running.client(attach) as emulator:
        found = emulator.ask("get", port=port, field=field, bank=bank)
    click.echo(json.dumps(found["value"]) if as_json else found["text"])


@cli.command(name="set")
@click.argument("port")
@click.argument("field")
@click.argument("value")
@click.option("--bank", default=0, show_default=True)
@attach_option
def set_(port: str, field: str, value: str, bank: int, attach: str | None) -> None:
    """Store one field by CMIS name: the vendor's back door, which ignores access rules."""
    with running.client(attach) as emulator:
        emulator.ask("set", port=port, field=field, value=value, bank=bank)


@cli.command()
@click.argument("port")
@click.argument("assignment", required=False, metavar="[NAME=VALUE]")
@attach_option
def pin(port: str, assignment: str | None, attach: str | None) -> None:
    """Drive a side-band pin (1 or high, 0 or low); without NAME=VALUE print all pins."""
    arguments: dict[str, Any] = {}
    if assignment is not None:
        name, _, text = assignment.partition("=")
        levels = {"1": True, "high": True, "true": True, "0": False, "low": False, "false": False}
        if text.lower() not in levels:
            raise InputError(repr(assignment), "NAME=0, 1, low or high", field="pin")
        arguments = {"name": name, "level": levels[text.lower()]}
    with running.client(attach) as emulator:
        found = emulator.ask("pin", port=port, **arguments)
    click.echo("  ".join(f"{name}={int(level)}" for name, level in found.items()))


@cli.command()
@click.argument("port")
@click.argument("profile")
@attach_option
def insert(port: str, profile: str, attach: str | None) -> None:
    """Plug a module of PROFILE into PORT."""
    with running.client(attach) as emulator:
        emulator.ask("insert", port=port, profile=profile)


@cli.command()
@click.argument("port")
@attach_option
def remove(port: str, attach: str | None) -> None:
    """Pull the module out of PORT."""
    with running.client(attach) as emulator:
        emulator.ask("remove", port=port)


@cli.command()
@click.argument("target", metavar="TARGET")
@click.option("--level", type=click.Choice(list(checking.LEVELS)), default="read-only", show_default=True)
@click.option("--json", "json_path", metavar="F", type=click.Path(path_type=Path), help="write the report as JSON")
@click.option("--junit", "junit_path", metavar="F", type=click.Path(path_type=Path), help="write it as JUnit XML")
@attach_option
def check(target: str, level: str, json_path: Path | None, junit_path: Path | None, attach: str | None) -> None:
    """Judge a CMIS module against the rules.

    TARGET is a profile, a dump file, a port of a running emulator, /dev/i2c-N (/dev/i2c-N:0x50), or an FT232H
    (ftdi://ftdi:232h/1?hz=400000, and pins=yes where AC0 to AC4 are connected). read-only writes nothing but page
    selects (reading flags clears them); safe puts back what it changes; full resets the module, cycles its power
    states and applies its applications.
    """
    sys.exit(checking.check(target, checking.LEVELS[level], json_path, junit_path, attach))


@cli.group(name="scenario")
def scenario_() -> None:
    """Faults on demand: list, check and run scenarios."""


@scenario_.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="machine-readable")
def scenario_list(as_json: bool) -> None:
    """The scenarios that come with the package, one line each."""
    scenarios.show_library(as_data=as_json)


@scenario_.command(name="actions")
@click.argument("name", required=False)
def scenario_actions(name: str | None) -> None:
    """What a step can do: all actions and host programs, or one with its arguments."""
    scenarios.show_actions(name)


@scenario_.command(name="check")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def scenario_check(files: tuple[str, ...]) -> None:
    """Check scenario files without running them; every mistake with file and line."""
    sys.exit(scenarios.check(files))


@scenario_.command(name="schema")
def scenario_schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    scenarios.print_schema()


@scenario_.command(name="run")
@click.argument("files", nargs=-1, required=True, metavar="FILE|NAME...")
@click.option("--speed", type=float, help="real time at this speed; without it as fast as it goes")
@click.option("--seed", type=int, help="seed of noise and chance")
@click.option("--report", type=click.Path(path_type=Path), metavar="F", help="write it: .json, .xml (JUnit), or text")
@click.option("--quiet", is_flag=True, help="only the closing line")
@attach_option
def scenario_run(
    files: tuple[str, ...], speed: float | None, seed: int | None, report: Path | None, quiet: bool, attach: str | None
) -> None:
    """Run scenarios: on an emulator of their own, or with --attach on a running one."""
    sys.exit(scenarios.run(files, speed, seed, attach, report, quiet=quiet))


@scenario_.command(name="fuzz")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="what is composed")
@click.option("--first", type=click.IntRange(min=0), default=0, show_default=True, help="number of the first one")
@click.option("--count", type=click.IntRange(min=1), default=100, show_default=True, help="how many compositions")
@click.option("--processes", type=click.IntRange(min=1), default=os.cpu_count() or 1, help="how many at once")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False, exists=True), help="for failures, as files")
def scenario_fuzz(seed: int, first: int, count: int, processes: int, folder: Path | None) -> None:
    """Compose faults at random and judge what must always hold; a failure becomes a small scenario file."""
    sys.exit(scenarios.fuzz(seed, first, count, processes, folder))


cli.add_command(firmware)


@cli.command()
def demo() -> None:
    """Two DR4 modules and a fibre: bring-up by a host program, a fault, recovery. Under 30 s."""
    sys.exit(play())


def main() -> None:
    """Entry point."""
    cli()


if __name__ == "__main__":
    main()
