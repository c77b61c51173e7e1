"""Every collection, its unique keys and indexes, declared once for all drivers."""

from __future__ import annotations

from collections.abc import Mapping

from common.store.base import Shape

SHAPES: Mapping[str, Shape] = {
    "migrations": Shape(indexes=(("phase",), ("kind", "phase"), ("touched",), ("prunes",))),
    "units": Shape(
        indexes=(
            ("migration", "generation", "due_at"),
            ("migration", "generation", "group", "state"),
            ("migration", "generation", "key"),
            # serves a state in all migrations, too; and what is asleep apart from what is done
            ("state", "migration", "generation", "due_at"),
        )
    ),
    "marks": Shape(indexes=(("migration", "group"), ("migration", "passing"))),
    "events": Shape(indexes=(("migration", "at"),)),
    "audit": Shape(indexes=(("at",), ("to", "at"))),
    "failures": Shape(indexes=(("migration", "generation"), ("unit",))),
    "consumers": Shape(),
    "leaders": Shape(),
    "tenants": Shape(),
    "callers": Shape(indexes=(("tenant",),)),
    "switches": Shape(indexes=(("tenant",),)),
    "gateways": Shape(),
    # one document per key that a user changed since the switch, none per key that was copied
    "keys": Shape(indexes=(("bucket", "key"), ("bucket", "tomb", "key"))),
    # one document per page of a bucket's old listing: its keys, compressed, and what became of them
    "pages": Shape(indexes=(("bucket", "after"), ("bucket", "state", "after"))),
    # of disks; names and fields are those of the field's own tools
    "storage_sets": Shape(),
    "set_slots": Shape(indexes=(("set",),)),
    "t_lc_extern_info": Shape(indexes=(("set",),)),
    "t_lc_info": Shape(indexes=(("extern_id",),)),
    "t_migrate_udisk_task": Shape(unique=(("extern_id",),)),
    "t_migrate_udisk_past": Shape(indexes=(("extern_id",),)),
    "partitions": Shape(indexes=(("target",), ("restore",))),
    "tokens": Shape(),  # one per nodeset, source disk and target disk
    "nodes": Shape(),  # what data nodes say of themselves
}
