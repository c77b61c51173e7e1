"""The Celery app and its safety settings; each was paid for by somebody's lost message.

No retries, ETAs, countdowns or results live here: a retry is a unit with a due time in the store.
"""

from __future__ import annotations

from typing import Any

from celery import Celery

from common.settings import Settings

PREFIX = "convoy:"  # our keys in a Redis that others may use too


def make_app(settings: Settings) -> Celery:
    """The app that both producer and consumers use, on the broker of the settings."""
    app = Celery("convoy", broker=settings.broker(), set_as_current=False)
    app.conf.update(safety(settings))
    return app


def safety(settings: Settings) -> dict[str, Any]:
    """Celery's configuration. Measured on celery 5.7 and kombu 5.7 with Redis 7."""
    visibility = settings.visibility.total_seconds()
    return {
        # a consumer that dies must not take its message along
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # ... but a failure is reported to the store, never looped by the broker
        "task_acks_on_failure": True,
        "task_acks_on_timeout": True,
        "worker_prefetch_multiplier": 1,
        "worker_concurrency": 1,  # one consumer handles one unit at a time
        "worker_pool": "prefork",  # the main process stays responsive, a dead child is noticed
        "worker_max_tasks_per_child": 500,  # backstop against leaks
        "task_time_limit": settings.unit_hard_limit.total_seconds(),
        "task_soft_time_limit": settings.unit_soft_limit.total_seconds(),
        # redelivery may only ever mean that the first consumer is gone
        "broker_transport_options": transport(settings),
        "visibility_timeout": visibility,
        "worker_soft_shutdown_timeout": 25.0,
        "worker_cancel_long_running_tasks_on_connection_loss": False,  # fencing decides
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # the default gives up after 100 tries
        "task_ignore_result": True,
        "result_backend": None,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_protocol": 2,
        "task_default_queue": "users",
        # half the cost of a message; Flower switches them on while it runs
        "worker_send_task_events": False,
        "task_send_sent_event": False,
        "control_queue_ttl": 300.0,  # reply queues leak without a time to live
        "control_queue_expires": 300.0,
        "worker_eta_task_limit": 10,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
    }


def transport(settings: Settings) -> dict[str, Any]:
    """Options of kombu's Redis transport."""
    return {
        "visibility_timeout": settings.visibility.total_seconds(),
        "global_keyprefix": PREFIX,
        "unacked_restore_interval": 15,
        "unacked_restore_throttle": 1,  # the defaults look only every 100 s
        "socket_timeout": 30,  # the default hangs for ever on a dead connection
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 25,
        "queue_order_strategy": "round_robin",
    }
