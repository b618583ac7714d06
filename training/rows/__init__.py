"""How the rows of the tasks were made: for each task a script and its banks of written text.

python -m training.rows.query_rewriting                                                    # writes tasks/data/query_rewriting
python -m training.rows.query_rewriting --out build/rows/query_rewriting --rows 14000      # further rows for the teacher alone
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SWAPPED = "swapped"  # tag of the rows that training.rows.swap makes of others


def written(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file of rows that were written as they are: without swapped ones."""
    rows = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    return [row for row in rows if SWAPPED not in row.get("tags", ())]
