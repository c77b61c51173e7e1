"""HTTP/1.1 as it flows: the asynchronous client of those who pass bodies on without holding them.

The counterpart of `wire` for programs with one thread and many requests. It refuses proxies,
redirects, compression and answers that contradict themselves.
"""

from common.endpoints.flow.pool import Body, Pool
from common.endpoints.flow.reply import Reply

__all__ = ["Body", "Pool", "Reply"]
