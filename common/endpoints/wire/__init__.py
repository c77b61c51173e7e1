"""HTTP/1.1 over sockets of our own: pooled connections, bounded waits, bounded answers.

It knows nothing of S3 or manifests. It refuses proxies, redirects, cookies, compression and
HTTP/2: whoever needs a redirect followed decides so and asks again.
"""

from common.endpoints.wire.connection import Silent
from common.endpoints.wire.limits import Timeouts
from common.endpoints.wire.origin import Origin
from common.endpoints.wire.patience import resumed, retried
from common.endpoints.wire.pool import Answer, Begun, Wire
from common.endpoints.wire.reply import Reply

__all__ = ["Answer", "Begun", "Origin", "Reply", "Silent", "Timeouts", "Wire", "resumed", "retried"]
