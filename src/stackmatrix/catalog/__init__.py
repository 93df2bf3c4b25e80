"""What exists: stacks and workloads, typed and validated, read from their TOML files."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]  # the checkout: the catalogue is its directories

FIXTURES = ROOT / "fixtures"
