"""`python -m cmis_emu` is `cmis-emu`."""

from cmis_emu.cli.main import main

main()
