"""The page of an evaluation: one HTML file that needs nothing else."""

from __future__ import annotations

from majl_cli.report.page.document import Page, write_page

__all__ = ["Page", "write_page"]
