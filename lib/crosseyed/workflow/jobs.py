"""What Snakemake is doing, as the command that started it needs to know: a file that is renewed with each event."""

import logging
from pathlib import Path

from pydantic import BaseModel, NonNegativeInt

from crosseyed.progress import tell


class Jobs(BaseModel):
    """The notebooks of a run."""

    due: NonNegativeInt | None = None
    """How many are to be executed; None until it is known."""
    done: NonNegativeInt = 0
    failed: NonNegativeInt = 0
    running: list[tuple[str, str]] = []
    """Edition and notebook of those that were started, perhaps only submitted to a cluster."""


class Notes:
    """A filter of Snakemake's log that hides nothing, and notes what happens to notebooks in a file."""

    def __init__(self, file: Path) -> None:
        self.file, self.jobs = file, Jobs()
        self._running: dict[int, tuple[str, str]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Note an event."""
        event = str(getattr(record, "event", None) or "")
        if event == "run_info":
            self.jobs.due = record.stats.get("notebook", 0)
        elif event == "job_info" and record.rule_name == "notebook":
            self._running[record.jobid] = (record.wildcards["edition"], record.wildcards["notebook"])
        elif event == "job_finished":
            self.jobs.done += self._running.pop(record.job_id, None) is not None
        elif event == "job_error":
            self.jobs.failed += self._running.pop(record.jobid, None) is not None
        else:
            return True
        self.jobs.running = [*self._running.values()]
        tell(self.file, self.jobs.model_dump())
        return True
