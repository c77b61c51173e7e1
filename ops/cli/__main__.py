"""`python -m ops.cli` is `convoy`: how the fleet's own children are started."""

from __future__ import annotations

from ops.cli.main import main

main()
