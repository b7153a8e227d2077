"""Links in the pages lead somewhere."""

from __future__ import annotations

import re

import pytest
from repository import ROOT

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "tools" / "README.md"]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[\w-]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file(page):
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert not [link for link in links if not (page.parent / link).exists()]


def test_every_guide_is_found_from_the_readme():
    listed = (ROOT / "README.md").read_text() + (ROOT / "docs" / "fleet.md").read_text()
    guides = [page.name for page in (ROOT / "docs").glob("*.md")]
    assert not [name for name in guides if f"{name})" not in listed]
