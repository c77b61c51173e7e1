"""`python -m consumer c01@HOST QUEUE...`: one consumer, as the fleet starts its own.

The same as `celery -A consumer.app worker -n c01@HOST -Q QUEUE,...` without gossip and mingling,
but without Celery's command line, whose imports cost every start a third of a second.
"""

from __future__ import annotations

import sys

from celery.utils.nodenames import host_format

from consumer.app import app


def main() -> None:
    """Work until told to end."""
    name, *queues = sys.argv[1:]
    worker = app.Worker(
        hostname=host_format(name),
        queues=",".join(queues),
        loglevel="WARNING",
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )
    worker.start()
    sys.exit(worker.exitcode)


if __name__ == "__main__":
    main()
